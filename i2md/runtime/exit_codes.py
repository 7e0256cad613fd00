"""How a command ends: an exit status, and one line where the user can do something about it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from i2md.distributed.launch import find_launch
from i2md.errors import InputError, RankLost, WorkerLost

# What the operating system refuses for reasons that the user can mend.
_MENDABLE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EROFS: "name a place that can be written to",
    errno.EACCES: "name a place that you may use",
    errno.EPERM: "name a place that you may use",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "name a place that is free",
}
# The status of a temporary failure (EX_TEMPFAIL): the same command may be tried again.
TRY_AGAIN = 75


def exit_status(command: Callable[[], int], goes_on: bool) -> int:
    """What the command returns; 2 for what the user can mend, 1 for a bug, 130 on Ctrl-C, 75 for a lost process.

    `goes_on` is whether the same command takes up what a stopped one has left.
    """
    try:
        return command()
    except WorkerLost as error:
        _say(str(error))
        return TRY_AGAIN
    except InputError as error:
        _say(str(error))
        return 2
    except OSError as error:
        if error.errno in _MENDABLE:
            where = f"{error.filename}: " if error.filename else ""
            _say(f"{where}{os.strerror(error.errno)}; {_MENDABLE[error.errno]}")
            return 2
        if not isinstance(error, BrokenPipeError):
            traceback.print_exc()
        return 1
    except KeyboardInterrupt:
        _say(f"stopped; the same command {'goes on from here' if goes_on else 'begins anew'}")
        return 130
    except RankLost as error:
        _say(f"{error}; the same command {'goes on from the last state saved' if goes_on else 'begins anew'}")
        sys.stderr.flush()
        # The usual way out may wait for messages from the process that has gone.
        os._exit(TRY_AGAIN)
    except Exception:
        traceback.print_exc()
        return 1


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are the caller's business
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(message: str) -> None:
    """Print one line, where no other process of the job has said why it ends."""
    if _is_alone() or _is_first_to_tell():
        print(f"i2md: {' '.join(message.split())}", file=sys.stderr)


def _is_alone() -> bool:
    try:
        return find_launch().count == 1
    except InputError:  # which is what the line will say
        return True


def _is_first_to_tell() -> bool:
    from i2md.distributed.rendezvous import first_to_tell

    return first_to_tell()
