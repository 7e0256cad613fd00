"""Whether a source is still what it was: names, sizes and times of its files, in a few letters."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from i2md.data.storage.remote import file_version, filesystem, fs_path, is_remote, list_file_info, remote_errors


def fingerprint(source: Path, target: Path, **told: Any) -> str:
    """One short text for the files at `source`, without what is below `target`, and for all that is `told`.

    It changes where a file is added, removed, written to or renamed. Hidden folders do not count.
    """
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for path, size, version in _stored_files(source, target) if is_remote(source) else _files_here(source, target):
        digest.update(f"{path}\0{size}\0{version}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files_here(source: Path, target: Path) -> Iterator[tuple[str, int, int]]:
    for path in _files(source, target):
        found = os.stat(path)
        yield path, found.st_size, found.st_mtime_ns


def _stored_files(source: Path, target: Path) -> Iterator[tuple[str, int, str]]:
    with remote_errors(source):
        below = list_file_info(source) or {"": filesystem(source).info(fs_path(source))}
    for name, told in sorted(below.items()):
        path = f"{source}/{name}"
        if not path.startswith(f"{target}/"):
            yield path, told["size"], file_version(told)


def _files(source: Path, target: Path) -> Iterator[str]:
    if source.is_file():
        yield str(source)
    for parent, folders, names in os.walk(source):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.join(parent, name) != str(target)
        )
        yield from (os.path.join(parent, name) for name in sorted(names))
