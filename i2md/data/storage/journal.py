"""The progress of a long write, a line for each checkpoint, so that a write that was killed resumes from the last."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from i2md.runtime.io import being_written, lock_file

_CHECKSUM, _CHECKSUM_BYTES = b"%08x ", 9


class Journal:
    """Lines of JSON in a file, each with a checksum; while one process has it open no other may.

    A line that is incomplete or damaged, and all after it, counts as never written.

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
        self._number = 0

    def __iter__(self) -> Iterator[Any]:
        """The entries from the first, one at a time in memory."""
        for entry, _ in self._entries_and_ends():
            yield entry

    def _entries_and_ends(self) -> Iterator[tuple[Any, int]]:
        end = 0
        for number in count():
            # Each time anew: whoever takes the entries may write in between.
            self._file.seek(end)
            entry = _parsed(self._file.readline(), number)
            if entry is None:
                return
            end = self._file.tell()
            yield entry, end

    def drop_incomplete(self) -> None:
        """Remove an incomplete last line, which a kill or a full disk may leave."""
        self._number, end = 0, 0
        for _, at in self._entries_and_ends():
            self._number, end = self._number + 1, at
        self._file.truncate(end)

    def clear(self) -> None:
        """Remove all entries."""
        self._number = 0
        self._file.truncate(0)

    def append(self, entry: Any) -> None:
        """Append an entry; it is on the disk when this returns."""
        content = json.dumps(entry).encode()
        self._file.write(_CHECKSUM % zlib.crc32(content, self._number) + content + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._number += 1

    def close(self) -> None:
        """Close and unlock the file."""
        with suppress(OSError):
            self._file.close()


def _parsed(line: bytes, number: int) -> Any:
    """The entry of a line; None if it is not exactly what was written as the line of this number."""
    content = line[_CHECKSUM_BYTES:-1]
    whole = line.endswith(b"\n") and line.startswith(_CHECKSUM % zlib.crc32(content, number))
    return json.loads(content) if whole else None


def empty_folder(folder: Path, but: str) -> None:
    """Remove everything in a folder but the file of that name."""
    for path in folder.iterdir():
        if path.name != but:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
