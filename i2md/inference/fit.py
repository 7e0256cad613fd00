"""`i2md fit`: from a few labels to a classifier that predicts, with its accuracy, calibration and rejection measured.

Everything that is chosen is chosen by cross-validation over subjects (recordings where the subjects are not known)
on the labelled clips: the candidate, the temperature, the score of rejection and its threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from i2md.errors import InputError
from i2md.evaluation.calibration import calibration_error, fit_temperature, held_out_calibration
from i2md.evaluation.features import Features
from i2md.evaluation.held_out import grouped_folds
from i2md.evaluation.metrics import accuracy_interval, confusion_matrix
from i2md.evaluation.open_set import KnownScore, best_score, known_scores, left_out_classes, unit_features
from i2md.evaluation.smoothing import best_markov
from i2md.inference.candidates import (
    KINDS,
    LEARNED,
    candidate_names,
    feature_sets,
    fit_classifiers,
    out_of_fold_scores,
    part_of,
    scores_of,
    summed,
)
from i2md.inference.classifier_files import ClassifierInfo, FittedParts, is_rejected
from i2md.inference.model import Model
from i2md.inference.training_set import TrainingSet
from i2md.pretraining.run import versions
from i2md.runtime.progress import progress

MOST_FOLDS = 10
# Classes that are left out, one after another, to choose the score of rejection.
MOST_LEFT_OUT = 20
# Nothing is rejected by a score that tells left-out classes less well.
MIN_AUROC = 0.6


def fit_parts(
    model: Model, data: TrainingSet, candidates: Sequence[str], false_alarms: float, held_out: TrainingSet | None = None
) -> FittedParts:
    """Choose a classifier by cross-validation and fit it to all labelled clips.

    Args:
        model: The run whose features are read.
        data: The labelled clips.
        candidates: Names of classifiers.
        false_alarms: Share of clips of known classes that may be rejected; 0 rejects nothing.
        held_out: Labelled clips that nothing is fitted to, whose accuracy is reported.

    Returns:
        The classifier, with its report.
    """
    chosen = candidate_names(candidates)
    names = list(dict.fromkeys(name for candidate in chosen for name in candidate))
    sets = feature_sets(model, [KINDS[name] for name in names], data.clips)
    features = _on_cpu(sets(data.clips))
    labels, classes = torch.as_tensor(data.labels), len(data.class_names)
    folds = grouped_folds(data.labels, data.groups, MOST_FOLDS)
    if len(folds) < 2:
        raise InputError("fit: a single labelled clip cannot be cross-validated; label more clips")
    scores = out_of_fold_scores(names, features, labels, data.groups, folds, classes)
    accuracies = {
        candidate: float((summed(scores, candidate).argmax(dim=1) == labels).float().mean()) for candidate in chosen
    }
    # The first of equally good ones: single classifiers come first.
    winner = max(chosen, key=lambda candidate: accuracies[candidate])
    of_winner = summed(scores, winner)
    temperature = fit_temperature(of_winner, labels)
    rocs = _rejection(winner, features, data, folds, temperature) if false_alarms else {}
    known = best_score(rocs)
    values = _out_of_fold_known(known, of_winner / temperature, features[LEARNED], folds)
    fitted = fit_classifiers(winner, features, labels, data.groups, classes)
    sets = replace(sets, encoders={kind: sets.encoders[kind] for kind in _kinds(winner)})
    info = ClassifierInfo(
        class_names=data.class_names,
        candidate=winner,
        temperature=temperature,
        known_score=known,
        threshold=_threshold(rocs, values[~_is_background(data).numpy()], false_alarms),
        false_alarms=false_alarms,
        background=data.background,
        windows=data.windows,
        report=_report(data, accuracies, of_winner, folds, rocs, known),
        versions=versions(),
    )
    parts = FittedParts(info, fitted, sets, unit_features(features[LEARNED]), None)
    if data.windows is not None:
        log_probabilities = (of_winner / temperature).log_softmax(dim=1).double().numpy()
        markov, chosen_by, scores_of_all = best_markov(data.recordings, log_probabilities, data.background)
        figures = {**chosen_by, **scores_of_all._asdict()}
        report = {**info.report, "smoothing": figures}
        parts = replace(parts, markov=markov, info=replace(info, report=report))
    if held_out is not None:
        report = {**parts.info.report, "held_out": _held_out(parts, data, held_out)}
        parts = replace(parts, info=replace(parts.info, report=report))
    return parts


def _kinds(candidate: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([LEARNED, *(KINDS[name] for name in candidate)]))


def _on_cpu(features: dict[str, Features]) -> dict[str, Features]:
    return {kind: {name: value.cpu() for name, value in streams.items()} for kind, streams in features.items()}


def _rejection(
    winner: Sequence[str],
    features: dict[str, Features],
    data: TrainingSet,
    folds: Sequence[Bool[Tensor, " clips"]],
    temperature: float,
) -> dict[KnownScore, float]:
    """AUROC of each score of rejection on classes left out."""
    labels = torch.as_tensor(data.labels)
    present = [label for label in range(len(data.class_names)) if label != data.background]
    if len(present) < 3:
        return {}

    def fit_and_score(kept: Tensor, scored: Tensor) -> tuple[Tensor, Features, Features]:
        # Classes are numbered anew: one that is left out has no score.
        numbers, known = torch.unique(labels[kept], return_inverse=True)
        of_kept, of_scored = part_of(features, kept), part_of(features, scored)
        fitted = fit_classifiers(winner, of_kept, known, data.groups[kept.numpy()], len(numbers))
        return summed(scores_of(fitted, of_scored), winner) / temperature, of_scored[LEARNED], of_kept[LEARNED]

    step = -(-len(present) // MOST_LEFT_OUT)
    left_out = present[::step]
    # The strength of a logistic regression is chosen anew for each.
    with progress(len(left_out), "leave classes out", "class", show=len(labels) * len(left_out) > 10_000) as bar:

        def counted(kept: Tensor, scored: Tensor) -> tuple[Tensor, Features, Features]:
            bar.update(1)
            return fit_and_score(kept, scored)

        found = left_out_classes(labels, folds, counted, left_out, _is_background(data))
    return {name: float(np.mean(list(values.values()))) for name, values in found.items()}


def _threshold(rocs: dict[KnownScore, float], values: Float[np.ndarray, " clips"], false_alarms: float) -> float | None:
    """The threshold that rejects a share of clips of known classes; None where none shall be, or by no score."""
    if not false_alarms or (rocs and max(rocs.values()) < MIN_AUROC):
        return None
    return float(np.quantile(values, false_alarms))


def _is_background(data: TrainingSet) -> Bool[Tensor, " clips"]:
    return torch.as_tensor(np.equal(data.labels, -1 if data.background is None else data.background))


def _out_of_fold_known(
    name: KnownScore,
    logits: Float[Tensor, "clips classes"],
    features: Features,
    folds: Sequence[Bool[Tensor, " clips"]],
) -> Float[np.ndarray, " clips"]:
    """The score of rejection of each clip while its fold is held out."""
    values = torch.zeros(len(logits))
    for fold in folds:
        own, others = ({s: value[part] for s, value in features.items()} for part in (fold, ~fold))
        values[fold] = known_scores(name, logits[fold], own, unit_features(others))
    return values.double().numpy()


def _report(
    data: TrainingSet,
    accuracies: dict[tuple[str, ...], float],
    scores: Float[Tensor, "clips classes"],
    folds: Sequence[Bool[Tensor, " clips"]],
    rocs: dict[KnownScore, float],
    known: KnownScore,
) -> dict[str, Any]:
    labels = torch.as_tensor(data.labels)
    predicted = scores.argmax(dim=1)
    right = (predicted == labels).numpy()
    low, high, method = accuracy_interval(right, data.groups)
    before, after = held_out_calibration(scores, labels, folds)
    single = [
        data.class_names[label]
        for label in range(len(data.class_names))
        if len(np.unique(data.groups[data.labels == label])) == 1
    ]
    return {
        "clips": len(labels),
        "unlabelled": data.unlabelled,
        "clips_of_class": dict(zip(data.class_names, np.bincount(data.labels).tolist(), strict=True)),
        "folds": len(folds),
        "held_out_together": data.grouped_by,
        "candidates": {"+".join(name): accuracy for name, accuracy in accuracies.items()},
        "accuracy": float(right.mean()),
        "interval": [low, high],
        "interval_by": method,
        "calibration_error_before": before,
        "calibration_error": after,
        "auroc_of_left_out_classes": dict(rocs),
        "known_score": known,
        "confusion": confusion_matrix(data.labels, predicted.numpy(), len(data.class_names)).tolist(),
        "in_a_single_group": single,
        "notes": list(data.notes),
    }


def _held_out(parts: FittedParts, data: TrainingSet, held_out: TrainingSet) -> dict[str, Any]:
    """Accuracy and calibration on clips that nothing was fitted to."""
    number = {name: label for label, name in enumerate(data.class_names)}
    known = np.array([held_out.class_names[label] in number for label in held_out.labels])
    labels = np.array([number.get(held_out.class_names[label], -1) for label in held_out.labels])
    features = _on_cpu(parts.features(held_out.clips))
    scores = summed(scores_of(parts.classifiers, features), parts.info.candidate)
    logits = scores / parts.info.temperature
    values = known_scores(parts.info.known_score, logits, features[LEARNED], parts.references).numpy()
    right = (scores.argmax(dim=1).numpy() == labels)[known]
    low, high, method = accuracy_interval(right, held_out.groups[known])
    kept = torch.as_tensor(known)
    return {
        "clips": int(known.sum()),
        "of_other_classes": int((~known).sum()),
        "accuracy": float(right.mean()),
        "interval": [low, high],
        "interval_by": method,
        "calibration_error": calibration_error(logits[kept].softmax(dim=1), torch.as_tensor(labels)[kept]),
        "rejected": float(np.mean([is_rejected(parts.info, value) for value in values[known]])),
    }
