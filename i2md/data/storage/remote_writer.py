"""Where clips stand while they are written, in a store (S3 and the like), which knows neither appending nor renaming.

Beside the target the hidden `.CLIPS.partial` holds `rows/`, pieces of frames.npy by the byte they begin at, and
`journal/`, a line of the journal each. Once all are there, the pieces stream through this process into
CLIPS/frames.npy, the small files follow, and dataset.json comes last: without it nothing takes the folder for clips.
This process's disk holds the index alone, its memory a piece or two.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from i2md.data.storage.journal import Journal
from i2md.data.storage.local import Rows
from i2md.data.storage.remote import filesystem, fs_path, list_file_info, make_folder, remote_errors, write_bytes
from i2md.errors import InputError

# A piece of frames.npy, in bytes.
_PIECE = 32 << 20
_DIGITS = 15
_LAST = "dataset.json"
# What a writer that was stopped may have left at the target itself.
_LEFT = ("frames.npy", "clips.parquet", "intervals.parquet", "left_out.txt", "untrimmed", ".untrimmed.partial")


class StoreShelf:
    """A Shelf in a store. One writer at a time: a store has no locks, so nobody else is kept off."""

    pause = 10

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path, self._partial = path, path.parent / f".{path.name}.partial"
        self._store = filesystem(path)
        if overwrite:
            raise InputError(f"{path}: a store can't swap new clips for old; name another place, or remove it")
        with remote_errors(path):
            if self._store.exists(fs_path(path / _LAST)) or (
                list_file_info(path) and not list_file_info(self._partial)
            ):
                raise InputError(f"{path}: already exists; name another place")
        self._published = False
        self._here = Path(tempfile.mkdtemp(prefix="i2md-"))
        self.folder = self._here / "clips"
        self.folder.mkdir()

    def open_journal(self) -> Journal:
        return _StoredJournal(self._partial / "journal", self._here / "journal.jsonl", self._path)

    def take_up(self) -> bool:
        return True

    def begin(self) -> None:
        _remove(self._partial / "rows")
        self._clear_target()

    def _clear_target(self) -> None:
        for name in _LEFT:
            _remove(self._path / name)

    def open_rows(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> Rows:
        return _StoredRows(self._partial / "rows", self._path / "frames.npy", row_shape, dtype)

    def beside(self, name: str) -> Path:
        return self._path / name

    def publish(self) -> None:
        for file in sorted(self.folder.iterdir(), key=lambda file: file.name == _LAST):
            with remote_errors(self._path):
                self._store.put_file(str(file), fs_path(self._path / file.name))
        self._published = True

    def let_go(self, keep: bool) -> None:
        shutil.rmtree(self._here, ignore_errors=True)
        if not keep:
            # What can't be removed now is in nobody's way.
            with suppress(InputError):
                if not self._published:
                    self._clear_target()
                _remove(self._partial)


class _StoredJournal(Journal):
    """A journal on the disk of which the store has each line."""

    def __init__(self, lines: Path, here: Path, what: Path) -> None:
        super().__init__(here, what)
        self._lines, self._store, self._count = lines, filesystem(lines), 0
        names = sorted(list_file_info(lines))
        with remote_errors(lines), suppress(ValueError):  # a line that is not whole counts as never written
            for name in names:
                super().append(json.loads(self._store.cat_file(fs_path(lines / name))))
                self._count += 1
        for name in names[self._count :]:
            _remove(lines / name)

    def append(self, entry: Any) -> None:
        write_bytes(self._lines / f"{self._count:0{_DIGITS}}.json", json.dumps(entry).encode())
        self._count += 1
        super().append(entry)

    def clear(self) -> None:
        _remove(self._lines)
        self._count = 0
        super().clear()


class _StoredRows:
    """Rows in a store: pieces that are joined in the end."""

    def __init__(self, pieces: Path, target: Path, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._pieces, self._target, self._store = pieces, target, filesystem(pieces)
        self._row_shape, self._dtype = row_shape, dtype
        self._waiting, self._end = io.BytesIO(), 0

    def keep(self, rows: int) -> bool:
        wanted, self._end = rows * self._dtype.itemsize * self._row_shape[0] * self._row_shape[1], 0
        for name, told in sorted(list_file_info(self._pieces).items()):
            if int(name) == self._end < wanted:
                self._end += told["size"]
            else:
                _remove(self._pieces / name)
        return self._end == wanted

    def append(self, rows: np.ndarray) -> None:
        self._waiting.write(rows.tobytes())
        if self._waiting.tell() >= _PIECE:
            self.make_sure()

    def make_sure(self) -> None:
        piece = self._waiting.getvalue()
        if piece:
            write_bytes(self._pieces / f"{self._end:0{_DIGITS}}", piece)
            self._end += len(piece)
            self._waiting = io.BytesIO()

    def seal(self, rows: int) -> None:
        self.make_sure()
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (rows, *self._row_shape)}
        with remote_errors(self._target), _opened(self._target) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for name in sorted(list_file_info(self._pieces)):
                file.write(self._store.cat_file(fs_path(self._pieces / name)))

    def close(self) -> None:
        self._waiting.close()


def _opened(place: Path) -> IO[bytes]:
    try:
        return place.open("wb")
    except FileNotFoundError:
        make_folder(place.parent)
        return place.open("wb")


def _remove(place: Path) -> None:
    files = filesystem(place)
    with remote_errors(place):
        files.invalidate_cache()
        if files.exists(fs_path(place)):
            files.rm(fs_path(place), recursive=True)
