"""The report's clusters of clips without labels: k-means on their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from i2md.errors import InputError

MOST_CLUSTERS = 12
_WIDE = 50  # wider features go through PCA first: the same neighbourhoods, in a fraction of the time
_EXAMPLES = 3


@dataclass(frozen=True)
class Clusters:
    """Clusters of clips, the largest first."""

    assigned: Int64[np.ndarray, " clips"]
    """Number of each clip's cluster, from 0."""
    examples: list[list[int]]
    """By cluster, the clips nearest to its centre, the nearest first."""
    silhouette: float
    """Mean silhouette coefficient, from -1 to 1: near 1 where clusters are apart, near 0 where they touch."""
    chosen: bool
    """Whether the number of clusters was chosen here, by the silhouette coefficient."""

    @property
    def names(self) -> list[str]:
        """What the clusters are called."""
        return [f"cluster {number + 1}" for number in range(len(self.examples))]


def cluster(features: Float32[np.ndarray, "clips width"], number: int | None = None) -> Clusters:
    """Cluster clips by k-means on their normalised features.

    Args:
        features: Of the clips, finite and not all equal.
        number: Number of clusters; by default the one with the highest silhouette coefficient, 12 at most.

    Raises:
        InputError: There are not as many different clips as clusters, or fewer than 2 clusters are asked for.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    rows = reduced(features)
    different = len(np.unique(rows, axis=0))
    if number is not None and not 2 <= number < different:
        raise InputError(f"{number} clusters of {different} different clips; choose from 2 to {different - 1}")
    tried = [number] if number is not None else range(2, min(MOST_CLUSTERS, different - 1) + 1)
    fits = [KMeans(k, n_init=4, random_state=0).fit(rows) for k in tried]
    if not fits:
        return Clusters(np.zeros(len(rows), np.int64), [list(range(min(len(rows), _EXAMPLES)))], 0.0, True)
    apart = [float(silhouette_score(rows, fit.labels_)) for fit in fits]
    best = int(np.argmax(apart))
    order = np.argsort(-np.bincount(fits[best].labels_), kind="stable")
    distances = fits[best].transform(rows)[:, order]
    assigned = np.argsort(order)[fits[best].labels_].astype(np.int64)
    examples = [_nearest(distances[:, k], np.flatnonzero(assigned == k)) for k in range(len(order))]
    return Clusters(assigned, examples, apart[best], number is None)


def reduced(features: Float32[np.ndarray, "clips width"]) -> Float64[np.ndarray, "clips reduced"]:
    """Features normalised, because kNN evaluation compares them by cosine similarity, in at most 50 dimensions."""
    from sklearn.decomposition import PCA

    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    rows = (features / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float64)
    if rows.shape[1] > _WIDE:
        rows = PCA(min(_WIDE, len(rows)), random_state=0).fit_transform(rows)
    return rows


def _nearest(distances: Float64[np.ndarray, " clips"], members: Int64[np.ndarray, " members"]) -> list[int]:
    return [int(i) for i in members[np.argsort(distances[members], kind="stable")][:_EXAMPLES]]
