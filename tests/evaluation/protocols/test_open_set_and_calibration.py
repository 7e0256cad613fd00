"""Protocols `open-set` and `calibration`: results beside baselines, and what classes far apart must give."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import i2md
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols.calibrated import calibration
from i2md.evaluation.protocols.unknown_classes import open_set
from i2md.evaluation.settings import RidgeSettings


def made(spread: float) -> ProbeData:
    """Clips of four classes, whose features are normal around the class's own direction."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 4
    features = {"joint": torch.eye(8)[labels] * 4 + spread * torch.randn(80, 8, generator=draws)}
    tested = {"joint": torch.eye(8)[labels] * 4 + spread * torch.randn(80, 8, generator=draws)}
    about = {"train_features": features, "test_features": tested, "train_labels": labels, "test_labels": labels}
    subjects = torch.arange(80) // 4 % 5
    data = object.__new__(ProbeData)
    # Of its fields those that the protocols read.
    vars(data).update(about, train_subjects=subjects, num_classes=4, train=SimpleNamespace(rows=labels))
    return data


def test_classes_in_directions_of_their_own_are_told_from_known_ones() -> None:
    (outcome,) = open_set(made(0.3), RidgeSettings())
    scores = outcome.scores["joint"]
    assert scores.metrics["AUROC"] > 0.99
    assert scores.metrics["false alarms at 95 % recall"] < 0.05
    assert scores.accuracy == 1


def test_a_temperature_repairs_what_ridge_scores_lack() -> None:
    (outcome,) = calibration(made(1.5), RidgeSettings())
    metrics = outcome.scores["joint"].metrics
    assert metrics["ECE"] < metrics["ECE before"] / 2


@pytest.mark.parametrize(
    ("protocol", "metrics"),
    [("open-set", {"AUROC", "false alarms at 95 % recall"}), ("calibration", {"ECE", "ECE before"})],
)
def test_results_stand_beside_those_of_baselines(
    run: Path, clips: Path, tmp_path: Path, protocol: str, metrics: set[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    results = i2md.evaluate(run=tmp_path / "run", clips=clips, protocol=[protocol], device="cpu")
    assert {result.evaluated for result in results} == {"i2md", "positions", "untrained"}
    for result in results:
        assert set(result.scores) == {"joint", "motion", "bone", "ensemble"}
        for scores in result.scores.values():
            assert set(scores.metrics) >= metrics
            assert all(0 <= value <= 1 for value in scores.metrics.values())
