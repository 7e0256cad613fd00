"""Search among clips: those most similar to one, by cosine similarity of their features.

Up to 100,000 clips all are compared, and the neighbours are those of kNN evaluation; of more an index
(i2md.inference.vector_index) proposes candidates, which are then compared as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from i2md.errors import InputError, suggestion
from i2md.evaluation.clustering import unit_vectors
from i2md.inference.feature_store import StoredFeatures
from i2md.inference.vector_index import EXACT, VectorIndex

Features = Mapping[str, Float32[np.ndarray, "clips _"]]
# Candidates of an approximate or float32 ranking that are ranked again, for each neighbour that is wanted.
_SPARE = 10
_TINY = 1e-24


@dataclass(frozen=True)
class Neighbours:
    """The clips nearest to a query, the nearest first."""

    clips: Int64[np.ndarray, " top"]
    """Positions of the clips."""
    similarity: Float64[np.ndarray, " top"]
    """Mean cosine similarity of the streams, by their weights."""


class ClipSearch:
    """Search among clips by their features.

    Args:
        stored: Features of the clips.
        streams: Weight of each stream that counts; by default all count the same.
        exact: Whether all clips are compared; by default up to 100,000. For more an index is built, or extended.

    Raises:
        InputError: There is no such stream, or no usearch for an index.
    """

    def __init__(
        self, stored: StoredFeatures, streams: Mapping[str, float] | None = None, exact: bool | None = None
    ) -> None:
        self.stored, store = stored, stored.store
        self.weights = stream_shares(streams, store.widths)
        self._clip_of = np.full(len(store), -1)
        self._clip_of[stored.rows] = np.arange(len(stored.rows))
        self.index: VectorIndex | None = None
        if not (len(stored.rows) <= EXACT if exact is None else exact):
            self.index = VectorIndex(store)
            self.index.update()

    def nearest(self, query: Features, top: int, allowed: Bool[np.ndarray, " clips"] | None = None) -> Neighbours:
        """The clips nearest to one.

        Args:
            query: Features (1, width) by stream.
            top: How many.
            allowed: Which clips may be found; by default all.

        Returns:
            At most `top` of those allowed; of equally similar ones the first one is the nearest.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            weighted = {name: weight * _unit(query[name][0]) for name, weight in self.weights.items()}
        allowed = np.ones(len(self.stored.rows), bool) if allowed is None else allowed
        count = min(top, int(allowed.sum()))
        if self.index is None or allowed.sum() <= EXACT:
            candidates = self._compared(weighted, count + _SPARE, allowed)
        else:
            candidates = self._indexed(self.index, query, count, allowed)
        candidates = np.sort(candidates)
        features = self.stored.store.rows(self.stored.rows[candidates], weighted)
        if len(candidates) > count + _SPARE:
            with np.errstate(invalid="ignore", over="ignore"):
                rough = np.sum([_roughly_similar(features[name], vector) for name, vector in weighted.items()], axis=0)
            self._require_finite(rough)
            best = np.sort(np.argsort(-rough, kind="stable")[: count + _SPARE])
            candidates, features = candidates[best], {name: value[best] for name, value in features.items()}
        similarity = np.zeros(len(candidates))
        with np.errstate(invalid="ignore", over="ignore"):
            for name, vector in weighted.items():
                similarity += _units(features[name].astype(np.float64)) @ vector
        self._require_finite(similarity)
        order = np.argsort(-similarity, kind="stable")[:count]
        return Neighbours(candidates[order], similarity[order])

    def _require_finite(self, similarity: np.ndarray) -> None:
        if not np.isfinite(similarity).all():
            raise InputError(
                f"{self.stored.store.folder}: features are not finite numbers; remove the folder, and if they are so"
                " again, the run has diverged: give another run"
            )

    def _compared(
        self, query: Mapping[str, Float64[np.ndarray, " _"]], count: int, allowed: Bool[np.ndarray, " clips"]
    ) -> Int64[np.ndarray, " candidates"]:
        """The clips of the highest similarity of all, computed in float32."""
        clips, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        for first, block in self.stored.store.blocks():
            of_row = self._clip_of[first : first + len(block)]
            rows = np.flatnonzero((of_row >= 0) & allowed[of_row])
            # A whole block is read from its file without a copy.
            features = self.stored.store.by_stream(block if len(rows) == len(block) else block[rows])
            similarity = np.zeros(len(rows), np.float32)
            with np.errstate(invalid="ignore", over="ignore"):
                for name, vector in query.items():
                    similarity += _roughly_similar(features[name], vector)
            self._require_finite(similarity)
            best = np.argsort(-similarity, kind="stable")[:count]
            clips.append(of_row[rows[best]])
            values.append(similarity[best])
        return np.concatenate(clips)[np.argsort(-np.concatenate(values), kind="stable")[:count]]

    def _indexed(
        self, index: VectorIndex, query: Features, count: int, allowed: Bool[np.ndarray, " clips"]
    ) -> Int64[np.ndarray, " candidates"]:
        """Candidates of the index that are allowed: more are asked for until there are enough."""
        units = unit_vectors({name: query[name] for name in self.stored.store.widths})[0]
        scale = [len(self.stored.store.widths) * self.weights.get(name, 0.0) for name in self.stored.store.widths]
        vector = units * np.repeat(scale, list(self.stored.store.widths.values())).astype(np.float32)
        wanted = max(_SPARE * count, 100)
        # The index was built for streams that count the same; for others its order is rough, and all are compared.
        same = len(self.weights) == len(scale) and len(set(self.weights.values())) == 1
        asked = wanted
        while True:
            found = self._clip_of[index.candidates(vector, asked)]
            found = found[(found >= 0) & allowed[found]]
            if len(found) >= wanted or asked >= len(self._clip_of):
                return found[:wanted] if same else found
            asked *= 4


def stream_shares(given: Mapping[str, float] | None, widths: Mapping[str, int]) -> dict[str, float]:
    """The weights of the streams, with the sum 1.

    Args:
        given: Weights by stream; None for the same for all.
        widths: The streams that there are.

    Raises:
        InputError: There is no such stream, or a weight is negative or no weight above 0.
    """
    weights = dict.fromkeys(widths, 1.0) if not given else dict(given)
    for name, weight in weights.items():
        if name not in widths:
            raise InputError(f"streams: the run has no stream {name!r}; {suggestion(name, widths)}")
        if not weight >= 0 or not np.isfinite(weight):
            raise InputError(f"streams: the weight of {name}, {weight}, must be 0 or more")
    total = sum(weights.values())
    if not total:
        raise InputError("streams: give at least one a weight above 0, as by --streams joint=1 bone=0.5")
    return {name: weight / total for name, weight in weights.items() if weight}


def _roughly_similar(
    rows: Float32[np.ndarray, "rows width"], vector: Float64[np.ndarray, " width"]
) -> Float32[np.ndarray, " rows"]:
    """Cosine similarity, times the length of the vector, in float32."""
    lengths = np.sqrt(np.einsum("rw,rw->r", rows, rows))
    return rows @ vector.astype(np.float32) / np.maximum(lengths, np.float32(_TINY))


def _unit(vector: Float32[np.ndarray, " width"]) -> Float64[np.ndarray, " width"]:
    return _units(vector.astype(np.float64)[None])[0]


def _units(rows: Float64[np.ndarray, "rows width"]) -> Float64[np.ndarray, "rows width"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
