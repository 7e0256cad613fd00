"""Cross-validation of frozen features: folds of whole groups, and the accuracy of kNN and ridge regression by folds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
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


def groups_of(subjects: Int64[np.ndarray, " clips"]) -> Int64[np.ndarray, " clips"]:
    """What clips are held out together: those of a subject, or each by itself where a subject is unknown.

    Args:
        subjects: Number of each clip's subject; -1 where unknown.
    """
    return subjects if (subjects >= 0).all() and len(np.unique(subjects)) > 1 else np.arange(len(subjects))


def grouped_folds(
    labels: Int64[np.ndarray, " clips"], groups: Int64[np.ndarray, " clips"], most: int
) -> list[Bool[Tensor, " clips"]]:
    """Folds of whole groups: each group is one where there are at most `most`, else groups are joined, stratified.

    Args:
        labels: Classes of the clips.
        groups: Subject or recording of each clip.
        most: Number of folds at most.
    """
    names = np.unique(groups)
    if len(names) <= most:
        return [torch.as_tensor(groups == name) for name in names]
    from sklearn.model_selection import StratifiedGroupKFold

    count = max(2, min(most, int(np.bincount(labels).max())))
    found = []
    with warnings.catch_warnings():
        # Of classes with fewer clips than folds.
        warnings.simplefilter("ignore", UserWarning)
        for _, held_out in StratifiedGroupKFold(count, shuffle=True, random_state=0).split(labels, labels, groups):
            fold = torch.zeros(len(labels), dtype=torch.bool)
            fold[held_out] = True
            found.append(fold)
    return [fold for fold in found if fold.any()]
