"""Local paths and URLs of remote storage (s3://, gs://, ...), with one interface.

A URL becomes a path object of universal-pathlib over fsspec, which has those of pathlib's methods that are used here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from i2md.errors import InputError, Stopped, require_extra

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*", re.DOTALL)
# What a storage may report to tell versions of a file apart, the most reliable first.
_VERSION = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "updated", "created")


def to_path(path: str | os.PathLike[str]) -> Path:
    """A path object for a local path or a URL.

    Args:
        path: either, as text or as a path object.

    Returns:
        A Path, or a UPath of universal-pathlib for a URL.

    Raises:
        InputError: the URL's protocol is not known, or a package for it is missing.

    >>> to_path("clips/ntu60")
    PosixPath('clips/ntu60')
    """
    if not isinstance(path, str) or not _URL.fullmatch(path):
        return path if is_remote(path) else Path(path)  # type: ignore[return-value]
    require_extra("upath", "ray", path)
    from upath import UPath

    try:
        found = UPath(path)
        # Only here is the protocol's own package imported.
        _ = found.fs
    except (ImportError, ValueError) as error:
        raise InputError(f"{path}: {error}; give a path, or a URL that fsspec knows") from None
    return cast(Path, found)


def is_remote(path: Any) -> bool:
    """Whether a path object is that of a URL.

    Args:
        path: A path of the local file system, as text or object, or the path object that `to_path` makes of a URL.
    """
    return not isinstance(path, (str, Path)) and hasattr(path, "fs")


def list_files(folder: Path) -> list[str]:
    """The files below a remote folder, by their paths in it, with slashes; none in hidden folders.

    Args:
        folder: A remote folder.

    Returns:
        Paths relative to the folder, with slashes.

    Raises:
        Stopped: The storage can't be reached or refuses.
    """
    return list(list_file_info(folder))


def list_file_info(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The files of `list_files`, each with what the storage reports of it: `size` and more."""
    with remote_errors(folder):
        found = filesystem(folder).find(fs_path(folder), detail=True)
    start = len(fs_path(folder).rstrip("/")) + 1
    files = {path[start:]: details for path, details in found.items() if len(path) > start}
    return {name: details for name, details in files.items() if not re.search(r"(^|/)\.[^/]*/", name)}


def file_version(details: Mapping[str, Any]) -> str:
    """A text that changes when a remote file is written again; `details` as of `list_file_info`."""
    return next((str(details[name]) for name in _VERSION if details.get(name)), "")


def filesystem(path: Path) -> Any:
    """The fsspec file system of a remote path."""
    return cast(Any, path).fs


def fs_path(path: Path) -> str:
    """A remote path as its file system takes it, without the protocol."""
    return str(cast(Any, path).path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a remote file as a whole.

    Args:
        path: The file; missing folders above it are made.
        content: All that the file shall contain.

    Raises:
        Stopped: The storage can't be reached or refuses.
    """
    with remote_errors(path):
        try:
            filesystem(path).pipe_file(fs_path(path), content)
        except FileNotFoundError:
            make_folder(path.parent)
            filesystem(path).pipe_file(fs_path(path), content)


def make_folder(path: Path) -> None:
    """Make a remote folder, for storages whose folders are more than parts of names."""
    filesystem(path).makedirs(fs_path(path), exist_ok=True)


@contextmanager
def remote_errors(path: Path) -> Iterator[None]:
    """Inside, a remote storage that refuses or can't be reached raises Stopped, which keeps finished work.

    A request that failed says nothing about the file: it must not count as a recording that can't be read. Errors of
    local files pass unchanged.

    Args:
        path: The file or folder that is worked on, named in the message.
    """
    try:
        yield
    except OSError as error:
        if not is_remote(path):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Stopped(
            f"{path}: the remote storage failed ({reason}); check the address, your permissions and the network,"
            " then run the same command again to resume"
        ) from None
