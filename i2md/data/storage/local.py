"""Clips while they are written, on a local disk: a hidden folder next to the target, renamed to it when complete."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Shaped

from i2md.data.storage.journal import Journal, empty_folder
from i2md.errors import InputError
from i2md.runtime.io import check_target

_JOURNAL = "journal.jsonl"


class FrameFile(Protocol):
    """frames.npy while it is written: an array (rows, joints, channels) whose first axis grows."""

    def truncate(self, rows: int) -> bool:
        """Remove all after the first `rows` rows, to append there; False if there are fewer."""

    def append(self, rows: Shaped[np.ndarray, "... joints channels"]) -> None:
        """Append rows of the file's dtype."""

    def sync(self) -> None:
        """All appended rows are on the storage when this returns."""

    def finish(self, rows: int) -> None:
        """Complete the .npy file, which has so many rows."""

    def close(self) -> None:
        """Close a file that is given up, or left for a later writer."""


class ClipStorage(Protocol):
    """Where clips are written, and where they appear when they are complete: on a disk or in remote storage."""

    folder: Path
    """A local folder for the small files next to frames.npy."""
    checkpoint_cost: int
    """How much longer a checkpoint takes than on a local disk; they are as much rarer."""

    def open_journal(self) -> Journal:
        """Open the journal of what is safe here; InputError if another process has it open."""

    def recover(self) -> bool:
        """Put right what a kill left; True if an earlier writer left clips here."""

    def clear(self) -> None:
        """Remove everything but the journal."""

    def open_frames(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> FrameFile:
        """Open frames.npy to write rows of shape (joints, channels)."""

    def subfolder(self, name: str) -> Path:
        """Where further clips are written that belong to these."""

    def publish(self) -> None:
        """Move everything to the target."""

    def close(self, keep: bool) -> None:
        """End the write; what is not published is kept for a later writer, or removed."""


class LocalStorage:
    """A ClipStorage on a local disk.

    Args:
        path: the target, which appears when the clips are published.
        overwrite: whether clips at the target may be replaced.

    Raises:
        InputError: the target exists and may not be replaced.
    """

    checkpoint_cost = 1

    def __init__(self, path: Path, overwrite: bool) -> None:
        check_target(path)
        # Through a link to an empty folder, the folder itself is replaced.
        path = path.resolve() if path.is_symlink() else path
        self._path = path
        self._partial = path.parent / f".{path.name}.partial"
        self._replaced = path.parent / f".{path.name}.replaced"
        self.folder = self._partial / "clips"
        if path.exists() and not self._may_replace(overwrite):
            fix = "add --overwrite" if (path / "dataset.json").is_file() else "name a folder that does not exist"
            raise InputError(f"{path}: already exists; {fix}")

    def _may_replace(self, overwrite: bool) -> bool:
        empty = self._path.is_dir() and not any(self._path.iterdir())
        return empty or (overwrite and (self._path / "dataset.json").is_file())

    def open_journal(self) -> Journal:
        self._partial.mkdir(parents=True, exist_ok=True)
        return Journal(self._partial / _JOURNAL, self._path)

    def recover(self) -> bool:
        # A kill while replacing: the old clips, moved aside, are moved back unless the new ones are in place.
        if self._path.exists():
            shutil.rmtree(self._replaced, ignore_errors=True)
        elif self._replaced.exists():
            os.rename(self._replaced, self._path)
        return self.folder.is_dir()

    def clear(self) -> None:
        empty_folder(self._partial, but=_JOURNAL)
        self.folder.mkdir()

    def open_frames(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> FrameFile:
        return LocalFrameFile(self.folder / "frames.npy", row_shape, dtype)

    def subfolder(self, name: str) -> Path:
        return self.folder / name

    def publish(self) -> None:
        for name in ("clips.parquet", "dataset.json"):
            with open(self.folder / name, "rb") as file:
                os.fsync(file.fileno())
        if self._path.exists():
            os.rename(self._path, self._replaced)
        os.rename(self.folder, self._path)
        shutil.rmtree(self._replaced, ignore_errors=True)

    def close(self, keep: bool) -> None:
        if not keep:
            shutil.rmtree(self._partial, ignore_errors=True)


class LocalFrameFile:
    """A FrameFile on a local disk; the number of rows in its header is right after `finish`, and only then.

    Args:
        path: the file, opened or made.
        row_shape: (joints, channels).
        dtype: of the numbers.
    """

    def __init__(self, path: Path, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._row_shape, self._dtype = row_shape, dtype
        self._file = path.open("r+b" if path.is_file() else "w+b")
        self._first = self._write_header(0)

    def _write_header(self, rows: int) -> int:
        """Returns where the rows begin: NumPy pads the header so that the number of rows may grow in place."""
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (rows, *self._row_shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()

    def truncate(self, rows: int) -> bool:
        end = self._first + rows * self._dtype.itemsize * self._row_shape[0] * self._row_shape[1]
        if self._file.seek(0, os.SEEK_END) < end:
            return False
        self._file.truncate(end)
        self._file.seek(end)
        return True

    def append(self, rows: Shaped[np.ndarray, "... joints channels"]) -> None:
        self._file.write(rows.tobytes())

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, rows: int) -> None:
        self._write_header(rows)
        self.sync()
        self._file.close()

    def close(self) -> None:
        # Closing writes what is still buffered: a disk that was full then refuses it once more.
        with suppress(OSError):
            self._file.close()
