"""Calibration: are the probabilities of a ridge regression, scaled by a temperature, those with which it is right?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from i2md.errors import InputError
from i2md.evaluation.calibration import calibration_error, fit_temperature
from i2md.evaluation.features import Features, with_ensemble
from i2md.evaluation.held_out import grouped_folds, groups_of
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings

# Folds of the training clips at most; subjects are joined where there are more.
FOLDS = 10


def calibration(data: ProbeData, settings: RidgeSettings) -> Iterator[Outcome]:
    """Expected calibration error on the test clips, before and after scaling by a temperature.

    The temperature is fitted to scores of training clips whose subject was held out (each clip by itself where subjects
    are unknown).

    Args:
        data: Features and labels of the training and test clips.
        settings: Strengths of the penalty.

    Raises:
        InputError: There are fewer than two training clips.
    """
    labels = data.train_labels
    if len(labels) < 2:
        raise InputError("calibration: needs two labelled training clips or more; label more clips")
    groups = groups_of(data.train_subjects.cpu().numpy())
    held_out: dict[str, Tensor] = {}
    for fold in grouped_folds(labels.cpu().numpy(), groups, FOLDS):
        part = fold.to(data.device)
        for name, scores in _scores(data, settings, data.train_features, ~part, data.train_features, part).items():
            held_out.setdefault(name, scores.new_zeros(len(labels), data.num_classes))[part] = scores
    everything = torch.ones(len(labels), dtype=torch.bool, device=data.device)
    logits = _scores(data, settings, data.train_features, everything, data.test_features, None)
    metrics: dict[str, dict[str, float]] = {"ECE": {}, "ECE before": {}}
    for name, scores in logits.items():
        scaled = scores.double() / fit_temperature(held_out[name], labels)
        metrics["ECE"][name] = calibration_error(scaled.softmax(dim=1), data.test_labels)
        metrics["ECE before"][name] = calibration_error(scores.softmax(dim=1), data.test_labels)
    predictions = {name: scores.argmax(dim=1) for name, scores in logits.items()}
    yield Outcome(prediction_scores(predictions, data.test_labels, data.num_classes, metrics))


def _scores(
    data: ProbeData,
    settings: RidgeSettings,
    train: Features,
    kept: Tensor,
    test: Features,
    scored: Tensor | None,
) -> Mapping[str, Tensor]:
    """Scores by stream and of the ensemble, of some of `test`, by ridge regressions on the `kept` of `train`."""
    found = {}
    for name, features in train.items():
        fitted = fit_ridge(features[kept], data.train_labels[kept], data.num_classes, settings.penalties)
        found[name] = fitted.scores(test[name] if scored is None else test[name][scored])
    return with_ensemble(found)


CALIBRATION = Protocol("calibration", (RidgeSettings,), calibration, scale_free=True)
