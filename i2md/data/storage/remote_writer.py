"""Clips while they are written, in remote storage (S3 and the like), which can neither append nor rename.

Next to the target the hidden `.CLIPS.partial` holds `rows/`, parts of frames.npy named by the byte they begin at, and
`journal/`, a file for each line of the journal. When all are there, the parts stream through this process into
CLIPS/frames.npy, the small files follow, and dataset.json comes last: without it nothing takes the folder for clips.
This process's disk holds the index alone, its memory a part or two.
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
from jaxtyping import Shaped

from i2md.data.storage.journal import Journal
from i2md.data.storage.local import FrameFile
from i2md.data.storage.remote import filesystem, fs_path, list_file_info, make_folder, remote_errors, write_bytes
from i2md.errors import InputError

# A part of frames.npy, in bytes.
_PART = 32 << 20
_DIGITS = 15
_LAST = "dataset.json"
# What a writer that was stopped may have left at the target itself.
_LEFTOVERS = ("frames.npy", "clips.parquet", "intervals.parquet", "left_out.txt", "untrimmed", ".untrimmed.partial")


class RemoteStorage:
    """A ClipStorage in remote storage, for one writer at a time: remote files have no locks.

    Args:
        path: the target, which is complete when the clips are published.
        overwrite: must be False.

    Raises:
        InputError: there is something at the target, or it should be overwritten.
    """

    checkpoint_cost = 10

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path, self._partial = path, path.parent / f".{path.name}.partial"
        self._files = filesystem(path)
        if overwrite:
            raise InputError(f"{path}: remote clips can't be replaced in one step; give another URL, or remove them")
        with remote_errors(path):
            published = self._files.exists(fs_path(path / _LAST))
            if published or (list_file_info(path) and not list_file_info(self._partial)):
                raise InputError(f"{path}: already exists; give another URL")
        self._published = False
        self._local = Path(tempfile.mkdtemp(prefix="i2md-"))
        self.folder = self._local / "clips"
        self.folder.mkdir()

    def open_journal(self) -> Journal:
        return _RemoteJournal(self._partial / "journal", self._local / "journal.jsonl", self._path)

    def recover(self) -> bool:
        return True

    def clear(self) -> None:
        _remove(self._partial / "rows")
        self._clear_target()

    def _clear_target(self) -> None:
        for name in _LEFTOVERS:
            _remove(self._path / name)

    def open_frames(self, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> FrameFile:
        return _RemoteFrameFile(self._partial / "rows", self._path / "frames.npy", row_shape, dtype)

    def subfolder(self, name: str) -> Path:
        return self._path / name

    def publish(self) -> None:
        for file in sorted(self.folder.iterdir(), key=lambda file: file.name == _LAST):
            with remote_errors(self._path):
                self._files.put_file(str(file), fs_path(self._path / file.name))
        self._published = True

    def close(self, keep: bool) -> None:
        shutil.rmtree(self._local, ignore_errors=True)
        if not keep:
            # What can't be removed now hinders no later writer.
            with suppress(InputError):
                if not self._published:
                    self._clear_target()
                _remove(self._partial)


class _RemoteJournal(Journal):
    """A journal on the local disk, each entry of which is also a remote file."""

    def __init__(self, entries: Path, local: Path, target: Path) -> None:
        super().__init__(local, target)
        self._entries, self._files, self._count = entries, filesystem(entries), 0
        names = sorted(list_file_info(entries))
        with remote_errors(entries), suppress(ValueError):  # an incomplete entry counts as never written
            for name in names:
                super().append(json.loads(self._files.cat_file(fs_path(entries / name))))
                self._count += 1
        for name in names[self._count :]:
            _remove(entries / name)

    def append(self, entry: Any) -> None:
        write_bytes(self._entries / f"{self._count:0{_DIGITS}}.json", json.dumps(entry).encode())
        self._count += 1
        super().append(entry)

    def clear(self) -> None:
        _remove(self._entries)
        self._count = 0
        super().clear()


class _RemoteFrameFile:
    """A FrameFile in remote storage: parts that are joined in the end."""

    def __init__(self, parts: Path, target: Path, row_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._parts, self._target, self._files = parts, target, filesystem(parts)
        self._row_shape, self._dtype = row_shape, dtype
        self._buffer, self._end = io.BytesIO(), 0

    def truncate(self, rows: int) -> bool:
        wanted, self._end = rows * self._dtype.itemsize * self._row_shape[0] * self._row_shape[1], 0
        for name, details in sorted(list_file_info(self._parts).items()):
            if int(name) == self._end < wanted:
                self._end += details["size"]
            else:
                _remove(self._parts / name)
        return self._end == wanted

    def append(self, rows: Shaped[np.ndarray, "... joints channels"]) -> None:
        self._buffer.write(rows.tobytes())
        if self._buffer.tell() >= _PART:
            self.sync()

    def sync(self) -> None:
        part = self._buffer.getvalue()
        if part:
            write_bytes(self._parts / f"{self._end:0{_DIGITS}}", part)
            self._end += len(part)
            self._buffer = io.BytesIO()

    def finish(self, rows: int) -> None:
        self.sync()
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (rows, *self._row_shape)}
        with remote_errors(self._target), _open_to_write(self._target) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for name in sorted(list_file_info(self._parts)):
                file.write(self._files.cat_file(fs_path(self._parts / name)))

    def close(self) -> None:
        self._buffer.close()


def _open_to_write(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except FileNotFoundError:
        make_folder(path.parent)
        return path.open("wb")


def _remove(path: Path) -> None:
    files = filesystem(path)
    with remote_errors(path):
        files.invalidate_cache()
        if files.exists(fs_path(path)):
            files.rm(fs_path(path), recursive=True)
