"""docs/examples/protocol.py, the file itself: registered as an entry point, `i2md evaluate` uses it by its name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

import i2md
from i2md.cli.main import main
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import read_results

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


def test_the_command_evaluates_by_the_example(run: Path, clips: Path, entry_point: Callable[..., None]) -> None:
    entry_point("i2md.protocols", "nearest-mean", "protocol:NEAREST_MEAN", EXAMPLES)
    assert "nearest-mean" in PROTOCOLS
    command = ["evaluate", str(run), str(clips), "--device", "cpu", "--protocol", "nearest-mean"]
    done = subprocess.run([sys.executable, "-m", "i2md", *command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (result,) = read_results(run / "evaluation")
    assert (result.protocol, result.settings) == ("nearest-mean", {"nearest-mean": {"similarity": "cosine"}})
    assert "| nearest-mean " in done.stdout and "nearest-mean" in (run / "report.html").read_text(encoding="utf-8")

    opened, model = i2md.open_clips(clips), i2md.load(run, "cpu")
    train, test = opened.part("xsub", "train"), opened.part("xsub", "test")
    known, queries = model.embed(train), model.embed(test)
    for stream, scores in result.streams.items():
        means = NearestCentroid().fit(known[stream], train.labels).centroids_
        nearest = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(means, range(len(means)))
        np.testing.assert_array_equal(scores.predictions, nearest.predict(queries[stream]))


def test_settings_of_the_example_are_given_by_plugins(
    run: Path, clips: Path, entry_point: Callable[..., None], refused: Callable[..., str]
) -> None:
    entry_point("i2md.protocols", "nearest-mean", "protocol:NEAREST_MEAN", EXAMPLES)
    chosen = ("evaluate", str(run), str(clips), "--device", "cpu", "--protocol", "nearest-mean", "--plugins")
    assert main([*chosen, '{"nearest-mean": {"similarity": "dot"}}']) == 0
    (result,) = read_results(run / "evaluation")
    assert result.settings == {"nearest-mean": {"similarity": "dot"}}
    assert "euclidean" in refused(*chosen, '{"nearest-mean": {"similarity": "euclidean"}}')


def test_an_unknown_protocol_names_the_known_ones_and_the_nearest(
    run: Path, clips: Path, entry_point: Callable[..., None], refused: Callable[..., str]
) -> None:
    entry_point("i2md.protocols", "nearest-mean", "protocol:NEAREST_MEAN", EXAMPLES)
    error = refused("evaluate", run, clips, "--device", "cpu", "--protocol", "nearest-means")
    assert "did you mean nearest-mean?" in error
    assert "choose among knn, retrieval, cluster, ridge, calibration, open-set, segment, linear, linear-sweep" in error


def test_the_example_has_at_most_40_lines() -> None:
    assert len((EXAMPLES / "protocol.py").read_text(encoding="utf-8").splitlines()) <= 40
