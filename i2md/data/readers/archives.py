"""The .zip files of recordings, local or remote, each opened once where many of its files are read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from i2md.data.storage.remote import is_remote, remote_errors


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a .zip.

    Args:
        path: The .zip, local or remote.

    Returns:
        The archive, which the caller closes.
    """
    if not is_remote(path):
        return zipfile.ZipFile(path)
    with remote_errors(path):
        return _RemoteArchive(path.open("rb"))


class _RemoteArchive(zipfile.ZipFile):
    """A remote .zip, of which little more is fetched than is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        super().__init__(stream)

    def close(self) -> None:
        super().close()
        self._stream.close()


_kept_open: dict[Path, zipfile.ZipFile] | None = None


@contextmanager
def archives_kept_open() -> Iterator[None]:
    """Within this context each .zip is opened once, however often files of it are read.

    Opening one that holds 50,000 files takes longer than reading a hundred of them.
    """
    global _kept_open
    before, _kept_open = _kept_open, {}
    try:
        yield
    finally:
        for archive in _kept_open.values():
            archive.close()
        _kept_open = before


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .zip, or use the one that `archives_kept_open` keeps.

    Args:
        path: The .zip, local or remote.

    Yields:
        The archive.
    """
    if _kept_open is None:
        with open_archive(path) as archive:
            yield archive
        return
    if path not in _kept_open:
        _kept_open[path] = open_archive(path)
    yield _kept_open[path]
