"""Exit codes of commands, the one line printed for an error that the user can fix, and stop signals.

0: done. 1: a bug, with a traceback. 2: something the user can fix. 75: a process of the job was lost. 130: Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from i2md.errors import InputError, RankLost, WorkerLost
from i2md.runtime.cluster_environment import cluster_environment

# Errors of the operating system that the user can fix.
_FIXES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "choose a writable location",
    errno.EACCES: "give yourself the permission, or choose another location",
    errno.EPERM: "give yourself the permission, or choose another location",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "give a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "a link in it leads back to itself: remove the link",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EEXIST: "choose a path that does not exist yet",
}
# Errors of a disk that is full, which leave what is safe by then.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# EX_TEMPFAIL of sysexits.h: running the same command again may succeed.
TRY_AGAIN = 75


def exit_code(command: Callable[[], int], resumes: bool) -> int:
    """Call a command and turn its exceptions into an exit code, and into one line on stderr where the user can act.

    Args:
        command: Returns an exit code.
        resumes: Whether running the same command again continues from what a stopped one has saved.

    Returns:
        What the command returned; 2 for an error that the user can fix, 1 for a bug, 130 on Ctrl-C. Where a process
        of the job was lost, the interpreter exits with 75.
    """
    again = "run the same command again to resume" if resumes else "run the same command again to start over"
    try:
        return command()
    except WorkerLost as error:
        _print_once(error, str(error))
        return TRY_AGAIN
    except InputError as error:
        _print_once(error, str(error))
        return 2
    except OSError as error:
        if error.errno in _FIXES:
            where = f"{error.filename}: " if error.filename else ""
            then = ", then run the same command again" if error.errno in _FULL else ""
            then += " to resume" if then and resumes else ""
            _print_once(error, f"{where}{os.strerror(error.errno)}; {_FIXES[error.errno]}{then}")
            return 2
        if not isinstance(error, BrokenPipeError):
            traceback.print_exc()
        return 1
    except KeyboardInterrupt as error:
        _print_once(error, f"stopped; {again}")
        return 130
    except RankLost as error:
        _print_once(error, f"{error}; {again}")
        sys.stderr.flush()
        # A normal exit may wait for messages from the process that was lost.
        os._exit(TRY_AGAIN)
    except Exception:
        traceback.print_exc()
        return 1


def set_reported_here(error: BaseException, reported_here: bool) -> None:
    """Set whether `exit_code` prints a line for this error in this process; by default it does on rank 0 only.

    Args:
        error: An exception that is about to leave a process group.
        reported_here: False where another process of the job prints the reason.
    """
    error.reported_here = reported_here  # type: ignore[attr-defined]


def is_reported_here(error: BaseException) -> bool:
    """Whether `exit_code` prints a line for this error in this process.

    Args:
        error: What `set_reported_here` may have been called with.
    """
    try:
        on_main = cluster_environment().rank == 0
    except InputError:  # the environment variables are invalid, and the line will say so
        on_main = True
    return getattr(error, "reported_here", on_main)


def _stop_signals() -> tuple[signal.Signals, ...]:
    """The signals, apart from Ctrl-C, that ask this process to stop."""
    # Windows has no SIGHUP.
    hangup = getattr(signal, "SIGHUP", None)
    heeded = hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN
    return (signal.SIGTERM, hangup) if hangup and heeded else (signal.SIGTERM,)


@contextmanager
def stop_signals_as_interrupt() -> Iterator[None]:
    """In the block, SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does.

    SIGHUP is what a closed terminal or a lost connection sends; where it is ignored, as nohup does, it stays ignored.
    """

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, interrupt) for number in _stop_signals()}
    except ValueError:  # outside of the main thread signals are left to the caller
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """In the block, Ctrl-C, SIGTERM and SIGHUP do not interrupt a training step; their numbers go to the list.

    SIGHUP is what a closed terminal or a lost connection sends; where it is ignored, as nohup does, it stays ignored.

    When RankLost leaves the block they stay deferred: a launcher then sends SIGTERM to the remaining processes,
    which have to print what happened first.
    """
    received: list[int] = []
    try:
        before = {n: signal.signal(n, lambda n, _: received.append(n)) for n in (signal.SIGINT, *_stop_signals())}
    except ValueError:  # outside of the main thread signals are left to the caller
        before = {}
    try:
        yield received
    except RankLost:
        before = {}
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_delayed() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM after the block instead of within it; for short blocks that take locks.

    An exception that a signal handler raises between a lock's acquisition and the `with` that releases it leaves the
    lock held for good. Outside of the main thread signals are left to the caller.
    """
    received: list[int] = []
    before: dict[int, Any] = {}
    with suppress(ValueError):
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            before[number] = signal.signal(number, lambda n, _: received.append(n))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _print_once(error: BaseException, message: str) -> None:
    """Print one line on stderr, unless another process of the job does."""
    if is_reported_here(error):
        # An InputError is never longer than MAX_MESSAGE.
        print(f"i2md: {' '.join(str(InputError(message)).split())}", file=sys.stderr)
