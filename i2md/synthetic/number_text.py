"""Numbers as text, many at once: up to seven significant digits, as the publishers' programs print them.

Python formats some four million numbers a second; a file of skeletons holds thirty thousand. Here each number is
taken apart into groups of four digits whose text is looked up.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

# Numbers must stay below this, which is as many whole digits as a group holds.
LIMIT = 9999.9995

_POWERS = 10 ** np.arange(9, dtype=np.int64)
_DECIMALS = np.array([8, 7, 6, 5, 4, 3])
_STEPS = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
# Bytes that are not there are zero until the caller strips them.
_NUMBER = np.dtype(
    [("sign", "u1"), ("whole", "<u4"), ("point", "u1"), ("high", "<u4"), ("low", "<u4"), ("after", "u1")]
)


def _table(shown: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(text.ljust(4, b"\0") for text in shown), "<u4")


_WHOLE = _table([b"%d" % n for n in range(10_000)])
_ALL_FOUR = _table([b"%04d" % n for n in range(10_000)])
_LAST = _table([(b"%04d" % n).rstrip(b"0") for n in range(10_000)])


def number_text(values: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows bytes"]:
    """Each row's numbers with a space between them and a line's end after the last, zero bytes among them.

    ValueError for a number that is not finite or not below LIMIT in size.

    >>> number_text(np.array([[0.5, -3.25], [1036.2333, 0.0]])).tobytes().translate(None, b"\\0")
    b'0.5 -3.25\\n1036.233 0\\n'
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
