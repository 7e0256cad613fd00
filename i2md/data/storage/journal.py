"""The progress of a long write, a line for each checkpoint, so that a write that was killed resumes from the last."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from i2md.runtime.io import being_written, lock_file


class Journal:
    """Lines of JSON in a file, each complete or not there; while one process has it open no other may.

    An incomplete line, and all after it, counts as never written.

    Args:
        path: the file, opened or made.
        target: what is being written, as errors name it.

    Raises:
        InputError: another process has the journal open.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self._file = path.open("a+b")
        try:
            lock_file(self._file.fileno())
        except BlockingIOError:
            self._file.close()
            raise being_written(target) from None

    def __iter__(self) -> Iterator[Any]:
        """The entries from the first, one at a time in memory."""
        at = 0
        while (entry := self._entry_at(at)) is not None:
            yield entry
            at = self._file.tell()

    def drop_incomplete(self) -> None:
        """Remove an incomplete last line, which a kill may leave."""
        end = 0
        while self._entry_at(end) is not None:
            end = self._file.tell()
        self._file.truncate(end)

    def clear(self) -> None:
        """Remove all entries."""
        self._file.truncate(0)

    def append(self, entry: Any) -> None:
        """Append an entry; it is on the disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close and unlock the file."""
        with suppress(OSError):
            self._file.close()

    def _entry_at(self, offset: int) -> Any:
        self._file.seek(offset)
        line = self._file.readline()
        try:
            return json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None


def empty_folder(folder: Path, but: str) -> None:
    """Remove everything in a folder but the file of that name."""
    for path in folder.iterdir():
        if path.name != but:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
