"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2md.errors import naming

PARTIAL = ".partial"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which replaces `path` when the block ends and is removed on an error.

    Args:
        path: File to write or replace.

    Yields:
        A path in the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for good: what a kill leaves behind, the next write takes over.
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with naming(path):
            yield partial
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically.

    Args:
        path: File to write or replace.
        text: Its content, written as UTF-8.
    """
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
