"""Atomic writes, with the permissions that the umask asks for, and locks between processes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from i2md.errors import InputError, name_file_in_errors

PARTIAL = ".partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which replaces `path` when the block ends and is removed on an error.

    Two processes that write the same file do so one after the other.

    Args:
        path: File to write or replace.

    Yields:
        A path in the same folder. The block writes into that file: one that it puts there in its stead would have
        neither the permissions that follow the umask nor the lock.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name, so that the next write replaces what a killed process left.
    partial = path.with_name(f".{path.name}{PARTIAL}")
    with name_file_in_errors(path), locked(partial, wait=True):
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)


def check_target(path: Path, file: bool = False) -> None:
    """Check that a file or folder can be made or replaced at a path, before work is spent on it.

    Args:
        path: The target, on a local disk.
        file: Whether a file is to be written there by `atomic_write`, whose temporary file has a longer name.

    Raises:
        InputError: The path, or a folder above it, is a link to nothing, or the path is a pipe or a device.
        OSError: The system refuses the path: its name is too long, a part of it is a file.
    """
    for each in (path, *path.absolute().parents):
        if each.is_symlink() and not each.exists():
            raise InputError(
                f"{each}: a link to {os.readlink(each)}, where nothing is; remove the link, or name another target"
            )
    for each in (path, *([path.with_name(f".{path.name}{PARTIAL}")] if file else [])):
        with suppress(FileNotFoundError):
            kind = os.stat(each).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                raise InputError(f"{each}: neither a file nor a folder but a pipe or a device; name another target")


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically.

    Args:
        path: File to write or replace.
        text: Its content, written as UTF-8.
    """
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """In the block, this process alone has locked a file, which is made for it and removed afterwards.

    The lock ends with the process, however that ends; a file that a killed process left locks nothing. File systems
    without locks give none.

    Args:
        path: The file.
        wait: Wait for another process that has locked it.

    Raises:
        BlockingIOError: Another process has locked it, and `wait` is false.
    """
    while True:
        try:
            file, is_new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                file, is_new = os.open(path, os.O_RDWR), False
            except FileNotFoundError:
                continue
        try:
            lock_file(file, wait)
            if not _is_still(path, file):
                continue  # another process has finished with it, or taken over what it took for a leftover
            if not is_new:
                os.unlink(path)
                continue
            try:
                yield
            finally:
                if _is_still(path, file):
                    os.unlink(path)
            return
        finally:
            os.close(file)


def lock_file(file: int, wait: bool = False) -> None:
    """Lock an open file until it is closed or the process ends, however it ends; no lock if the system has none.

    Args:
        file: Its descriptor.
        wait: Wait for another process that has locked it.

    Raises:
        BlockingIOError: Another process has locked it, and `wait` is false.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


def being_written(target: Path) -> InputError:
    """The error for a file or folder that another process has locked.

    Args:
        target: What both write.
    """
    return InputError(f"{target}: another process is writing it; wait for it, or name another folder")


def _is_still(path: Path, file: int) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
