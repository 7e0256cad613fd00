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


@dataclass(frozen=True, slots=True)
class File:
    """A file by its place: `container` is a folder or a .zip, `name` the path inside it, with slashes."""

    container: Path
    name: str

    @property
    def base(self) -> str:
        """The name without folders."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without folders and suffix."""
        stem, _, suffix = self.base.rpartition(".")
        return stem if stem and suffix else self.base

    @property
    def place(self) -> Path:
        """The absolute path, a .zip counted as a folder of its name without suffix."""
        is_zip = self.container.suffix.lower() == ".zip" and not self.container.is_dir()
        container = self.container.with_suffix("") if is_zip else self.container
        return Path(os.path.abspath(container / self.name))


def find_files(
    path: Path,
    pattern: re.Pattern[str],
    what: str,
    told_by: int = 1,
    wanted: Callable[[File], bool] = lambda file: True,
) -> tuple[File, ...]:
    """The files at `path` whose base name matches `pattern` whole, sorted by place.

    `path` is the folder that holds them or a parent of it, a .zip, a folder that holds .zip files, or one
    such file; `wanted` chooses among them where folders tell what a file is. Raises InputError where there is
    none (named as `what`), and where two share a base name, or the last `told_by` parts of their places where
    folders tell a clip: two copies of a data set side by side would put the same clip into training and test.
    """
    files = any_files(path, pattern, what, told_by, wanted)
    if not files:
        raise InputError(f"{path}: no {what} found; give the folder that holds them or their .zip")
    return files


def any_files(
    path: Path,
    pattern: re.Pattern[str],
    what: str,
    told_by: int = 1,
    wanted: Callable[[File], bool] = lambda file: True,
) -> tuple[File, ...]:
    """As `find_files`, but an empty tuple where there is none."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give the folder or .zip that holds {what}")
    files = sorted(_matching(path, pattern, wanted), key=lambda file: (file.container, file.name))
    _refuse_copies(path, files, told_by)
    return tuple(files)


def load_each(files: Sequence[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """Each file with the call that loads its bytes; that call raises BadFile where they cannot be read."""
    for container, group in groupby(files, key=lambda file: file.container):
        with _opened(container) as read:
            for file in group:
                yield file, partial(_load, read, file.name)


def _matching(path: Path, pattern: re.Pattern[str], wanted: Callable[[File], bool]) -> list[File]:
    if path.is_dir():
        archives = sorted(path.glob("*.zip"))
        plain = [file for file in _in_folder(path, pattern) if wanted(file)]
        return plain or [f for archive in archives for f in _in_archive(archive, pattern) if wanted(f)]
    if path.suffix.lower() == ".zip":
        return [file for file in _in_archive(path, pattern) if wanted(file)]
    alone = File(path.parent, path.name)
    return [alone] if pattern.fullmatch(path.name) and wanted(alone) else []


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


def _refuse_copies(path: Path, files: Sequence[File], told_by: int) -> None:
    seen: dict[str, File] = {}
    for file in files:
        told = file.base if told_by == 1 else "/".join(file.place.parts[-told_by:])
        first = seen.setdefault(told, file)
        if first is not file:
            raise InputError(
                f"{path}: {told} is there twice ({first.container / first.name} and "
                f"{file.container / file.name}); give the folder or .zip of one copy"
            )


@contextmanager
def _opened(container: Path) -> Iterator[Callable[[str], bytes]]:
    if container.is_dir():
        yield lambda name: (container / name).read_bytes()
    elif _kept_open is None:
        with zipfile.ZipFile(container) as archive:
            yield archive.read
    else:
        if container not in _kept_open:
            _kept_open[container] = zipfile.ZipFile(container)
        yield _kept_open[container].read


_kept_open: dict[Path, zipfile.ZipFile] | None = None


@contextmanager
def archives_kept_open() -> Iterator[None]:
    """Within the block each .zip is opened once, however many parts of it are read one after the other.

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


def _load(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    # A member that is encrypted or packed by an unknown method raises RuntimeError.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise BadFile(f"cannot be read ({error})") from None
