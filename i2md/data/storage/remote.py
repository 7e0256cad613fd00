"""Where recordings and clips lie: a path on a disk, or a URL of a store that any machine reaches (s3://, gs://, ...).

A URL becomes a path object of universal-pathlib over fsspec, which has what is used here of pathlib's methods.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from i2md.distributed.ray_cluster import require_extra
from i2md.errors import InputError, Stopped

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*", re.DOTALL)
# By which stores tell one version of a file from the next, the surest first.
_VERSION = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


def to_path(path: str | os.PathLike[str]) -> Path:
    """The path, or the place in a store where it is a URL.

    >>> to_path("clips/ntu60")
    PosixPath('clips/ntu60')

    Raises InputError where a URL's store is not known, or a package for it is missing.
    """
    if not isinstance(path, str) or not _URL.fullmatch(path):
        return path if is_remote(path) else Path(path)  # type: ignore[return-value]
    require_extra("upath", path)
    from upath import UPath

    try:
        found = UPath(path)
        # Only here is the store's own package imported.
        _ = found.fs
    except (ImportError, ValueError) as error:
        raise InputError(f"{path}: {error}; give a path, or a URL of a store that fsspec knows") from None
    return cast(Path, found)


def is_remote(path: Any) -> bool:
    """Whether a place lies in a store, reached by its URL."""
    return not isinstance(path, (str, Path)) and hasattr(path, "fs")


def list_files(folder: Path) -> list[str]:
    """The files of a store below a folder, by their paths in it, with slashes; none in hidden folders."""
    return list(list_file_info(folder))


def list_file_info(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The same files, and what the store tells of each."""
    with remote_errors(folder):
        found = filesystem(folder).find(fs_path(folder), detail=True)
    start = len(fs_path(folder).rstrip("/")) + 1
    names = {path[start:]: told for path, told in found.items() if len(path) > start}
    return {name: told for name, told in names.items() if not re.search(r"(^|/)\.[^/]*/", name)}


def file_version(told: Mapping[str, Any]) -> str:
    """What changes when a file of a store is written anew."""
    return next((str(told[name]) for name in _VERSION if told.get(name)), "")


def filesystem(place: Path) -> Any:
    """The file system of fsspec that a place lies in."""
    return cast(Any, place).fs


def fs_path(place: Path) -> str:
    """The path of a place as its store has it."""
    return str(cast(Any, place).path)


def write_bytes(place: Path, content: bytes) -> None:
    """Write a whole file of a store."""
    with remote_errors(place):
        try:
            filesystem(place).pipe_file(fs_path(place), content)
        except FileNotFoundError:
            make_folder(place.parent)
            filesystem(place).pipe_file(fs_path(place), content)


def make_folder(place: Path) -> None:
    """Where a store's folders are real, and not parts of names, they have to be there before their files."""
    filesystem(place).makedirs(fs_path(place), exist_ok=True)


@contextmanager
def remote_errors(place: Path) -> Iterator[None]:
    """Within the block, what a store or the way to it refuses ends the work, which keeps what it has for another try.

    A request that failed tells nothing of the file: it must not count as a recording that can't be read. Of what is
    on a disk nothing is said here.
    """
    try:
        yield
    except OSError as error:
        if not is_remote(place):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Stopped(
            f"{place}: the store refuses ({reason}); see to the address, your rights and the network,"
            " then the same command goes on"
        ) from None
