"""Libraries that only some formats need: without them, a reader says which extra to install."""

from __future__ import annotations

from importlib.util import find_spec

from i2md.errors import InputError


def require_extra(module: str, extra: str) -> None:
    """Check that the library of a format is installed.

    Args:
        module: The module that is imported.
        extra: The extra of this package that installs it.

    Raises:
        InputError: If it is not.

    Example:
        >>> require_extra("nosuch", "mocap")
        Traceback (most recent call last):
        ...
        i2md.errors.InputError: this format is read through nosuch, which is not installed: pip install "i2md[mocap]"
    """
    if find_spec(module) is None:
        raise InputError(f'this format is read through {module}, which is not installed: pip install "i2md[{extra}]"')
