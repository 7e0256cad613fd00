"""How far a long write has come: a line for all that is safe on the disk, so that a killed one goes on from there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from i2md.errors import InputError


class Journal:
    """Lines of JSON in a file, each whole or not there; while one process has it open no other may.

    A line cut short, and all after it, counts as never written.
    """

    def __init__(self, path: Path, what: Path) -> None:
        """Open `path`, or make it; `what` is the thing being written, as complaints name it."""
        self._file = path.open("a+b")
        try:
            _lock(self._file.fileno())
        except BlockingIOError:
            self._file.close()
            raise InputError(f"{what}: another process is writing it; wait for it, or name another folder") from None

    def __iter__(self) -> Iterator[Any]:
        """The lines from the first, without holding them all."""
        at = 0
        while (line := self._line_at(at)) is not None:
            yield line
            at = self._file.tell()

    def keep_whole_lines(self) -> None:
        """Cut off what a kill left of a line."""
        whole = 0
        while self._line_at(whole) is not None:
            whole = self._file.tell()
        self._file.truncate(whole)

    def clear(self) -> None:
        """Forget everything."""
        self._file.truncate(0)

    def append(self, entry: Any) -> None:
        """Add one line; it is on the disk when this returns."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let other processes have it."""
        with suppress(OSError):
            self._file.close()

    def _line_at(self, place: int) -> Any:
        self._file.seek(place)
        line = self._file.readline()
        try:
            return json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            return None


def _lock(file: int) -> None:
    """Lock until the file is closed or the process ends, however it ends; where files can't be locked, don't."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


def empty_folder(folder: Path, but: str) -> None:
    """Remove everything in a folder but the file of that name."""
    for path in folder.iterdir():
        if path.name != but:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
