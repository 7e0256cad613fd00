"""Baselines against direct NumPy formulations, and as rows of an evaluation on the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.cli.main import main
from i2md.data.packed import pack
from i2md.evaluation.baselines import (
    FRAMES,
    MINIROCKET_WIDTH,
    MiniRocketFeatures,
    Positions,
    choose_baselines,
    takes,
    why_left_out,
)
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import Result, read_results
from i2md.skeletons import get_layout
from i2md.views.streams import stream
from i2md.views.view import evaluation_view

STREAMS = ("joint", "motion", "bone")


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the tiny run, which may be written to."""
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "evaluation", ignore_errors=True)
    return tmp_path / "run"


def _evaluate(run: Path, clips: Path, *words: str) -> dict[tuple[str, str], Result]:
    """Results by baseline (the run's own: "i2md") and protocol."""
    assert main(["evaluate", str(run), str(clips), "--device", "cpu", *words]) == 0
    return {(each.evaluated, each.protocol): each for each in read_results(run / "evaluation")}


def _prepared(clips: i2md.Clips) -> dict[str, np.ndarray]:
    """The middle 95 % of each clip, resized to 64 frames by linear interpolation, in a row for each stream."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in STREAMS}
    parents = np.array(clips.dataset.layout.parents)
    for clip in clips:
        (x,) = np.asarray(clip, dtype=np.float64)
        frames = len(x)
        begin = int(frames * 0.025 + 1e-9)
        kept = x[begin : frames - begin]
        at = np.clip((np.arange(FRAMES) + 0.5) * len(kept) / FRAMES - 0.5, 0, len(kept) - 1)
        low = np.floor(at).astype(int)
        high, part = np.minimum(low + 1, len(kept) - 1), (at - low)[:, None, None]
        x = kept[low] * (1 - part) + kept[high] * part
        rows["joint"].append(x.ravel())
        rows["motion"].append(np.concatenate([np.diff(x, axis=0), np.zeros_like(x[:1])]).ravel())
        rows["bone"].append((x - x[:, parents]).ravel())
    return {name: np.stack(values) for name, values in rows.items()}


def test_positions_are_ranked_as_by_numpy(copied: Path, clips: Path) -> None:
    result = _evaluate(copied, clips, "--protocol", "knn", "--baselines", "positions")["positions", "knn"]
    opened = i2md.open_clips(clips)
    train, test = opened.part("xsub", "train"), opened.part("xsub", "test")
    known, queries = _prepared(train), _prepared(test)
    total = np.zeros((len(test), len(train)))
    for name in STREAMS:
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries[name], known[name]))
        total += a @ b.T
        assert result.streams[name].predictions == train.labels[(a @ b.T).argmax(axis=1)].tolist()
    assert result.overall.predictions == train.labels[total.argmax(axis=1)].tolist()
    assert (result.baseline, result.method, result.epochs) == ("positions", "i2md", 0)


def test_a_row_holds_the_numbers_of_a_view() -> None:
    layout = get_layout("kinect-v1")
    x = torch.randn(3, FRAMES, len(layout.joints), 3, 2)
    encoder = Positions(layout, persons=2)
    assert encoder.width == FRAMES * 20 * 3 * 2
    np.testing.assert_array_equal(encoder(x)[1], x[1].numpy().ravel())


def test_by_default_the_quick_baselines_are_evaluated_by_the_protocols_without_scale(
    copied: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _evaluate(copied, clips, "--linear.epochs", "2")
    quick = {(name, protocol) for name in ("i2md", "positions", "untrained") for protocol in ("knn", "ridge")}
    assert found.keys() == quick | {("i2md", "linear")}
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    methods = [row[2].strip() for row in rows[2:]]
    assert methods == sorted(methods, key=["i2md", "positions", "untrained"].index)


def test_none_of_the_baselines(copied: Path, clips: Path) -> None:
    assert _evaluate(copied, clips, "--protocol", "knn", "--baselines", "none").keys() == {("i2md", "knn")}


def test_positions_do_not_depend_on_the_run(copied: Path, clips: Path, tmp_path: Path) -> None:
    words = [*tiny.SETTINGS, "--epochs", "1", "--views.frames", "12", "--seed", "3", "--method", "moco"]
    assert main(["pretrain", str(clips), str(tmp_path / "other"), *words]) == 0
    chosen = ("--protocol", "knn", "ridge", "--baselines", "positions")
    one, other = (_evaluate(run, clips, *chosen) for run in (copied, tmp_path / "other"))
    for protocol in ("knn", "ridge"):
        assert one["positions", protocol].scores == other["positions", protocol].scores


def test_protocols_that_take_baselines() -> None:
    taken = {
        (name, asked): [p for p in PROTOCOLS if takes(PROTOCOLS[p], name, asked)]
        for name in ("positions", "untrained")
        for asked in (False, True)
    }
    fair = ["knn", "retrieval", "cluster", "ridge", "calibration", "open-set", "segment", "label-efficiency"]
    assert {case: sorted(names) for case, names in taken.items()} == {
        ("positions", False): sorted(fair),
        ("untrained", False): sorted(fair),
        ("positions", True): sorted([*fair, "linear", "linear-sweep", "few-shot"]),
        ("untrained", True): sorted([*fair, "finetune", "semi"]),
    }


def test_an_unknown_baseline_is_one_line(copied: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(copied), str(clips), "--baselines", "position"]) == 2
    assert "unknown baseline 'position': did you mean positions?" in capsys.readouterr().err
    assert not (copied / "evaluation").exists()
    assert choose_baselines(["minirocket", "positions"]) == ("positions", "minirocket")


def test_a_baseline_that_no_protocol_evaluates_is_said(
    copied: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--protocol", "linear", "--linear.epochs", "2", "--baselines", "untrained")
    assert _evaluate(copied, clips, *words).keys() == {("i2md", "linear")}
    assert "baseline untrained is left out: none of linear evaluates it; add --protocol knn ridge" in (
        capsys.readouterr().err
    )


def test_features_that_would_take_too_much_memory_are_left_out() -> None:
    layout = get_layout("kinect-v2")
    assert why_left_out("positions", layout, persons=2, streams=3, clips=56_578) is None
    reason = why_left_out("positions", layout, persons=2, streams=3, clips=113_945)
    assert reason == "features of 113945 clips would take 13.1 GB; at most 8 GB are kept"
    assert why_left_out("untrained", layout, persons=2, streams=3, clips=10**9) is None


def test_without_aeon_minirocket_is_left_out_with_the_fix(
    copied: Path, clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: Callable[[str], Any] = lambda name: None if name == "aeon" else find_spec(name)  # noqa: E731
    monkeypatch.setattr("i2md.evaluation.baselines.find_spec", missing)
    found = _evaluate(copied, clips, "--protocol", "knn", "--baselines", "minirocket")
    assert found.keys() == {("i2md", "knn")}
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("i2md: note")]
    assert said == ['i2md: note: baseline minirocket is left out: it needs aeon; pip install "i2md[baselines]"']


# Compiling MiniRocket takes a minute.
@pytest.mark.slow
def test_minirocket_is_a_row_of_the_features_that_aeon_computes(copied: Path, clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("aeon")
    words = ["--protocol", "knn", "ridge", "--baselines", "minirocket", "--json", str(tmp_path / "j.json")]
    state = np.random.get_state()[1].tolist()
    found = _evaluate(copied, clips, *words)
    assert np.random.get_state()[1].tolist() == state
    assert len(json.loads((tmp_path / "j.json").read_text())["results"]) == 4
    opened = i2md.open_clips(clips)
    train, test = opened.part("xsub", "train"), opened.part("xsub", "test")
    features = _minirocket(train, test, opened.dataset.layout)
    assert features[0].shape == (16, MINIROCKET_WIDTH)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in features)
    expected = train.labels[(b @ a.T).argmax(axis=1)].tolist()
    assert found["minirocket", "knn"].streams["bone"].predictions == expected
    # In batches, the same features.
    views = stream(evaluation_view(pack(train), torch.arange(16), FRAMES, 1), "bone", opened.dataset.layout)
    encoder = MiniRocketFeatures(opened.dataset.layout, 1, views, seed=0)
    batches = torch.cat([encoder(part) for part in views.split(5)])
    np.testing.assert_allclose(batches.numpy(), features[0], atol=1e-5)


def _minirocket(train: i2md.Clips, test: i2md.Clips, layout: Any) -> list[np.ndarray]:
    from aeon.transformations.collection.convolution_based import MiniRocket

    series = []
    for part in (train, test):
        view = stream(evaluation_view(pack(part), torch.arange(len(part)), FRAMES, 1), "bone", layout)
        series.append(view.reshape(len(part), FRAMES, -1).numpy().transpose(0, 2, 1).copy())
    transform = MiniRocket(random_state=0).fit(series[0])
    known, queries = (transform.transform(x).astype(np.float64) for x in series)
    deviation = known.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    return [(x - known.mean(axis=0)) / deviation for x in (known, queries)]
