"""Accuracy of kNN and of ridge regression on clips held out a fold at a time: cross-validation of frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Bool, Int64
from torch import Tensor

from i2md.evaluation.features import Features, with_ensemble
from i2md.evaluation.neighbours import knn_predictions
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings


def held_out_accuracies(
    features: Features, labels: Int64[Tensor, " clips"], folds: Sequence[Bool[Tensor, " clips"]]
) -> dict[str, dict[str, float]]:
    """Share of clips that are classified correctly while their fold is held out.

    Args:
        features: Of labelled clips, by stream.
        labels: Their classes.
        folds: Which clips are held out together; every clip is in one fold.

    Returns:
        By classifier, "knn" (k = 1) and "ridge", then by stream and for the ensemble.
    """
    right: dict[str, dict[str, int]] = {"knn": {}, "ridge": {}}
    for fold in folds:
        held_out = fold.to(labels.device)
        kept, tested = ({name: f[part] for name, f in features.items()} for part in (~held_out, held_out))
        for classifier, predict in (("knn", knn_predictions), ("ridge", _ridge_predictions)):
            for name, predicted in predict(kept, tested, labels[~held_out]).items():
                counted = int((predicted == labels[held_out]).sum())
                right[classifier][name] = right[classifier].get(name, 0) + counted
    return {
        classifier: {name: count / len(labels) for name, count in counts.items()}
        for classifier, counts in right.items()
    }


def _ridge_predictions(kept: Features, tested: Features, labels: Int64[Tensor, " kept"]) -> Mapping[str, Tensor]:
    classes, penalties = int(labels.max()) + 1, RidgeSettings().penalties
    scores = {name: fit_ridge(f, labels, classes, penalties).scores(tested[name]) for name, f in kept.items()}
    return {name: value.argmax(dim=1) for name, value in with_ensemble(scores).items()}
