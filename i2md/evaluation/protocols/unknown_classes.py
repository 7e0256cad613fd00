"""Open-set evaluation: one class after another is unknown; do its test clips look less known than the others'?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from i2md.errors import InputError
from i2md.evaluation.features import Features
from i2md.evaluation.held_out import grouped_folds, groups_of
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.open_set import (
    auroc,
    best_score,
    false_alarms_at_recall,
    known_scores,
    left_out_classes,
    unit_features,
)
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import ENSEMBLE, Outcome
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings

# Ridge regressions' scores are divided by it; the threshold, and so the AUROC, hardly depends on it.
TEMPERATURE = 0.15
FOLDS = 4


def open_set(data: ProbeData, settings: RidgeSettings) -> Iterator[Outcome]:
    """AUROC of test clips of known classes against those of a class left out of training, mean over all classes.

    For each class the score (largest probability, energy, nearest training clip) is chosen by leaving out the other
    classes of the training clips. Accuracy is that of a ridge regression on all classes.

    Args:
        data: Features and labels of the training and test clips.
        settings: Strengths of the penalty.

    Raises:
        InputError: There are fewer than three classes.
    """
    labels, tested = data.train_labels, data.test_labels
    classes = sorted(set(labels.unique().tolist()) & set(tested.unique().tolist()))
    if len(labels.unique()) < 3 or not classes:
        raise InputError("open-set: needs training clips of three classes or more; label more clips")
    streams: dict[str, tuple[str, ...]] = {name: (name,) for name in data.train_features}
    if len(streams) > 1:
        streams[ENSEMBLE] = tuple(data.train_features)
    groups = groups_of(data.train_subjects.cpu().numpy())
    folds = [fold.to(data.device) for fold in grouped_folds(labels.cpu().numpy(), groups, FOLDS)]
    metrics: dict[str, dict[str, float]] = {"AUROC": {}, "false alarms at 95 % recall": {}}
    predictions = {}
    for name, members in streams.items():
        train = {stream: data.train_features[stream] for stream in members}
        test = {stream: data.test_features[stream] for stream in members}
        found = _unknown(train, labels, test, tested, classes, folds, settings)
        for metric, values in zip(metrics, np.mean(found, axis=0), strict=True):
            metrics[metric][name] = float(values)
        predictions[name] = _logits(train, labels, test, settings).argmax(dim=1)
    yield Outcome(prediction_scores(predictions, tested, data.num_classes, metrics))


def _unknown(
    train: Features,
    labels: Tensor,
    test: Features,
    tested: Tensor,
    classes: Sequence[int],
    folds: Sequence[Tensor],
    settings: RidgeSettings,
) -> list[tuple[float, float]]:
    """AUROC and false alarms for each class as the unknown one."""

    def fit_and_score(kept: Tensor, scored: Tensor) -> tuple[Tensor, Features, Features]:
        of_kept, of_scored = ({s: value[part] for s, value in train.items()} for part in (kept, scored))
        return _logits(of_kept, labels[kept], of_scored, settings), of_scored, of_kept

    rocs = left_out_classes(labels, folds, fit_and_score, classes)
    found = []
    for unknown in classes:
        others = {
            score: float(np.mean([value for label, value in values.items() if label != unknown]))
            for score, values in rocs.items()
            if set(values) - {unknown}
        }
        kept = labels != unknown
        known_clips = {s: value[kept] for s, value in train.items()}
        logits = _logits(known_clips, labels[kept], test, settings)
        values = known_scores(best_score(others), logits, test, unit_features(known_clips)).double().cpu().numpy()
        is_unknown = (tested == unknown).cpu().numpy()
        pair = values[~is_unknown], values[is_unknown]
        found.append((auroc(*pair), false_alarms_at_recall(*pair)))
    return found


def _logits(train: Features, labels: Tensor, test: Features, settings: RidgeSettings) -> Tensor:
    """Scores of the classes that occur, of a ridge regression on each stream."""
    present, numbers = torch.unique(labels, return_inverse=True)
    fitted = {s: fit_ridge(value, numbers, len(present), settings.penalties) for s, value in train.items()}
    return torch.stack([each.scores(test[s]) for s, each in fitted.items()]).mean(dim=0) / TEMPERATURE


OPEN_SET = Protocol("open-set", (RidgeSettings,), open_set, scale_free=True)
