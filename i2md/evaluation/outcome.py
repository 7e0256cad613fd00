"""What a protocol comes to: measures of one training, or of several draws of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from i2md.evaluation.classify import Trained
from i2md.evaluation.metrics import Judged


@dataclass(frozen=True)
class Outcome:
    """Measures by stream and for the ensemble, and what else there is to say, as JSON data.

    `draws` has an entry a draw of the labels, where they were drawn; `judged` is then their mean, and has no
    predictions.
    """

    name: str
    judged: Judged
    extra: dict[str, Any]
    draws: list[dict[str, Any]] | None = None


def of_one(name: str, trained: Trained, extra: dict[str, Any]) -> Outcome:
    """The outcome of one training: its last epoch, and the official figure beside it."""
    return Outcome(name, trained.judged, {**extra, "best_test_epoch": trained.best_test_epoch})


def of_draws(name: str, trained: Sequence[Trained], clips: Sequence[list[str]], extra: dict[str, Any]) -> Outcome:
    """The mean over draws with their spread, the sample standard deviation; confusions are added up."""
    draws = [
        {
            "train_clips": chosen,
            "accuracy": one.judged.accuracy,
            "best_test_epoch": one.best_test_epoch,
            "predictions": {stream: value.tolist() for stream, value in one.judged.predictions.items()},
        }
        for chosen, one in zip(clips, trained, strict=True)
    ]
    judged = [one.judged for one in trained]
    accuracies = [one.accuracy for one in judged]
    measures = {name: _mean([one.measures[name] for one in judged]) for name in judged[0].measures}
    confusion = {stream: np.sum([one.confusion[stream] for one in judged], axis=0) for stream in judged[0].confusion}
    told = {**extra, "spread": _spread(accuracies), "best_test_epoch": _mean([one.best_test_epoch for one in trained])}
    return Outcome(name, Judged({}, _mean(accuracies), confusion, measures), told, draws)


def _mean(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    return {stream: fmean(one[stream] for one in figures) for stream in figures[0]}


def _spread(figures: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """None where a single draw has none."""
    return {stream: stdev(one[stream] for one in figures) if len(figures) > 1 else None for stream in figures[0]}
