"""Accuracy against the number of labels, of clips that are chosen by `suggest` and at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from i2md.evaluation.features import with_ensemble
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome, Variant
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import LabelEfficiencySettings
from i2md.evaluation.suggestion import suggest_clips

SUGGESTED, RANDOM = "suggested", "random"


def label_efficiency(data: ProbeData, settings: LabelEfficiencySettings) -> Iterator[Outcome]:
    """Ridge regression on training clips that somebody would have labelled, as many as so many for each class.

    Nobody knows the classes before: clips are chosen among all training clips, and a class may get none. Clips are
    suggested by the features that are evaluated.

    Args:
        data: Features and labels of the training and test clips.
        settings: Numbers of labels, draws and penalties.
    """
    labels = data.train_labels.cpu().numpy()
    number = len(np.unique(labels))
    features = {name: each.cpu().numpy() for name, each in data.train_features.items()}
    for variant in _variants(settings):
        count = min(number * (variant.labels_per_class or 1), len(labels))
        draw = variant.draw or 0
        if variant.selection == SUGGESTED:
            found = suggest_clips(features, np.full(len(labels), -1), count, data.seed * 1000 + draw)
            chosen = np.sort([each.clip for each in found])
        else:
            chosen = np.sort(np.random.default_rng([data.seed, draw]).permutation(len(labels))[:count])
        clips = torch.as_tensor(chosen, device=data.device)
        known = data.train_labels[clips]
        logits = {
            name: fit_ridge(each[clips], known, data.num_classes, settings.penalties).scores(data.test_features[name])
            for name, each in data.train_features.items()
        }
        predictions = {name: value.argmax(dim=1) for name, value in with_ensemble(logits).items()}
        scores = prediction_scores(predictions, data.test_labels, data.num_classes)
        yield Outcome(scores, variant, labelled_clips=[data.train_names[clip] for clip in chosen.tolist()])


def _variants(settings: LabelEfficiencySettings) -> list[Variant]:
    return [
        Variant(labels_per_class=labels, draw=draw, selection=selection)
        for labels in settings.labels
        for selection in (SUGGESTED, RANDOM)
        for draw in range(settings.draws)
    ]


LABEL_EFFICIENCY = Protocol(
    "label-efficiency", (LabelEfficiencySettings,), label_efficiency, variants=_variants, scale_free=True
)
