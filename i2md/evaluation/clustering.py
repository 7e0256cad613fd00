"""Clusters of clips by their features: k-means and HDBSCAN of scikit-learn, and how far clusters can be relied on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Float32, Float64, Int64

from i2md.errors import InputError

MOST_CLUSTERS = 12
# Numbers of clusters that are tried first; then all between the neighbours of the best.
_TRIED = (*range(2, 13), 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200)
# Fits of k-means from other starts, of which the best counts.
_STARTS = 4
_WIDE = 50  # wider features go through PCA first: the same neighbourhoods, in a fraction of the time
_EXAMPLES = 3
# The silhouette coefficient compares all pairs of so many clips.
_PAIRED = 4000
# Of more clips the number of clusters is chosen on so many, spread evenly.
_CHOSEN_ON = 20_000
# Part of the clips that each fit of `stability` sees.
_KEPT = 0.8

Rows = Float64[np.ndarray, "clips reduced"]
Assigned = Int64[np.ndarray, " clips"]


@dataclass(frozen=True)
class Clusters:
    """Clusters of clips, the largest first."""

    assigned: Assigned
    """Number of each clip's cluster, from 0; -1 for a clip in none."""
    examples: list[list[int]]
    """By cluster, the clips nearest to its centre, the nearest first."""
    silhouette: float
    """Mean silhouette coefficient, from -1 to 1: near 1 where clusters are apart, near 0 where they touch."""
    chosen: bool
    """Whether the number of clusters was chosen here, by the silhouette coefficient."""
    tried: dict[int, float] = field(default_factory=dict)
    """Silhouette coefficient by the number of clusters, where it was chosen."""

    @property
    def names(self) -> list[str]:
        """What the clusters are called."""
        return [f"cluster {number + 1}" for number in range(len(self.examples))]

    @property
    def sizes(self) -> list[int]:
        """Number of clips of each cluster."""
        return [int((self.assigned == number).sum()) for number in range(len(self.examples))]


def unit_vectors(features: Mapping[str, Float32[np.ndarray, "clips _"]]) -> Float32[np.ndarray, "clips width"]:
    """The streams' features side by side, each of length 1 (or 0): products are sums of cosine similarities.

    Args:
        features: Of the clips, by stream.
    """
    tiny = np.finfo(np.float32).tiny
    lengths = {name: np.linalg.norm(each, axis=1, keepdims=True) for name, each in features.items()}
    return np.concatenate([each / np.maximum(lengths[name], tiny) for name, each in features.items()], axis=1)


def cluster(
    features: Float32[np.ndarray, "clips width"],
    number: int | None = None,
    most: int = MOST_CLUSTERS,
    examples: int = _EXAMPLES,
) -> Clusters:
    """Cluster clips by k-means on their normalised features.

    Args:
        features: Of the clips, finite and not all equal.
        number: Number of clusters; by default the one with the highest silhouette coefficient.
        most: The largest number that is tried.
        examples: Number of examples of each cluster.

    Raises:
        InputError: There are not as many different clips as clusters, or fewer than 2 clusters are asked for.
    """
    rows = reduced(features)
    different = len(np.unique(rows, axis=0))
    if number is not None and not 2 <= number < different:
        raise InputError(f"{number} clusters of {different} different clips; choose from 2 to {different - 1}")
    if number is None and different < 3:
        return Clusters(np.zeros(len(rows), np.int64), [list(range(min(len(rows), examples)))], 0.0, True)
    if number is None and len(rows) > _CHOSEN_ON:
        some = np.linspace(0, len(rows) - 1, _CHOSEN_ON).astype(np.int64)
        on_some = cluster(features[some], None, most, examples)
        return described(rows, kmeans(rows, len(on_some.examples), 0), examples, True, on_some.tried)
    fits: dict[int, Assigned] = {}
    apart: dict[int, float] = {}

    def fit(numbers: Sequence[int]) -> None:
        for k in numbers:
            if k not in fits and 2 <= k <= min(most, different - 1):
                fits[k] = kmeans(rows, k, 0)
                apart[k] = silhouette(rows, fits[k])

    fit(_TRIED if number is None else [])
    if number is None:
        place = _TRIED.index(max(apart, key=lambda k: apart[k]))
        fit(range(_TRIED[max(place - 1, 0)] + 1, _TRIED[min(place + 1, len(_TRIED) - 1)]))
        best = max(sorted(apart), key=lambda k: apart[k])
    else:
        best = number
        fits[best] = kmeans(rows, best, 0)
        apart[best] = silhouette(rows, fits[best])
    tried = dict(sorted(apart.items())) if number is None else {}
    return described(rows, fits[best], examples, number is None, tried)


def density_clusters(
    features: Float32[np.ndarray, "clips width"], least: int | None = None, examples: int = _EXAMPLES
) -> Clusters:
    """Cluster clips by HDBSCAN, which leaves out clips that are like few others.

    Args:
        features: Of the clips, finite and not all equal.
        least: Number of clips of the smallest cluster; by default 5, or a 200th of the clips where that is more.
        examples: Number of examples of each cluster.

    Raises:
        InputError: There are fewer clips than the smallest cluster has, or it has fewer than 2.

    Source: Campello, Moulavi and Sander, "Density-Based Clustering Based on Hierarchical Density Estimates" (PAKDD
    2013).
    """
    rows = reduced(features)
    least = max(5, len(rows) // 200) if least is None else least
    if not 2 <= least <= len(rows):
        raise InputError(f"clusters of at least {least} of {len(rows)} clips; choose from 2 to {len(rows)}")
    return described(rows, hdbscan(rows, least), examples, True)


def kmeans(rows: Rows, number: int, seed: int) -> Assigned:
    """The cluster of each row by k-means, the best of several starts.

    Args:
        rows: Of the clips, from `reduced`.
        number: Number of clusters.
        seed: Seed of the starts.
    """
    from sklearn.cluster import KMeans

    return KMeans(number, n_init=_STARTS, random_state=seed).fit_predict(rows).astype(np.int64)


def hdbscan(rows: Rows, least: int) -> Assigned:
    """The cluster of each row by HDBSCAN, -1 for none.

    Args:
        rows: Of the clips, from `reduced`.
        least: Number of rows of the smallest cluster.
    """
    from sklearn.cluster import HDBSCAN

    return HDBSCAN(min_cluster_size=least, copy=True).fit_predict(rows).astype(np.int64)


def silhouette(rows: Rows, assigned: Assigned) -> float:
    """Mean silhouette coefficient of the rows that are in a cluster, of many rows of a sample; 0 for one cluster."""
    from sklearn.metrics import silhouette_score

    inside = np.flatnonzero(assigned >= 0)
    inside = inside[np.unique(np.linspace(0, len(inside) - 1, min(len(inside), _PAIRED)).astype(np.int64))]
    if not 2 <= len(np.unique(assigned[inside])) < len(inside):
        return 0.0
    return float(silhouette_score(rows[inside], assigned[inside]))


def stability(rows: Rows, fit: Callable[[Rows, int], Assigned], seeds: int) -> float:
    """How alike the clusters of different parts of the clips are: the mean adjusted Rand index of pairs of fits.

    Args:
        rows: Of the clips, from `reduced`.
        fit: Makes clusters of rows, given a seed.
        seeds: Number of fits; each is of another random 80 % of the clips, with another seed.

    Returns:
        1 where all fits divide the clips that they have in common in the same way, about 0 where they do by chance.
    """
    fits = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(rows))
        chosen = np.sort(order[: max(2, int(_KEPT * len(rows)))])
        labels = np.full(len(rows), -2)
        labels[chosen] = fit(rows[chosen], seed)
        fits.append(labels)
    pairs = [(one, other, (one > -2) & (other > -2)) for one, other in combinations(fits, 2)]
    return float(np.mean([agreement(one[both], other[both])["ARI"] for one, other, both in pairs]))


def agreement(labels: Assigned, assigned: Assigned) -> dict[str, float]:
    """How well clusters agree with labels.

    Args:
        labels: Classes of clips.
        assigned: Their clusters.

    Returns:
        `NMI`, normalised mutual information, from 0 to 1, and `ARI`, the adjusted Rand index, 0 by chance and 1 for
        the same division.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        "NMI": float(normalized_mutual_info_score(labels, assigned)),
        "ARI": float(adjusted_rand_score(labels, assigned)),
    }


def described(
    rows: Rows, found: Assigned, examples: int, chosen: bool, tried: dict[int, float] | None = None
) -> Clusters:
    """Clusters in the order of their sizes, with their examples.

    Args:
        rows: Of the clips.
        found: The cluster of each, -1 for none.
        examples: Number of examples of each cluster.
        chosen: Whether the number of clusters was chosen.
        tried: Silhouette coefficient by number of clusters.
    """
    counts = np.bincount(found[found >= 0], minlength=int(found.max()) + 1)
    order = np.argsort(-counts, kind="stable")
    place = np.append(np.argsort(order), -1)  # -1 stays
    assigned = place[found].astype(np.int64)
    nearest = []
    for number in range(len(counts)):
        members = np.flatnonzero(assigned == number)
        distances = np.linalg.norm(rows[members] - rows[members].mean(axis=0), axis=1)
        nearest.append([int(clip) for clip in members[np.argsort(distances, kind="stable")][:examples]])
    return Clusters(assigned, nearest, silhouette(rows, assigned), chosen, tried or {})


def reduced(features: Float32[np.ndarray, "clips width"]) -> Rows:
    """Features normalised, because kNN evaluation compares them by cosine similarity, in at most 50 dimensions.

    Args:
        features: Of the clips.
    """
    from sklearn.decomposition import PCA

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    rows = (features / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float64)
    if rows.shape[1] > _WIDE:
        rows = PCA(min(_WIDE, len(rows)), random_state=0).fit_transform(rows)
    return rows
