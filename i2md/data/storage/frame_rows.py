"""The file frames.npy while it is being written: an array whose first axis grows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np


class FrameRows:
    """An .npy file of rows of one shape; its header is right after `seal`, and only then."""

    def __init__(self, path: Path, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """Open the file at `path`, or make it."""
        self._row_shape, self._dtype = row_shape, dtype
        self._file = path.open("r+b" if path.is_file() else "w+b")
        self._first = self._write_header(0)

    def _write_header(self, rows: int) -> int:
        """Where the rows begin. NumPy pads the header of a C-ordered array so that its first axis may grow in place."""
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (rows, *self._row_shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def keep(self, rows: int) -> bool:
        """Cut off what follows so many rows, and append after them; False where there are fewer."""
        end = self._first + rows * self._dtype.itemsize * self._row_shape[0] * self._row_shape[1]
        if self._file.seek(0, os.SEEK_END) < end:
            return False
        self._file.truncate(end)
        self._file.seek(end)
        return True

    def append(self, rows: np.ndarray) -> None:
        """Add rows of the file's own type."""
        self._file.write(rows.tobytes())

    def make_sure(self) -> None:
        """All appended rows are on the disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def seal(self, rows: int) -> None:
        """Write the number of rows, and close."""
        self._write_header(rows)
        self.make_sure()
        self._file.close()

    def close(self) -> None:
        """Close a file that is given up, or left for later."""
        # Closing writes what is still buffered: a disk that was full then refuses it once more.
        with suppress(OSError):
            self._file.close()
