"""Clips to label next: every kind gets a label, then what a classifier is unsure of."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import i2md
from i2md.cli.main import main
from i2md.evaluation.settings import LabelEfficiencySettings
from i2md.evaluation.suggestion import COVERAGE, UNCERTAINTY, suggest_clips


def groups(sizes: list[int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    draws = np.random.default_rng(0)
    true = draws.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = (np.eye(len(sizes), 20)[true] + 0.05 * draws.standard_normal((len(true), 20))).astype(np.float32)
    return {"joint": rows[:, :12], "bone": rows[:, 8:]}, true


def test_each_kind_gets_a_label_the_largest_first() -> None:
    features, true = groups([40, 20, 10])
    found = suggest_clips(features, np.full(len(true), -1), 3)
    assert true[[each.clip for each in found]].tolist() == [0, 1, 2]
    assert [each.size for each in found] == [40, 20, 10]
    assert {each.reason for each in found} == {COVERAGE}


def test_kinds_without_a_label_come_first_and_no_clip_twice() -> None:
    features, true = groups([40, 5, 20])
    labels = np.full(len(true), -1)
    labels[np.flatnonzero(true == 0)[:1]] = 0
    assert set(true[[each.clip for each in suggest_clips(features, labels, 2)]]) >= {2}
    everything = suggest_clips(features, labels, 1000)
    assert sorted(each.clip for each in everything) == np.flatnonzero(labels < 0).tolist()


def test_with_enough_labels_clips_between_classes_are_suggested() -> None:
    draws = np.random.default_rng(0)
    side = np.concatenate([draws.uniform(-1, -0.6, 40), draws.uniform(0.6, 1, 40), draws.uniform(-0.1, 0.1, 10)])
    rows = np.stack([side, np.ones(90), *0.05 * draws.standard_normal((4, 90))], axis=1).astype(np.float32)
    labels = np.full(90, -1)
    labels[:6], labels[40:46] = 0, 1
    found = suggest_clips({"joint": rows}, labels, 5)
    assert {each.reason for each in found} == {UNCERTAINTY}
    chosen = [each.clip for each in found]
    # The least sure of each of five kinds: those between are one kind or two.
    assert np.abs(side[chosen[:2]]).max() < 0.1
    assert len({each.clip for each in found}) == 5 and all(labels[each.clip] < 0 for each in found)


def test_the_command_writes_a_table_to_fill_in_and_reads_it_back(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, said = tmp_path / "labels.csv", tmp_path / "said.json"
    typed = ["suggest", run, clips, labels, "--count", "4", "--index", tmp_path / "index", "--device", "cpu"]
    typed += ["--out", tmp_path / "next.csv", "--page", tmp_path / "next.html", "--json", said]
    assert main([*map(str, typed)]) == 0
    assert "0 of 32 clips are labelled" in (printed := capsys.readouterr().out) and "is not there" in printed
    rows = list(csv.DictReader((tmp_path / "next.csv").read_text().splitlines()))
    first = [row["name"] for row in rows]
    assert len(first) == 4 and all(row["label"] == "" for row in rows)
    assert first[3] in (tmp_path / "next.html").read_text()
    opened = i2md.open_clips(clips)
    of_name = dict(zip(opened.columns["name"].tolist(), opened.labels.tolist(), strict=True))
    labels.write_text("name,label\n" + "".join(f"{name},action {of_name[name]}\n" for name in first))
    assert main([*map(str, typed)]) == 0
    data = json.loads(said.read_text())
    assert data["labelled"] == 4 and data["classes"] == len({of_name[name] for name in first})
    assert not {row["name"] for row in data["suggestions"]} & set(first)


def test_misuse_is_refused(run: Path, clips: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    index, labels = tmp_path / "index", tmp_path / "labels.csv"
    opened = i2md.open_clips(clips)
    i2md.suggest(run=run, clips=clips, labels=labels, index=index, device="cpu")
    typed = ["suggest", run, clips, labels, "--index", index]
    assert "count is 0" in refused(*typed, "--count", "0")
    labels.write_text("name,label\nnosuch,a\n")
    assert "labels none of the 32 clips" in refused(*typed)
    labels.write_text("name,label\n" + "".join(f"{name},a\n" for name in opened.columns["name"]))
    assert "all 32 clips are labelled" in refused(*typed)


def test_the_protocol_compares_suggestions_with_chance(run: Path, clips: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    settings = i2md.EvaluationSettings(label_efficiency=LabelEfficiencySettings(labels=(1, 3), draws=2))
    results = i2md.evaluate(
        run=tmp_path / "run",
        clips=clips,
        protocol=["label-efficiency"],
        baselines=["positions"],
        settings=settings,
        device="cpu",
    )
    assert len(results) == 2 * 2 * 2 * 2
    for result in results:
        assert result.labels_per_class and len(result.labelled_clips or ()) == 4 * result.labels_per_class
        assert result.selection in ("suggested", "random")
    assert len({result.file_name for result in results}) == 16
    drawn = {(r.draw, tuple(r.labelled_clips or ())) for r in results if r.selection == "random" and r.baseline is None}
    assert len(drawn) == 4
