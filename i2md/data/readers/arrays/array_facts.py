"""What an .npz of clips says beside their positions, checked against the number of clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from i2md.data.recording import UNKNOWN
from i2md.data.splits import Split
from i2md.errors import InputError


@dataclass(frozen=True)
class Facts:
    """The optional keys of the `arrays` format; each method raises InputError where its key does not fit."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    clips: int

    def names(self) -> tuple[str, ...]:
        """A unique name a clip, own or made up."""
        given = self._column("names")
        if given is None:
            width = len(str(self.clips - 1))
            return tuple(f"clip-{index:0{width}d}" for index in range(self.clips))
        names = tuple(str(name) for name in given.tolist())
        if len(set(names)) < len(names):
            raise self._error("names repeat; give each clip a name of its own, or no names")
        return names

    def labels(self) -> tuple[Int64[np.ndarray, " clips"], tuple[str, ...]]:
        """Class indices, and the names that they count."""
        class_names = tuple(str(name) for name in np.ravel(self.arrays.get("class_names", np.array([]))).tolist())
        given = self._column("labels")
        if given is not None and given.dtype.kind == "U":
            return self._labels_by_name(given.tolist(), class_names)
        labels = self._numbers("labels")
        if labels is None:
            return self._unknown(), class_names
        class_names = class_names or tuple(str(label) for label in range(int(labels.max()) + 1))
        if labels.max() >= len(class_names) or labels.min() < UNKNOWN:
            raise self._error(f"labels run beyond -1 to {len(class_names) - 1}; count classes from 0")
        return labels, class_names

    def subjects(self) -> Int64[np.ndarray, " clips"]:
        """The subject of each clip."""
        given = self._numbers("subjects")
        return self._unknown() if given is None else given

    def lengths(self, frames: int) -> Int64[np.ndarray, " clips"] | None:
        """The number of frames of each clip, of `frames` at most; None where it is not told."""
        given = self._numbers("lengths")
        if given is not None and ((given < 0) | (given > frames)).any():
            raise self._error(f"lengths run beyond 0 to {frames}; give each clip's number of frames")
        return given

    def splits(self, names: tuple[str, ...]) -> dict[str, Split]:
        """The split `given`, its parts told by clip names."""
        parts = self._column("split")
        if parts is not None:
            members = {str(part): np.flatnonzero(parts == part) for part in np.unique(parts)}
        else:
            members = {part: self._indices(part) for part in ("train", "test") if part in self.arrays}
        split = {part: {"name": tuple(names[i] for i in indices)} for part, indices in members.items()}
        return {"given": split} if split else {}

    def _labels_by_name(
        self, labels: list[str], class_names: tuple[str, ...]
    ) -> tuple[Int64[np.ndarray, " clips"], tuple[str, ...]]:
        class_names = class_names or tuple(sorted(set(labels)))
        index = {name: i for i, name in enumerate(class_names)}
        unnamed = sorted(set(labels) - set(index))
        if unnamed:
            raise self._error(f"label {unnamed[0]!r} is not among class_names; add it there")
        return np.array([index[label] for label in labels], dtype=np.int64), class_names

    def _indices(self, part: str) -> np.ndarray:
        indices = self.arrays[part]
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or (indices.astype(np.int64) < 0).any():
            raise self._error(f"{part} must be indices of clips; count them from 0")
        if indices.max(initial=0) >= self.clips:
            raise self._error(f"{part} counts clip {indices.max()} of {self.clips}; count them from 0")
        return indices

    def _column(self, key: str) -> np.ndarray | None:
        values = self.arrays.get(key)
        if values is not None and values.shape != (self.clips,):
            raise self._error(f"{key} have shape {values.shape} for {self.clips} clips; give one value a clip")
        return values

    def _numbers(self, key: str) -> Int64[np.ndarray, " clips"] | None:
        values = self._column(key)
        if values is not None and values.dtype.kind not in "iu":
            raise self._error(f"{key} are {values.dtype} values; give whole numbers")
        return None if values is None else values.astype(np.int64)

    def _unknown(self) -> Int64[np.ndarray, " clips"]:
        return np.full(self.clips, UNKNOWN, dtype=np.int64)

    def _error(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}")
