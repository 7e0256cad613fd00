"""Ridge evaluation: ridge regression on standardised frozen features, whose scale and size therefore do not matter.

The strength of the penalty is chosen by leave-one-out on the training clips, so nothing is tuned and nothing is random:
the probe to compare features of different kinds by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from jaxtyping import Int64
from torch import Tensor

from i2md.errors import InputError
from i2md.evaluation.features import with_ensemble
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.protocols.few_labels import all_and_few, labelled_clips, names_of_few
from i2md.evaluation.results import Outcome, Scores
from i2md.evaluation.ridge_regression import LinearClassifier, fit_ridge
from i2md.evaluation.settings import RidgeSettings


def ridge(data: ProbeData, settings: RidgeSettings) -> Iterator[Outcome]:
    """A ridge regression of each stream on all training labels, then on each fraction or number of labels and draw.

    Args:
        data: Features and labels of the training and test clips.
        settings: Strengths of the penalty, and the numbers of labels. Draws are those of "semi" and "few-shot".

    Raises:
        InputError: There is a single labelled training clip.
    """
    for variant in all_and_few(settings):
        clips = labelled_clips(data, variant, settings.balanced)
        if len(clips) < 2:
            raise InputError("ridge: leave-one-out needs at least two labelled training clips; label more clips")
        yield Outcome(_scores(data, settings, clips), variant, labelled_clips=names_of_few(data, variant, clips))


def _scores(data: ProbeData, settings: RidgeSettings, clips: Int64[Tensor, " labelled"]) -> dict[str, Scores]:
    known = data.train_labels[clips]
    key = (RIDGE.name, tuple(clips.tolist()), settings.penalties)
    classifiers: dict[str, LinearClassifier] = data.fitted(
        key,
        lambda: {
            name: fit_ridge(features[clips], known, data.num_classes, settings.penalties)
            for name, features in data.train_features.items()
        },
    )
    logits = {name: classifier.scores(data.test_features[name]) for name, classifier in classifiers.items()}
    predictions = {name: value.argmax(dim=1) for name, value in with_ensemble(logits).items()}
    scores = prediction_scores(predictions, data.test_labels, data.num_classes)
    chosen = {name: replace(scores[name], penalty=classifier.penalty) for name, classifier in classifiers.items()}
    return {**scores, **chosen}


RIDGE = Protocol("ridge", (RidgeSettings,), ridge, variants=all_and_few, scale_free=True)
