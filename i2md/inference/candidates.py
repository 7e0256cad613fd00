"""Candidate classifiers on frozen features, compared by cross-validation.

A candidate is one classifier, or several whose scores are averaged. Each reads one kind of features: those that were
learned by pretraining, or those of a baseline (i2md.evaluation.baselines), which need none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.errors import InputError, require_extra
from i2md.evaluation.baselines import FITTED_CLIPS, FRAMES, MINIROCKET, POSITIONS, MiniRocketFeatures, Positions
from i2md.evaluation.features import Encoders, Features, clip_features
from i2md.evaluation.held_out import grouped_folds
from i2md.evaluation.ridge_regression import LinearClassifier, fit_ridge
from i2md.evaluation.settings import RidgeSettings
from i2md.inference.model import Model
from i2md.skeletons import Layout
from i2md.views.streams import stream
from i2md.views.view import evaluation_view

CandidateName = Literal["learned", "logistic", "positions", "minirocket"]
LEARNED, LOGISTIC = "learned", "logistic"
# The kind of features that each reads.
KINDS = {LEARNED: LEARNED, LOGISTIC: LEARNED, POSITIONS: POSITIONS, MINIROCKET: MINIROCKET}
# Inverse strengths of the logistic regression's penalty.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
_INNER_FOLDS = 3

# Classifiers of each stream by the name of the candidate that they are.
Classifiers = Mapping[str, Mapping[str, LinearClassifier]]


@dataclass(frozen=True)
class FeatureSets:
    """Encoders by kind of features, each with its number of frames a view."""

    layout: Layout
    persons: int
    encoders: Mapping[str, Encoders]
    frames: Mapping[str, int]

    def __call__(self, clips: PackedClips, alone: bool = False) -> dict[str, Features]:
        """Features of clips by kind and stream.

        Args:
            clips: Prepared clips.
            alone: Encode each clip by itself, as in `i2md.evaluation.features.extract`.
        """
        return {
            kind: clip_features(encoders, self.layout, clips, self.frames[kind], self.persons, alone=alone)
            for kind, encoders in self.encoders.items()
        }


def feature_sets(model: Model, kinds: Sequence[str], clips: PackedClips) -> FeatureSets:
    """Encoders of some kinds of features, of the streams of a run.

    Args:
        model: The run.
        kinds: Kinds of features.
        clips: Clips to be classified, without labels: MiniRocket draws its biases from them.

    Raises:
        InputError: MiniRocket is wanted and aeon is not installed.
    """
    config, layout = model.config, model.config.layout
    encoders: dict[str, Encoders] = {LEARNED: model.encoders}
    if POSITIONS in kinds:
        encoders[POSITIONS] = {name: Positions(layout, config.persons) for name in model.encoders}
    if MINIROCKET in kinds:
        require_extra("aeon", "baselines", "candidate minirocket")
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), FITTED_CLIPS)).astype(np.int64))
        view = evaluation_view(clips, torch.as_tensor(chosen, device=clips.rows.device), FRAMES, config.persons)
        encoders[MINIROCKET] = {
            name: MiniRocketFeatures(layout, config.persons, stream(view, name, layout), config.settings.seed)
            for name in model.encoders
        }
    frames = {kind: config.settings.views.frames if kind == LEARNED else FRAMES for kind in encoders}
    return FeatureSets(layout, config.persons, encoders, frames)


def candidate_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The candidates: each classifier, and each sum of those whose scores are of one scale (ridge regressions).

    Args:
        names: Classifiers.

    Raises:
        InputError: A name is unknown, or there is none.

    >>> candidate_names(["learned", "positions"])
    [('learned',), ('positions',), ('learned', 'positions')]
    """
    for name in names:
        if name not in KINDS:
            raise InputError(f"candidate {name[:40]!r} is not known; choose of {', '.join(KINDS)}")
    ordered = [name for name in KINDS if name in names]
    if not ordered:
        raise InputError(f"no candidate is named; choose of {', '.join(KINDS)}")
    sums = [name for name in ordered if name != LOGISTIC]
    return [(name,) for name in ordered] + [
        chosen for count in range(2, len(sums) + 1) for chosen in combinations(sums, count)
    ]


def fit_classifiers(
    names: Sequence[str],
    features: Mapping[str, Features],
    labels: Int64[Tensor, " clips"],
    groups: Int64[np.ndarray, " clips"],
    num_classes: int,
) -> dict[str, dict[str, LinearClassifier]]:
    """Fit classifiers to clips.

    Args:
        names: Their names.
        features: By kind and stream.
        labels: Classes of the clips.
        groups: Subject or recording of each clip, by which the strength of the logistic regression is chosen.
        num_classes: Number of classes.
    """
    found = {}
    for name in names:
        streams = features[KINDS[name]]
        if name == LOGISTIC:
            found[name] = fit_logistic(streams, labels, groups, num_classes)
        else:
            penalties = RidgeSettings().penalties
            found[name] = {s: fit_ridge(f, labels, num_classes, penalties) for s, f in streams.items()}
    return found


def scores_of(classifiers: Classifiers, features: Mapping[str, Features]) -> dict[str, Float[Tensor, "clips classes"]]:
    """Scores of clips by classifier, mean of the streams.

    Args:
        classifiers: By name and stream.
        features: Of the clips, by kind and stream.
    """
    return {
        name: torch.stack([each.scores(features[KINDS[name]][s]) for s, each in streams.items()]).mean(dim=0)
        for name, streams in classifiers.items()
    }


def summed(scores: Mapping[str, Tensor], candidate: Sequence[str]) -> Tensor:
    """Scores of a candidate: the mean of its classifiers'.

    Args:
        scores: By classifier.
        candidate: Names of its classifiers.
    """
    return torch.stack([scores[name] for name in candidate]).mean(dim=0)


def part_of(features: Mapping[str, Features], clips: Bool[Tensor, " clips"]) -> dict[str, Features]:
    """Features of some of the clips.

    Args:
        features: By kind and stream.
        clips: Which ones.
    """
    return {kind: {name: value[clips] for name, value in streams.items()} for kind, streams in features.items()}


def out_of_fold_scores(
    names: Sequence[str],
    features: Mapping[str, Features],
    labels: Int64[Tensor, " clips"],
    groups: Int64[np.ndarray, " clips"],
    folds: Sequence[Bool[Tensor, " clips"]],
    num_classes: int,
) -> dict[str, Float[Tensor, "clips classes"]]:
    """Scores of each clip by classifiers that were fitted without its fold.

    Args:
        names: Names of the classifiers.
        features: By kind and stream.
        labels: Classes of the clips.
        groups: Subject or recording of each clip.
        folds: Which clips are held out together; every clip is in one fold.
        num_classes: Number of classes.
    """
    found = {name: torch.zeros(len(labels), num_classes) for name in names}
    for fold in folds:
        kept = ~fold
        fitted = fit_classifiers(names, part_of(features, kept), labels[kept], groups[kept.numpy()], num_classes)
        for name, scores in scores_of(fitted, part_of(features, fold)).items():
            found[name][fold] = scores
    return found


def fit_logistic(
    features: Features, labels: Int64[Tensor, " clips"], groups: Int64[np.ndarray, " clips"], num_classes: int
) -> dict[str, LinearClassifier]:
    """Logistic regression on the standardised features of all streams, its strength chosen on these clips alone.

    The features are rotated into the space that the clips span, where the solution lies, which makes it quick.

    Args:
        features: Of the clips, by stream.
        labels: Their classes.
        groups: Subject or recording of each clip: a group is never on both sides when the strength is chosen.
        num_classes: Number of classes; those without a clip get the score of -30.
    """
    from sklearn.linear_model import LogisticRegression

    stacked = torch.cat(list(features.values()), dim=1).double().cpu()
    mean, deviation = stacked.mean(dim=0), stacked.std(dim=0, unbiased=False)
    deviation = torch.where(deviation > 1e-6 * mean.abs(), deviation, 1.0)
    _, singular, directions = torch.linalg.svd((stacked - mean) / deviation, full_matrices=False)
    directions = directions[singular > 1e-9 * singular[0]]
    x, y = (((stacked - mean) / deviation) @ directions.T).numpy(), labels.cpu().numpy()
    strength = _best_strength(x, y, groups)
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(x, y)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(coefficients) == 1:  # two classes have one row
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights = torch.zeros(stacked.shape[1], num_classes, dtype=torch.float64)
    offset = torch.full((num_classes,), -30.0, dtype=torch.float64)
    weights[:, fitted.classes_] = directions.T @ torch.as_tensor(coefficients.T)
    offset[fitted.classes_] = torch.as_tensor(intercepts)
    widths = [value.shape[1] for value in features.values()]
    parts = zip(features, mean.split(widths), deviation.split(widths), weights.split(widths), strict=True)
    # The mean over the streams of these is the whole model's score.
    return {name: LinearClassifier(m, d, w * len(widths), offset, 1 / strength) for name, m, d, w in parts}


def _best_strength(x: np.ndarray, y: np.ndarray, groups: Int64[np.ndarray, " clips"]) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    held_out = [fold.numpy() for fold in grouped_folds(y, groups, _INNER_FOLDS)]
    folds = [(np.flatnonzero(~fold), np.flatnonzero(fold)) for fold in held_out if len(np.unique(y[~fold])) > 1]
    if not folds:
        return STRENGTHS[0]
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": STRENGTHS}, cv=folds, refit=False)
    return float(search.fit(x, y).best_params_["C"])
