"""frames.npy in remote storage: rows are fetched when they are used, the next ones with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

from i2md.data.readers.limits import read_npy_header
from i2md.data.storage.remote import filesystem, fs_path, remote_errors

# Fetched at once if rows are used one after another, in bytes.
_BLOCK = 8 << 20


@dataclass(frozen=True)
class RemoteFrames:
    """An array (rows, joints, channels) of which slices of rows are arrays in memory.

    Pickled, it takes no frames along. `offset` is where row 0 begins in the file, in bytes.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @staticmethod
    def open(path: Path) -> RemoteFrames:
        """The frames at `path`; ValueError if there is no such array."""
        with remote_errors(path), path.open("rb") as file:
            shape, by_columns, dtype = read_npy_header(file)
            offset, end = file.tell(), file.seek(0, 2)
        if by_columns or end - offset != prod(shape) * dtype.itemsize:
            raise ValueError("frames.npy is not as long as its header says")
        return RemoteFrames(path, shape, dtype, offset)

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    def part(self, start: int, stop: int) -> RemoteFrames:
        """Rows `start` to `stop` - 1, not yet fetched."""
        return replace(self, shape=(stop - start, *self.shape[1:]), offset=self.offset + start * self._row_bytes)

    def __getitem__(self, rows: slice) -> Shaped[np.ndarray, "rows joints channels"]:
        start, stop, _ = rows.indices(self.shape[0])
        count = max(stop - start, 0)
        with remote_errors(self.path):
            self._file.seek(self.offset + start * self._row_bytes)
            content = self._file.read(count * self._row_bytes)
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def _row_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    @cached_property
    def _file(self) -> IO[bytes]:
        return filesystem(self.path).open(fs_path(self.path), "rb", block_size=_BLOCK)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __del__(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()
