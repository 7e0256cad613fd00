"""The one error that the user can mend."""

from __future__ import annotations


class InputError(Exception):
    """Something in the user's hands is wrong: one line that says what, where and how to mend it.

    The command line prints it without a traceback and exits with status 2.

    >>> raise InputError("clips/: no recordings found; give the folder that holds the *.skeleton files")
    Traceback (most recent call last):
    ...
    i2md.errors.InputError: clips/: no recordings found; give the folder that holds the *.skeleton files
    """
