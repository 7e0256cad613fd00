"""A result as JSON data: the figures of an outcome, and everything that they depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from i2md.data.store import Clips
from i2md.evaluation.metrics import class_accuracies
from i2md.evaluation.outcome import Outcome
from i2md.evaluation.report.run_page import UNTRAINED
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.run import RunConfig, versions


def as_result(
    outcome: Outcome,
    config: RunConfig,
    settings: EvaluationSettings,
    method: str,
    split: str,
    train: Clips,
    test: Clips,
) -> dict[str, Any]:
    """What evaluation/*.json holds; accuracies are those of the last epoch, by stream and for the ensemble."""
    judged = outcome.judged
    plain = {
        "protocol": outcome.name,
        "method": method,
        "dataset": test.dataset.name,
        "split": split,
        "seed": config.settings.seed,
        "recipe": config.recipe,
        "epochs": 0 if method == UNTRAINED else config.settings.epochs,
        "pretrained_on": {"dataset": config.clips.get("name"), "split": config.clips.get("split")},
        "train_clips": len(train),
        "test_clips": len(test),
        "accuracy": judged.accuracy,
        "measures": judged.measures,
        **outcome.extra,
        "class_names": list(test.dataset.class_names),
        "per_class": {stream: class_accuracies(counts) for stream, counts in judged.confusion.items()},
        "confusion": {stream: counts.tolist() for stream, counts in judged.confusion.items()},
        "names": test.columns["name"].tolist(),
        "labels": test.labels.tolist(),
        "settings": asdict(settings),
        "versions": versions(),
    }
    if outcome.draws is not None:
        return {**plain, "draws": outcome.draws}
    return {**plain, "predictions": {stream: value.tolist() for stream, value in judged.predictions.items()}}
