"""Writing text files of numbers fast and reproducibly: into a new folder, or into a .zip in it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from i2md.errors import InputError

WriteFile = Callable[[str, bytes], None]

# Written to the archive instead of the current time, so that the same seed gives the same bytes.
_DATE = (2000, 1, 1, 0, 0, 0)
# A compression level that is about as fast as the generator.
_FAST = 1
# Numbers must be below this: the whole digits have to fit in one group of four.
LIMIT = 9999.9995

_POWERS = 10 ** np.arange(9, dtype=np.int64)
_DECIMALS = np.array([8, 7, 6, 5, 4, 3])
_STEPS = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
# Unused bytes are zero until the caller removes them.
_NUMBER = np.dtype(
    [("sign", "u1"), ("whole", "<u4"), ("point", "u1"), ("high", "<u4"), ("low", "<u4"), ("after", "u1")]
)


@contextmanager
def new_folder(folder: Path, archive: str | None = None) -> Iterator[WriteFile]:
    """Create a folder, and yield a function that writes a file in it: `write(name, data)`.

    Args:
        folder: The folder, which must not exist or be empty.
        archive: Name of a .zip in the folder that the files are written to instead.

    Yields:
        The function; names are paths relative to the folder.

    Raises:
        InputError: If the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not empty; give a new folder for synthetic files")
    folder.mkdir(parents=True, exist_ok=True)
    if archive is None:
        yield _into_folder(folder)
        return
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST) as target:
        yield lambda name, data: target.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED, _FAST)


def _into_folder(folder: Path) -> WriteFile:
    created: set[Path] = set()

    def write(name: str, data: bytes) -> None:
        path = folder / name
        if path.parent not in created:
            path.parent.mkdir(parents=True, exist_ok=True)
            created.add(path.parent)
        path.write_bytes(data)

    return write


def _table(shown: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(text.ljust(4, b"\0") for text in shown), "<u4")


_WHOLE = _table([b"%d" % n for n in range(10_000)])
_ALL_FOUR = _table([b"%04d" % n for n in range(10_000)])
_LAST = _table([(b"%04d" % n).rstrip(b"0") for n in range(10_000)])


def number_text(values: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows bytes"]:
    r"""Format numbers with up to seven significant digits, as the publishers' programs print them.

    Python formats some four million numbers a second; a file of skeletons holds thirty thousand. This is faster: each
    number is split into groups of four digits, whose text is looked up.

    Args:
        values: The numbers, each below LIMIT in size.

    Returns:
        Each row as a line: its numbers separated by spaces, a newline at the end, and zero bytes to be removed.

    Raises:
        ValueError: If a number is not finite or not below LIMIT.

    Example:
        >>> number_text(np.array([[0.5, -3.25], [1036.2333, 0.0]])).tobytes().translate(None, b"\0")
        b'0.5 -3.25\n1036.233 0\n'
    """
    size = np.abs(values)
    if not (size < LIMIT).all():
        raise ValueError(f"a number is not finite or not below {LIMIT}")
    decimals = _DECIMALS[np.searchsorted(_STEPS, size, side="right")]
    digits = np.rint(size * _POWERS[decimals]).astype(np.int64) * _POWERS[8 - decimals]
    whole = digits // 10**8
    fraction = digits - whole * 10**8
    high = fraction // 10**4
    low = fraction - high * 10**4
    text = np.empty(values.shape, _NUMBER)
    text["sign"] = np.where((values < 0) & (digits > 0), ord("-"), 0)
    text["whole"] = _WHOLE[whole]
    text["point"] = np.where(fraction > 0, ord("."), 0)
    text["high"] = np.where(low > 0, _ALL_FOUR[high], _LAST[high])
    text["low"] = _LAST[low]
    text["after"] = ord(" ")
    text["after"][:, -1] = ord("\n")
    return text.view(np.uint8).reshape(len(values), -1)
