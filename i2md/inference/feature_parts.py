"""The parts of a store of features: files of rows, memory-mapped, and the rows read out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from i2md.data.readers.limits import map_npy
from i2md.data.store import DAMAGE
from i2md.errors import InputError, shortened


@dataclass(frozen=True)
class FeatureStore:
    """Features by row, in the parts of a folder."""

    folder: Path
    widths: dict[str, int]
    """Width of each stream's features, in the order in which they stand in a row."""

    @cached_property
    def parts(self) -> list[Float32[np.ndarray, "rows width"]]:
        """The features of each part, memory-mapped."""
        parts = [mapped(path, np.float32, 2) for path in complete_parts(self.folder)]
        if any(part.shape[1] != sum(self.widths.values()) for part in parts):
            raise InputError(f"{self.folder}: damaged (the widths of features differ); remove the folder")
        return parts

    @cached_property
    def starts(self) -> Int64[np.ndarray, " parts_and_end"]:
        """The first row of each part, and last the number of rows."""
        return np.concatenate([[0], np.cumsum([len(part) for part in self.parts])]).astype(np.int64)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def blocks(self) -> Iterator[tuple[int, Float32[np.ndarray, "rows width"]]]:
        """The first row of each part, and its features."""
        return zip(self.starts[:-1].tolist(), self.parts, strict=True)

    def rows(
        self, rows: Int64[np.ndarray, " chosen"], streams: Iterable[str] | None = None
    ) -> dict[str, Float32[np.ndarray, "chosen _"]]:
        """The features in some rows, by stream.

        Args:
            rows: Numbers of rows, in any order.
            streams: Those to read; by default all.
        """
        names = list(self.widths if streams is None else streams)
        found = {name: np.empty((len(rows), self.widths[name]), np.float32) for name in names}
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], self.starts)
        for part in np.flatnonzero(np.diff(bounds)).tolist():
            of_part = order[bounds[part] : bounds[part + 1]]
            # A plain array: each operation on a mapped one costs microseconds more.
            features = self.by_stream(np.asarray(self.parts[part]))
            for name in names:
                found[name][of_part] = features[name][rows[of_part] - self.starts[part]]
        return found

    def by_stream(self, features: Float32[np.ndarray, "rows width"]) -> dict[str, Float32[np.ndarray, "rows _"]]:
        """Rows of features as an array for each stream."""
        ends = np.cumsum(list(self.widths.values()))
        return {name: features[:, end - w : end] for (name, w), end in zip(self.widths.items(), ends, strict=True)}


def complete_parts(folder: Path) -> list[Path]:
    """The files of features of a store's folder whose second file is there.

    Args:
        folder: The folder.
    """
    done = sorted(path.name.removeprefix("clips-") for path in folder.glob("clips-*.npy"))
    return [folder / f"vectors-{number}" for number in done]


def mapped(path: Path, dtype: type, axes: int) -> np.ndarray:
    """An array of a store's folder, memory-mapped.

    Args:
        path: Its file.
        dtype: Of its values.
        axes: Number of its axes.

    Raises:
        InputError: The file is damaged.
    """
    try:
        values = map_npy(path)
        if values.dtype != dtype or values.ndim != axes:
            raise ValueError(f"{values.dtype} with {values.ndim} axes in place of {dtype.__name__} with {axes}")
    except DAMAGE as error:
        raise InputError(f"{path}: damaged ({shortened(error)}); remove the folder") from None
    return values
