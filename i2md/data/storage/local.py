"""Where clips stand while they are written, on a disk: a hidden folder beside the target, which it becomes at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from i2md.data.storage.frame_rows import FrameRows
from i2md.data.storage.journal import Journal, empty_folder
from i2md.errors import InputError

_JOURNAL = "journal.jsonl"


class Rows(Protocol):
    """An array whose first axis grows, kept as `i2md.data.storage.frame_rows` says."""

    def keep(self, rows: int) -> bool:
        """Cut off what follows so many rows, and append after them; False where there are fewer."""

    def append(self, rows: np.ndarray) -> None:
        """Add rows."""

    def make_sure(self) -> None:
        """All appended rows are safe when this returns."""

    def seal(self, rows: int) -> None:
        """Make an .npy file of so many rows of it."""

    def close(self) -> None:
        """Let go of it."""


class Shelf(Protocol):
    """A place for clips that are being written, and the place where they are to be found when they are whole."""

    folder: Path
    """A folder on the disk for the small files beside frames.npy."""
    pause: int
    """How many times rarer than on a disk it is worth to make sure of what is written."""

    def open_journal(self) -> Journal:
        """The journal of what is safe here, of an earlier writer too; InputError where another process has it open."""

    def take_up(self) -> bool:
        """Put right what a kill left; whether an earlier writer left more here than a journal."""

    def begin(self) -> None:
        """Clear everything but the journal away."""

    def open_rows(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> Rows:
        """The rows of frames.npy."""

    def beside(self, name: str) -> Path:
        """Where further clips are written that belong to these."""

    def publish(self) -> None:
        """Put everything in its place, as a whole."""

    def let_go(self, keep: bool) -> None:
        """The writer ends; what is not published is kept for another, or goes."""


class DiskShelf:
    """A Shelf on a disk."""

    pause = 1

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path = path
        self._partial = path.parent / f".{path.name}.partial"
        self._aside = path.parent / f".{path.name}.replaced"
        self.folder = self._partial / "clips"
        if path.exists() and not self._may_replace(overwrite):
            mend = "add --overwrite" if (path / "dataset.json").is_file() else "name a folder that does not exist"
            raise InputError(f"{path}: already exists; {mend}")

    def _may_replace(self, overwrite: bool) -> bool:
        empty = self._path.is_dir() and not any(self._path.iterdir())
        return empty or (overwrite and (self._path / "dataset.json").is_file())

    def open_journal(self) -> Journal:
        self._partial.mkdir(parents=True, exist_ok=True)
        return Journal(self._partial / _JOURNAL, self._path)

    def take_up(self) -> bool:
        self._put_back()
        return self.folder.is_dir()

    def _put_back(self) -> None:
        """What a kill left of replacing: the old clips, moved aside, go back unless the new ones are in place."""
        if self._path.exists():
            shutil.rmtree(self._aside, ignore_errors=True)
        elif self._aside.exists():
            os.rename(self._aside, self._path)

    def begin(self) -> None:
        empty_folder(self._partial, but=_JOURNAL)
        self.folder.mkdir()

    def open_rows(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> Rows:
        return FrameRows(self.folder / "frames.npy", row_shape, dtype)

    def beside(self, name: str) -> Path:
        return self.folder / name

    def publish(self) -> None:
        for name in ("clips.parquet", "dataset.json"):
            _make_sure(self.folder / name)
        if self._path.exists():
            os.rename(self._path, self._aside)
        os.rename(self.folder, self._path)
        shutil.rmtree(self._aside, ignore_errors=True)

    def let_go(self, keep: bool) -> None:
        if not keep:
            shutil.rmtree(self._partial, ignore_errors=True)


def _make_sure(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
