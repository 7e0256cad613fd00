"""The files of a format, listed and read in place: in a folder, below it, or inside a .zip; on a disk or in a store."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO

from i2md.data.storage.remote import filesystem, fs_path, is_remote, list_files, remote_errors, to_path
from i2md.errors import InputError

# A store answers late, but many at once: so many files are on their way while one is read.
_AHEAD = 8


class BadFile(Exception):
    """A file that yields no clip: why, in one line without the file's name."""


@dataclass(frozen=True, slots=True)
class File:
    """A file by its place: `container` is a folder or a .zip (a store's too), `name` the path in it, with slashes."""

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
    def in_zip(self) -> bool:
        """Whether the container is a .zip."""
        return _is_zip(self.container)

    @property
    def place(self) -> Path:
        """The absolute path, a .zip counted as a folder of its name without suffix."""
        container = Path(fs_path(self.container)) if is_remote(self.container) else self.container
        container = container.with_suffix("") if self.in_zip else container
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
    path = to_path(path)
    if not _exists(path):
        raise InputError(f"{path}: no such file or folder; give the folder or .zip that holds {what}")
    files = sorted(_matching(path, pattern, wanted), key=lambda file: (file.container, file.name))
    _refuse_copies(path, files, told_by)
    return tuple(files)


def load_each(files: Sequence[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """Each file with the call that loads its bytes; that call raises BadFile where they cannot be read."""
    for container, group in groupby(files, key=lambda file: file.container):
        with _opened(container) as read:
            if is_remote(container) and not _is_zip(container):
                yield from _read_ahead(read, group)
            else:
                for file in group:
                    yield file, partial(_load, read, file.name)


def _read_ahead(read: Callable[[str], bytes], files: Iterator[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """The same of a folder in a store, the next files being fetched while one is worked at."""
    waiting: deque[tuple[File, Future[bytes]]] = deque()
    with ThreadPoolExecutor(_AHEAD) as threads:
        for file in files:
            waiting.append((file, threads.submit(_load, read, file.name)))
            if len(waiting) > _AHEAD:
                first, loaded = waiting.popleft()
                yield first, loaded.result
        for rest, loaded in waiting:
            yield rest, loaded.result


def _exists(path: Path) -> bool:
    if not is_remote(path):
        return path.exists()
    with remote_errors(path):
        return path.exists()


def _is_zip(container: Path) -> bool:
    """By its name alone in a store, where to ask takes time and folders are not called so."""
    return container.suffix.lower() == ".zip" and (is_remote(container) or not container.is_dir())


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
    if is_remote(folder):
        return [File(folder, name) for name in list_files(folder) if pattern.fullmatch(PurePosixPath(name).name)]
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        found += [File(folder, prefix + name) for name in names if pattern.fullmatch(name)]
    return found


def _in_archive(path: Path, pattern: re.Pattern[str]) -> list[File]:
    try:
        with _archive(path) as archive:
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
    if is_remote(container) and not _is_zip(container):
        yield lambda name: _fetch(container, name)
    elif not is_remote(container) and container.is_dir():
        yield lambda name: (container / name).read_bytes()
    elif _kept_open is None:
        with _archive(container) as archive:
            yield archive.read
    else:
        if container not in _kept_open:
            _kept_open[container] = _archive(container)
        yield _kept_open[container].read


def _fetch(container: Path, name: str) -> bytes:
    with remote_errors(container / name):
        return filesystem(container).cat_file(f"{fs_path(container).rstrip('/')}/{name}")


def _archive(path: Path) -> zipfile.ZipFile:
    if not is_remote(path):
        return zipfile.ZipFile(path)
    with remote_errors(path):
        return _StoredArchive(path, path.open("rb"))


class _StoredArchive(zipfile.ZipFile):
    """A .zip in a store: what is read of it is fetched, and little more."""

    def __init__(self, path: Path, stored: IO[bytes]) -> None:
        self._path, self._stored = path, stored
        super().__init__(stored)

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        with remote_errors(self._path):
            return super().read(name, pwd)

    def close(self) -> None:
        super().close()
        self._stored.close()


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
