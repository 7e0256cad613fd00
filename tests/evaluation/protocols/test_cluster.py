"""Protocol `cluster`: the best assignment of clusters to classes, and results of the encoders and of baselines."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path

import numpy as np

import i2md
from i2md.evaluation.protocols.cluster import matched


def test_clusters_are_assigned_so_that_most_clips_are_right() -> None:
    draws = np.random.default_rng(0)
    labels, assigned = draws.integers(0, 4, 50), draws.integers(0, 4, 50)
    best = max(int((np.array(order)[assigned] == labels).sum()) for order in permutations(range(4)))
    assert (matched(labels, assigned, 4) == labels).sum() == best


def test_clusters_of_test_clips_are_results_of_the_run_and_of_baselines(run: Path, clips: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    results = i2md.evaluate(run=tmp_path / "run", clips=clips, protocol=["cluster"], device="cpu")
    found = {(result.evaluated, result.draw): result for result in results}
    assert len(found) == 9 and {name for name, _ in found} == {"i2md", "positions", "untrained"}
    for result in results:
        for scores in result.scores.values():
            assert set(scores.metrics) == {"NMI", "ARI"}
            assert scores.accuracy >= 1 / 4
    # Synthetic actions differ in what moves, which positions show.
    assert found["positions", 0].overall.metrics["NMI"] > 0.3
