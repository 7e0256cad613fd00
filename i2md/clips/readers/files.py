"""The files of a format, listed and read in place: in a folder, below it, or inside a .zip."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from i2md.errors import InputError


class BadFile(Exception):
    """A file that yields no clip: why, in one line without the file's name."""


@dataclass(frozen=True)
class File:
    """A file by its place: `container` is a folder or a .zip, `name` the path inside it, with slashes."""

    container: Path
    name: str

    @property
    def base(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.name).name

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        return PurePosixPath(self.name).stem


def find_files(path: Path, pattern: re.Pattern[str], what: str) -> tuple[File, ...]:
    """The files at `path` whose base name matches `pattern` whole, sorted by place.

    `path` is the folder that holds them or a parent of it, a .zip, a folder that holds .zip files, or one
    such file. Raises InputError where there is none (named as `what`), and where two share a base name:
    two copies of a data set side by side would put the same clip into training and test.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give the folder or .zip that holds {what}")
    files = sorted(_matching(path, pattern), key=lambda file: (file.container, file.name))
    if not files:
        raise InputError(f"{path}: no {what} found; give the folder that holds them or their .zip")
    _refuse_copies(path, files)
    return tuple(files)


def load_each(files: Sequence[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """Each file with the call that loads its bytes; that call raises BadFile where they cannot be read."""
    for container, group in groupby(files, key=lambda file: file.container):
        with _opened(container) as read:
            for file in group:
                yield file, partial(_load, read, file.name)


def _matching(path: Path, pattern: re.Pattern[str]) -> list[File]:
    if path.is_dir():
        archives = sorted(path.glob("*.zip"))
        return _in_folder(path, pattern) or [f for archive in archives for f in _in_archive(archive, pattern)]
    if path.suffix.lower() == ".zip":
        return _in_archive(path, pattern)
    return [File(path.parent, path.name)] if pattern.fullmatch(path.name) else []


def _in_folder(folder: Path, pattern: re.Pattern[str]) -> list[File]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        found += [File(folder, prefix + name) for name in names if pattern.fullmatch(name)]
    return found


def _in_archive(path: Path, pattern: re.Pattern[str]) -> list[File]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a .zip that can be read ({error}); fetch it again") from None
    return [File(path, name) for name in names if pattern.fullmatch(PurePosixPath(name).name)]


def _refuse_copies(path: Path, files: Sequence[File]) -> None:
    seen: dict[str, File] = {}
    for file in files:
        first = seen.setdefault(file.base, file)
        if first is not file:
            raise InputError(
                f"{path}: {file.base} is there twice ({first.container / first.name} and "
                f"{file.container / file.name}); give the folder or .zip of one copy"
            )


@contextmanager
def _opened(container: Path) -> Iterator[Callable[[str], bytes]]:
    if container.is_dir():
        yield lambda name: (container / name).read_bytes()
    else:
        with zipfile.ZipFile(container) as archive:
            yield archive.read


def _load(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    # A member that is encrypted or packed by an unknown method raises RuntimeError.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise BadFile(f"cannot be read ({error})") from None
