"""`i2md report RUN --clips CLIPS`: the page of clips that need no labels, from recordings to the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from made_report import Page

import i2md
from i2md.cli.main import main
from i2md.evaluation.report import clip_map


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny clips written as arrays without labels, and prepared as the tiny run's were."""
    folder = tmp_path_factory.mktemp("unlabelled")
    clips = i2md.open_clips(tiny.clips(tmp_path_factory.getbasetemp()))
    (folder / "recordings").mkdir()
    for number, clip in enumerate(clips):
        np.save(folder / "recordings" / f"{number:02}.npy", clip.transpose(1, 0, 2, 3))
    words = ["--layout", clips.dataset.layout.name, "--preset", clips.dataset.preparation]
    assert main(["prepare", "arrays", str(folder / "recordings"), str(folder / "clips"), *words]) == 0
    assert (i2md.open_clips(folder / "clips").labels == -1).all()
    return folder / "clips"


@pytest.fixture
def run(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_clips_without_labels_have_a_map_clusters_and_a_player(
    run: Path, unlabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = tmp_path / "said.json"
    assert main(["report", str(run), "--clips", str(unlabelled), "--json", str(said), "--device", "cpu"]) == 0
    data = json.loads(said.read_text(encoding="utf-8"))
    assert (data["clips"], data["shown"], data["labelled"], data["no_map"]) == (32, 32, 0, "")
    assert data["report"] == str(run / "report.html") and sum(data["clusters"].values()) == 32
    page = Page(run / "report.html")
    shown = page.data["map"]
    assert set(shown["labels"]) == {-1} and shown["clusters"]["sizes"] == list(data["clusters"].values())
    assert shown["packed"] and len(shown["points"]) == 32
    for text in ("None of these clips has a label", "labels.csv", "i2md evaluate", "nearest to its centre"):
        assert text in page.text
    printed = capsys.readouterr().out
    assert "labels.csv" in printed and f"clusters: {len(data['clusters'])}, of " in printed


def test_the_number_of_clusters_and_the_page_are_chosen(run: Path, unlabelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    data = i2md.report(runs=[run], clips=unlabelled, clusters=5, out=out, device="cpu")
    assert len(data["clusters"]) == 5 and out.is_file() and not (run / "report.html").exists()


def test_labelled_clips_are_coloured_by_class(run: Path, clips: Path) -> None:
    data = i2md.report(runs=[run], clips=clips, device="cpu")
    assert (data["labelled"], data["clusters"]) == (32, {})
    page = Page(run / "report.html")
    assert page.data["map"]["clusters"] is None and "has not been evaluated" in page.text


def test_of_many_clips_some_are_shown_at_even_steps(
    run: Path, unlabelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_map, "MOST_CLIPS", 11)
    data = i2md.report(runs=[run], clips=unlabelled, clusters=2, device="cpu")
    assert (data["clips"], data["shown"]) == (32, 11)
    shown = Page(run / "report.html").data["map"]
    assert shown["total"] == 32 and (shown["names"][0], shown["names"][-1]) == ("00", "31")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{run}", "{run}", "--clips", "{clips}"], "name one run"),
        (["{run}", "--clusters", "3"], "name their folder by --clips"),
        (["{run}", "--clips", "{clips}", "--clusters", "1"], "choose from 2 to"),
        (["{run}", "--clips", "{run}"], "not a folder of clips"),
    ],
)
def test_what_does_not_fit_is_an_input_error(
    refused: Callable[..., str], run: Path, unlabelled: Path, words: list[str], said: str
) -> None:
    assert said in refused("report", *(word.format(run=run, clips=unlabelled) for word in words))
