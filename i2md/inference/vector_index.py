"""An index of features for collections of more than 100,000 clips: HNSW graphs by usearch over projected vectors.

The rows of a store (i2md.inference.feature_store) are divided into segments of 100,000, each with a graph of its own in
a file: what is built stays when the process is killed, and rows that are added extend the last segment. The vectors are
projected to at most 128 dimensions, in which distances are nearly what they are in all; the candidates found there are
ranked by their whole features.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs" (TPAMI 2020).
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from i2md.data.readers.limits import map_npy
from i2md.errors import require_extra
from i2md.evaluation.clustering import unit_vectors
from i2md.inference.feature_parts import FeatureStore
from i2md.inference.feature_store import INDEX
from i2md.runtime.device import available_cores
from i2md.runtime.io import atomic_write, locked
from i2md.runtime.progress import progress

# Below so many clips all are compared.
EXACT = 100_000
SEGMENT = 100_000
# Rows that are added to a graph at a time.
_BLOCK = 10_000
_DIMENSIONS = 128
# The projection is that of so many rows, spread evenly.
_PROJECTED = 10_000
# Candidates that a graph considers for a new row and for a query: more find more and take longer.
_BREADTH_OF_ADDING, _BREADTH_OF_SEARCH = 64, 128

Vectors = Float32[np.ndarray, "rows width"]


class VectorIndex:
    """The graphs of a store's rows.

    Args:
        store: The store; the index is in a folder of its folder.

    Raises:
        InputError: usearch is not installed.
    """

    def __init__(self, store: FeatureStore) -> None:
        require_extra("usearch", "search", f"search among more than {EXACT:,} clips")
        self.store, self.folder = store, store.folder / INDEX

    def update(self) -> int:
        """Build what is missing; a call that was killed resumes.

        Returns:
            The number of rows that were added.
        """
        self.folder.mkdir(exist_ok=True)
        with locked(self.folder / ".lock", wait=True):
            added = len(self.store) - sum(map(_rows_of, self._files()))
            if added:
                with progress(added, "index", "clip") as bar:
                    for first in range(0, len(self.store), SEGMENT):
                        self._extend(first, min(first + SEGMENT, len(self.store)), bar)
                self.__dict__.pop("_graphs", None)
        return added

    def candidates(self, query: Float32[np.ndarray, " width"], count: int) -> Int64[np.ndarray, " candidates"]:
        """Rows whose unit vectors have about the largest products with a query, roughly in their order.

        Args:
            query: Unit vectors of the streams, side by side, each times the stream's weight; the weights' mean is 1.
            count: How many rows of each segment.
        """
        middle, axes = self._projection
        projected = (query - middle) @ axes
        # Vectors have the same length, so that the nearest ones are those with the largest products.
        found = [graph.search(projected, count, threads=1) for graph in self._graphs]
        order = np.argsort(np.concatenate([each.distances for each in found]), kind="stable")
        return np.concatenate([each.keys for each in found])[order].astype(np.int64)

    def _files(self) -> list[Path]:
        """The graph of each segment."""
        found = {path.name.split("-")[1]: path for path in sorted(self.folder.glob("graph-*.usearch"))}
        return list(found.values())

    @cached_property
    def _graphs(self) -> list[Any]:
        from usearch.index import Index

        return [Index.restore(path, view=True) for path in self._files()]

    @cached_property
    def _projection(self) -> tuple[Float32[np.ndarray, " width"], Float32[np.ndarray, "width dimensions"]]:
        """The middle of the vectors and their principal axes."""
        path = self.folder / "projection.npy"
        if not path.exists():
            from sklearn.decomposition import PCA

            rows = np.unique(np.linspace(0, len(self.store) - 1, _PROJECTED).astype(np.int64))
            sample = self._units(rows)
            dimensions = min(_DIMENSIONS, *sample.shape)
            fitted = PCA(dimensions, svd_solver="randomized", random_state=0).fit(sample)
            with atomic_write(path) as partial, open(partial, "wb") as file:
                np.save(file, np.concatenate([fitted.mean_[None], fitted.components_]).astype(np.float32))
        saved = np.array(map_npy(path))
        return saved[0], np.ascontiguousarray(saved[1:].T)

    def _units(self, rows: Int64[np.ndarray, " chosen"]) -> Vectors:
        return unit_vectors(self.store.rows(rows))

    def _extend(self, first: int, end: int, bar: Any) -> None:
        """Add the rows of a segment that are not in its graph."""
        from usearch.index import Index

        found = sorted(self.folder.glob(f"graph-{first:09}-*.usearch"))
        for path in found[:-1]:  # left by a process that was killed
            os.unlink(path)
        old = found[-1] if found else None
        done = first + (_rows_of(old) if old else 0)
        if done == end:
            return
        middle, axes = self._projection
        graph: Any
        if old:
            graph = Index.restore(old)
        else:
            graph = Index(
                ndim=axes.shape[1],
                metric="l2sq",
                dtype="f16",
                connectivity=16,
                expansion_add=_BREADTH_OF_ADDING,
                expansion_search=_BREADTH_OF_SEARCH,
            )
        for start in range(done, end, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, end))
            graph.add(rows, (self._units(rows) - middle) @ axes, threads=available_cores())
            bar.update(len(rows))
        path = self.folder / f"graph-{first:09}-{end - first:06}.usearch"
        with atomic_write(path) as partial:
            graph.save(partial)
        if old:
            os.unlink(old)


def _rows_of(graph: Path) -> int:
    return int(graph.stem.rpartition("-")[2])
