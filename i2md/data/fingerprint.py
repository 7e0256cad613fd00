"""The fingerprint of a source, by which a resumed preparation knows that it has not changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from i2md.data.readers.listing import cannot_list
from i2md.data.storage.remote import file_version, filesystem, fs_path, is_remote, list_file_info, remote_errors


def fingerprint(source: Path, target: Path, **arguments: Any) -> str:
    """A hash of the names, sizes and times of all files at a source, and of arguments.

    It changes if a file is added, removed, written to or renamed. Hidden folders do not count.

    Args:
        source: A file or folder, local or remote.
        target: Files below it do not count.
        **arguments: Whatever else decides what is written; plain data.
    """
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode())
    files = _remote_files(source, target) if is_remote(source) else _local_files(source, target)
    for path, size, version in files:
        digest.update(f"{path}\0{size}\0{version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _local_files(source: Path, target: Path) -> Iterator[tuple[str, int, int]]:
    for path in _files(source, target):
        try:
            status = os.stat(path)
        except OSError:
            # A link that leads nowhere; the reader names it.
            status = os.lstat(path)
        yield path, status.st_size, status.st_mtime_ns


def _remote_files(source: Path, target: Path) -> Iterator[tuple[str, int, str]]:
    with remote_errors(source):
        below = list_file_info(source) or {"": filesystem(source).info(fs_path(source))}
    for name, details in sorted(below.items()):
        path = f"{source}/{name}"
        if not path.startswith(f"{target}/"):
            yield path, details["size"], file_version(details)


def _files(source: Path, target: Path) -> Iterator[str]:
    if source.is_file():
        yield str(source)
    for parent, folders, names in os.walk(source, onerror=cannot_list):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.join(parent, name) != str(target)
        )
        yield from (os.path.join(parent, name) for name in sorted(names))
