"""Temporal segmentation: predictions over time for whole recordings, from labelled intervals of some others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from i2md.errors import InputError
from i2md.evaluation.calibration import fit_temperature
from i2md.evaluation.features import Features, with_ensemble
from i2md.evaluation.held_out import grouped_folds
from i2md.evaluation.metrics import confusion_matrix
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome, Scores, Variant
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.segment_data import SegmentData
from i2md.evaluation.segments import segment_scores
from i2md.evaluation.settings import SegmentSettings
from i2md.evaluation.smoothing import best_markov, median_classes
from i2md.evaluation.timeline import LabelledRecording
from i2md.runtime.progress import progress

# Folds of the labelled windows at most; subjects are joined where there are more.
FOLDS = 10


def segment(data: SegmentData, settings: SegmentSettings) -> Iterator[Outcome]:
    """Frame accuracy, segmental F1 at overlaps of 10, 25 and 50 %, and edit score of predictions over time.

    As `i2md fit` and `i2md predict` do: a ridge regression of each window's features, a temperature and a hidden Markov
    model, which comes from predictions of the labelled recordings while their subject is held out.

    Args:
        data: Windows of labelled and of test recordings.
        settings: Smoothing, penalties.

    Raises:
        InputError: The labelled recordings are of a single subject, or have a single class.

    Source of the metrics: Lea et al., Temporal Convolutional Networks for Action Segmentation and Detection (CVPR
    2017).
    """
    present = np.unique(np.concatenate([each.frames for each in data.train_recordings]))
    labels = torch.searchsorted(torch.as_tensor(present, device=data.device), data.train_labels)
    folds = grouped_folds(labels.cpu().numpy(), data.train_subjects.cpu().numpy(), FOLDS)
    if len(folds) < 2 or len(present) < 2:
        raise InputError("segment: needs labelled recordings of two subjects or more, and two classes; label more")
    held_out: dict[str, Tensor] = {}
    with progress(len(folds) + 1, "segment", "fit", show=len(labels) > 500) as bar:
        for fold in (each.to(data.device) for each in folds):
            kept, tested = (
                {name: value[part] for name, value in data.train_features.items()} for part in (~fold, fold)
            )
            for name, scores in _scores(kept, labels[~fold], tested, len(present), settings).items():
                held_out.setdefault(name, scores.new_zeros(len(labels), len(present)))[fold] = scores
            bar.update(1)
        tested_scores = _scores(data.train_features, labels, data.test_features, len(present), settings)
        bar.update(1)
    found = {}
    for name, scores in tested_scores.items():
        temperature = fit_temperature(held_out[name], labels)
        of_train, of_test = (
            (each.double() / temperature).log_softmax(dim=1).cpu().numpy() for each in (held_out[name], scores)
        )
        found[name] = _segmented(data, settings, present, of_train, of_test)
    yield Outcome(found, data.variant)


def _scores(
    train: Features, labels: Tensor, test: Features, classes: int, settings: SegmentSettings
) -> dict[str, Tensor]:
    """Scores by stream and of the ensemble."""
    return with_ensemble(
        {
            name: fit_ridge(value, labels, classes, settings.penalties).scores(test[name])
            for name, value in train.items()
        }
    )


def _segmented(
    data: SegmentData, settings: SegmentSettings, present: np.ndarray, of_train: np.ndarray, of_test: np.ndarray
) -> Scores:
    """Scores of the smoothed predictions.

    Args:
        data: The recordings.
        settings: Smoothing.
        present: The classes that occur in the labelled recordings, by the columns of the log probabilities.
        of_train: Log probabilities of the labelled windows.
        of_test: Log probabilities of the windows of the test recordings.
    """
    train = [
        LabelledRecording(each.bounds, np.searchsorted(present, each.frames), each.rows)
        for each in data.train_recordings
    ]
    background = len(present) - 1 if data.background in present else None
    markov = best_markov(train, of_train, background)[0] if settings.smooth == "hmm" else None

    def decode(rows: np.ndarray) -> np.ndarray:
        if markov is not None:
            return markov.decode(rows)
        return median_classes(rows) if settings.smooth == "median" else rows.argmax(axis=1)

    true, predicted = [], []
    for each in data.test_recordings:
        # Where nobody is seen there is no action.
        windows = np.full(len(each.rows), data.background)
        seen = each.rows >= 0
        if seen.any():
            windows[seen] = present[decode(of_test[each.rows[seen]])]
        true.append(each.frames)
        predicted.append(each.bounds.by_frame(windows))
    scores = segment_scores(true, predicted, data.background)
    return Scores(
        accuracy=scores.frame_accuracy,
        metrics={**{f"F1@{100 * overlap:g}": value for overlap, value in scores.f1.items()}, "edit": scores.edit},
        confusion=confusion_matrix(np.concatenate(true), np.concatenate(predicted), data.num_classes).tolist(),
    )


def _variants(settings: SegmentSettings) -> list[Variant]:
    if not settings.subjects:
        return [Variant()]
    return [Variant(draw=draw, labelled_subjects=settings.subjects) for draw in range(settings.draws)]


SEGMENT = Protocol("segment", (SegmentSettings,), segment, variants=_variants, scale_free=True, over_time=True)
