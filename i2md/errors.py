"""Errors: what the user can fix, what a retry may fix, and the loss of another process."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# Characters of a message: a longer one is shortened in its middle.
MAX_MESSAGE = 480


_MOST_SHOWN = 200


class InputError(Exception):
    """Something that the user can fix: one line that says what is wrong, where, and how to fix it.

    The command line prints it without a traceback and exits with status 2.

    >>> raise InputError("clips/: no recordings found; give the folder that holds the *.skeleton files")
    Traceback (most recent call last):
    ...
    i2md.errors.InputError: clips/: no recordings found; give the folder that holds the *.skeleton files
    """

    def __init__(self, message: str = "") -> None:
        # Names and values in it may hold line breaks, and bytes that are no text and cannot be printed.
        if not message.isprintable():
            message = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
        # They may have thousands of characters: the cause and the fix stand at the ends.
        if len(message) > MAX_MESSAGE:
            message = f"{message[: MAX_MESSAGE * 2 // 3]} ... {message[-MAX_MESSAGE // 3 + 5 :]}"
        super().__init__(message)


class RankLost(Exception):
    """Another process of the job has ended early, so that this one cannot continue.

    The command line prints it as one line and exits with code 75: a retry may succeed.
    """


class Stopped(InputError):
    """The work stopped for a reason outside its input; what is complete so far is kept, and a retry resumes from it."""


class WorkerLost(Stopped):
    """A worker process ended before its time, perhaps out of memory; what is done is kept for another try.

    The command line prints it as one line and exits with status 75: the same command may be tried again.
    """


def require_extra(module: str, extra: str, purpose: str) -> None:
    """Check that a library of an optional extra is installed.

    Args:
        module: Name under which it is imported.
        extra: The extra of this package that installs it.
        purpose: What needs it, the subject of the message, such as "--cluster local" or "C3D files".

    Raises:
        InputError: It is not installed.

    >>> require_extra("nosuch", "mocap", "C3D files")
    Traceback (most recent call last):
    ...
    i2md.errors.InputError: the package nosuch, needed for C3D files, is not installed: pip install "i2md[mocap]"
    """
    if find_spec(module) is None:
        raise InputError(f'the package {module}, needed for {purpose}, is not installed: pip install "i2md[{extra}]"')


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of a message about an unknown name: the known name most similar to it, or what to do instead.

    Args:
        word: The unknown name.
        known: The known names.
        otherwise: Returned where no known name is similar; by default a list of the known names.

    >>> suggestion("epoch", ["epochs", "seed"])
    'did you mean epochs?'
    >>> suggestion("zzzz", ["epochs", "seed"])
    'choose one of epochs, seed'
    """
    known = list(known)
    alike = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {alike[0]}?" if alike else otherwise or f"choose one of {', '.join(known)}"


def shortened(reason: object) -> str:
    """A reason as one line of at most 200 characters, for the message of an error.

    Args:
        reason: What to shorten, often an exception of a library.

    Returns:
        The text without line breaks and unprintable characters.

    >>> shortened(ValueError("two\\nlines"))
    'two lines'
    """
    text = " ".join(str(reason)[: 4 * _MOST_SHOWN].split()) or type(reason).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def refused_by_system(error: BaseException) -> bool:
    """Whether the system refused to read a file, which may be whole: for its permissions or a failing disk.

    Args:
        error: What reading the file raised.

    >>> refused_by_system(PermissionError(13, "Permission denied")), refused_by_system(ValueError("cut short"))
    (True, False)
    """
    refusals = (errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE)
    return isinstance(error, OSError) and error.errno in refusals


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Within the block, an OSError names `path`; that of a failed write names no file by itself.

    Args:
        path: File that is read or written in the block.

    >>> with name_file_in_errors(Path("clips/frames.npy")):
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
