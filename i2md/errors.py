"""The one error that the user can mend, and its kind that another try may mend."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(Exception):
    """Something in the user's hands is wrong: one line that says what, where and how to mend it.

    The command line prints it without a traceback and exits with status 2.

    >>> raise InputError("clips/: no recordings found; give the folder that holds the *.skeleton files")
    Traceback (most recent call last):
    ...
    i2md.errors.InputError: clips/: no recordings found; give the folder that holds the *.skeleton files
    """


class RankLost(Exception):
    """Another process of the same job has ended before its time, so that this one cannot go on.

    The command line prints it as one line and exits with status 75: the same command may be tried again.
    """


class Stopped(InputError):
    """The work could not go on, for no fault of what is written: what is safe so far is kept for another try."""


class WorkerLost(Stopped):
    """A worker process ended before its time, perhaps out of memory; what is done is kept for another try.

    The command line prints it as one line and exits with status 75: the same command may be tried again.
    """


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of a message about an unknown word: the known one that is most like it, or what to do instead.

    Args:
        word: What was typed.
        known: What could have been.
        otherwise: Said where nothing is alike; by default all known words.

    >>> nearest("epoch", ["epochs", "seed"])
    'did you mean epochs?'
    >>> nearest("zzzz", ["epochs", "seed"])
    'choose one of epochs, seed'
    """
    known = list(known)
    alike = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {alike[0]}?" if alike else otherwise or f"choose one of {', '.join(known)}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within the block, what the operating system refuses is said of `path`; a failed write names no file itself.

    >>> with naming(Path("clips/frames.npy")):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'clips/frames.npy'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
