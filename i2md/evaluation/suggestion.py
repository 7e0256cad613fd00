"""Which clips to label next: typical ones of clusters without a label, later those that a classifier is unsure of.

With few labels typical clips teach more than clips that a classifier is unsure of, and with many it is the other way
round (Hacohen, Dekel and Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets", ICML
2022, whose TypiClust the first part is).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64

from i2md.evaluation.clustering import kmeans, reduced, unit_vectors
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings

# A clip is typical if so many clips of its cluster are near.
_NEIGHBOURS = 20
# From so many labels a class on, clips are chosen that a classifier is unsure of.
ENOUGH = 5
# Of so many times as many unsure clips some of different kinds are chosen.
_UNSURE = 4
# Clusters of more clips than this would take long.
_MOST_CLUSTERS = 500

COVERAGE, UNCERTAINTY = "coverage", "uncertainty"


class Suggestion(NamedTuple):
    """A clip to label, and why."""

    clip: int
    reason: str
    """`coverage` or `uncertainty`."""
    size: int
    """Number of clips of its cluster."""


def suggest_clips(
    features: Mapping[str, np.ndarray], labels: Int64[np.ndarray, " clips"], count: int, seed: int = 0
) -> list[Suggestion]:
    """Choose clips to label next.

    Args:
        features: Features (clips, width) by stream.
        labels: Classes of clips, -1 for a clip without a label.
        count: How many to choose.
        seed: Of k-means.

    Returns:
        At most `count` clips without a label, the most useful first.
    """
    rows = reduced(unit_vectors(features))
    known = np.flatnonzero(labels >= 0)
    count = min(count, len(labels) - len(known))
    classes = len(np.unique(labels[known]))
    if count and classes > 1 and len(known) >= ENOUGH * classes:
        return _unsure(features, rows, labels, count, seed)
    return _typical(rows, known, count, seed)


def _typical(
    rows: Float64[np.ndarray, "clips reduced"], known: Int64[np.ndarray, " labelled"], count: int, seed: int
) -> list[Suggestion]:
    """Typical clips of as many clusters as there will be labels: of those without a label, the largest first."""
    number = min(len(known) + count, _MOST_CLUSTERS, len(np.unique(rows, axis=0)))
    assigned = kmeans(rows, number, seed) if number > 1 else np.zeros(len(rows), np.int64)
    sizes = np.bincount(assigned, minlength=number)
    labelled = np.bincount(assigned[known], minlength=number)
    left = [np.setdiff1d(np.flatnonzero(assigned == each), known) for each in range(number)]
    found: list[Suggestion] = []
    while len(found) < count:
        cluster = min((each for each in range(number) if len(left[each])), key=lambda n: (labelled[n], -sizes[n]))
        clip = left[cluster][int(np.argmin(_spread(rows, left[cluster], np.flatnonzero(assigned == cluster))))]
        found.append(Suggestion(int(clip), COVERAGE, int(sizes[cluster])))
        left[cluster] = left[cluster][left[cluster] != clip]
        labelled[cluster] += 1
    return found


def _spread(
    rows: Float64[np.ndarray, "clips reduced"], some: Int64[np.ndarray, " some"], members: Int64[np.ndarray, " members"]
) -> Float64[np.ndarray, " some"]:
    """The mean distance of some members of a cluster to their nearest neighbours in it."""
    squares = (rows[members] ** 2).sum(axis=1)
    found = []
    for clip in some:
        distances = np.sqrt(np.maximum(squares + squares[members == clip] - 2 * rows[members] @ rows[clip], 0))
        found.append(np.sort(distances)[1 : _NEIGHBOURS + 1].mean() if len(members) > 1 else 0.0)
    return np.array(found)


def _unsure(
    features: Mapping[str, np.ndarray],
    rows: Float64[np.ndarray, "clips reduced"],
    labels: Int64[np.ndarray, " clips"],
    count: int,
    seed: int,
) -> list[Suggestion]:
    """Clips between two classes by a ridge regression, of each kind one: those are divided into clusters."""
    known, open_ = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    classes, targets = np.unique(labels[known], return_inverse=True)
    scores = torch.zeros(len(open_), len(classes))
    for each in features.values():
        values = torch.as_tensor(np.ascontiguousarray(each))
        classifier = fit_ridge(
            values[torch.as_tensor(known)], torch.as_tensor(targets), len(classes), RidgeSettings().penalties
        )
        scores += classifier.scores(values[torch.as_tensor(open_)])
    top = scores.topk(2, dim=1).values
    order = torch.argsort(top[:, 0] - top[:, 1], stable=True).numpy()
    candidates = open_[order[: min(_UNSURE * count, len(open_))]]
    number = min(count, len(np.unique(rows[candidates], axis=0)))
    assigned = kmeans(rows[candidates], number, seed) if number > 1 else np.zeros(len(candidates), np.int64)
    # The least sure of each kind, then the next ones.
    rank = np.zeros(len(candidates), np.int64)
    for kind in range(number):
        rank[assigned == kind] = np.arange(int((assigned == kind).sum()))
    chosen = np.lexsort((np.arange(len(candidates)), rank))[:count]
    return [Suggestion(int(candidates[n]), UNCERTAINTY, int((assigned == assigned[n]).sum())) for n in chosen]
