"""The files of a format, listed and read where they are: in a folder, below it or in a .zip, local or remote."""

from __future__ import annotations

import os
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from i2md.data.readers.archives import open_archive, opened_archive
from i2md.data.readers.limits import DAMAGE, read_file, read_member, require_size
from i2md.data.readers.listing import cannot_list, listing_of
from i2md.data.storage.remote import filesystem, fs_path, is_remote, list_files, remote_errors, to_path
from i2md.errors import InputError, refused_by_system

# Remote storage has a high latency but serves many requests at once: this many files are fetched ahead.
_AHEAD = 8


class BadFile(Exception):
    """A file that yields no clip; the message is the reason, in one line without the file's name."""


@dataclass(frozen=True, slots=True)
class File:
    """A file in a folder or in a .zip."""

    container: Path
    """The folder or .zip, local or remote."""
    name: str
    """Path of the file in its container, with slashes."""

    @property
    def inner(self) -> str:
        """The name with slashes, also where a .zip was made with the backslashes of Windows."""
        return self.name.replace("\\", "/") if "\\" in self.name and self.in_zip else self.name

    @property
    def base(self) -> str:
        """The name without folders."""
        return self.inner.rpartition("/")[2]

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
    def path(self) -> Path:
        """The absolute path; a .zip counts as a folder named as the .zip without its suffix."""
        container = Path(fs_path(self.container)) if is_remote(self.container) else self.container
        container = container.with_suffix("") if self.in_zip else container
        return Path(os.path.abspath(container / self.inner))


def find_files(
    path: Path,
    pattern: re.Pattern[str],
    what: str,
    unique_parts: int = 1,
    wanted: Callable[[File], bool] = lambda file: True,
    required: bool = True,
) -> tuple[File, ...]:
    """List the files of a format.

    Args:
        path: The folder that holds the files or a parent of it, a .zip, a folder of .zip files, or one such file.
        pattern: Pattern that the whole base name of a file matches.
        what: What the files are called in messages, such as "a*_s*_t*_skeleton.mat files".
        unique_parts: How many last parts of a file's path identify its clip: 1 if it is the base name. Two files that
            share them are an error, since with two copies of a data set one clip would be in training and test.
        wanted: Chooses among the files that match.
        required: Whether it is an error if there is none.

    Returns:
        The files, sorted by container and name.

    Raises:
        InputError: If `path` does not exist or holds a damaged .zip, if files are not unique, or if there is none.
    """
    path = to_path(path)
    if not _exists(path):
        raise InputError(f"{path}: no such file or folder; give the folder or .zip that holds {what}")
    files = sorted(_matching(path, pattern, wanted), key=lambda file: (file.container, file.name))
    if (listing := listing_of()) is not None:
        listing.found.update(files)
    _check_unique(path, files, unique_parts)
    if required and not files:
        others = listing.in_place() if listing else ""
        raise InputError(f"{path}: no {what} found{others}; give the folder that holds them or their .zip")
    return tuple(files)


def load_each(files: Sequence[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """Open files one after the other; each .zip is opened once, remote files are fetched ahead.

    Args:
        files: Files, those of one container next to each other.

    Yields:
        Each file with a function that loads its bytes and raises BadFile if they cannot be read. Call it before
        taking the next file.
    """
    for container, group in groupby(files, key=lambda file: file.container):
        with _opened(container) as read:
            if is_remote(container) and not _is_zip(container):
                yield from _read_ahead(read, group)
            else:
                for file in group:
                    yield file, partial(_load, read, file.name)


def load_file(file: File) -> bytes:
    """Load the bytes of a single file, such as a table of labels.

    Args:
        file: The file.

    Returns:
        Its bytes.

    Raises:
        BadFile: If it cannot be read.
    """
    with _opened(file.container) as read:
        return _load(read, file.name)


def _read_ahead(read: Callable[[str], bytes], files: Iterator[File]) -> Iterator[tuple[File, Callable[[], bytes]]]:
    """The same for a remote folder: the next files are fetched while one is processed."""
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
    """Judged by the name alone if it is remote, where a request takes time."""
    return container.suffix.lower() == ".zip" and (is_remote(container) or not container.is_dir())


def _matching(path: Path, pattern: re.Pattern[str], wanted: Callable[[File], bool]) -> list[File]:
    if path.is_dir():
        archives = sorted(path.glob("*.zip"))
        plain = [file for file in _in_folder(path, pattern) if wanted(file)]
        if plain:
            return plain
        if (listing := listing_of()) is not None:
            listing.found.update(File(path, archive.name) for archive in archives)
        return [f for archive in archives for f in _in_archive(archive, pattern) if wanted(f)]
    if path.suffix.lower() == ".zip":
        return [file for file in _in_archive(path, pattern) if wanted(file)]
    alone = File(path.parent, path.name)
    return [alone] if pattern.fullmatch(path.name) and wanted(alone) else []


def _in_folder(folder: Path, pattern: re.Pattern[str]) -> list[File]:
    if is_remote(folder):
        return _matched(folder, list_files(folder), pattern)
    names_below = []
    for parent, folders, names in os.walk(folder, onerror=cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(parent).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        names_below += [prefix + name for name in names]
        if (listing := listing_of()) is not None:
            linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            listing.links.update(File(folder, prefix + name) for name in linked)
    return _matched(folder, names_below, pattern)


def _matched(container: Path, names: Iterable[str], pattern: re.Pattern[str]) -> list[File]:
    files = [File(container, name) for name in names if not name.endswith("/")]
    if (listing := listing_of()) is not None:
        listing.all.update(file for file in files if not file.base.startswith("."))
    return [file for file in files if pattern.fullmatch(file.base)]


def _in_archive(path: Path, pattern: re.Pattern[str]) -> list[File]:
    try:
        with open_archive(path) as archive:
            names = archive.namelist()
    except DAMAGE as error:
        if refused_by_system(error):
            raise
        raise InputError(f"{path}: not a .zip that can be read ({_one_line(error)}); download it again") from None
    return _matched(path, names, pattern)


def _check_unique(path: Path, files: Sequence[File], parts: int) -> None:
    seen: dict[str, File] = {}
    for file in files:
        name = file.base if parts == 1 else "/".join(file.path.parts[-parts:])
        first = seen.setdefault(name, file)
        if first is not file:
            raise InputError(
                f"{path}: {name} appears twice ({first.container / first.name} and "
                f"{file.container / file.name}); give the folder or .zip of one copy"
            )


@contextmanager
def _opened(container: Path) -> Iterator[Callable[[str], bytes]]:
    if is_remote(container) and not _is_zip(container):
        yield lambda name: _fetch(container, name)
    elif not is_remote(container) and container.is_dir():
        yield lambda name: read_file(container / name)
    else:
        with opened_archive(container) as archive:
            yield partial(_member, container, archive)


def _member(container: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with remote_errors(container):
        return read_member(archive, name)


def _fetch(container: Path, name: str) -> bytes:
    with remote_errors(container / name):
        files, path = filesystem(container), f"{fs_path(container).rstrip('/')}/{name}"
        # Most kinds of storage give the size when the folder is listed.
        require_size(files.size(path) or 0)
        return files.cat_file(path)


def _load(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    # A member that is encrypted or compressed by an unknown method raises RuntimeError.
    except DAMAGE as error:
        raise BadFile(f"cannot be read ({_one_line(error)})") from None


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
