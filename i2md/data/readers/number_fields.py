"""Numbers picked out of long text by line and field, without splitting all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

_SPACE, _NEWLINE = 32, 10


def first_numbers(
    text: bytes, lines: Sequence[int], fields: int, wanted: int
) -> Float64[np.ndarray, "lines wanted"] | None:
    r"""The first `wanted` of the `fields` fields on each of these lines, as numbers.

    `lines` count from 0 and ascend. Fields are parted by one space, lines by LF or CRLF; None where a line is
    not so, or a field is not a number.

    >>> first_numbers(b"2\n1 2.5 x\n3 4 y\n", [1, 2], fields=3, wanted=2).tolist()
    [[1.0, 2.5], [3.0, 4.0]]
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    text += b"\n"
    letters = np.frombuffer(text, np.uint8)
    # Each of these ends a field, so a field has the number of the one after it.
    ends = np.flatnonzero((letters == _SPACE) | (letters == _NEWLINE))
    last = np.flatnonzero(letters[ends] == _NEWLINE)
    chosen = np.asarray(lines)
    first = np.concatenate([[0], last + 1])[chosen]
    if (last[chosen] - first != fields - 1).any():
        return None
    picked = first[:, None] + np.arange(wanted)
    starts = np.concatenate([[0], ends + 1])[picked].ravel()
    return _as_numbers(text, starts, ends[picked].ravel(), (len(chosen), wanted))


def _as_numbers(text: bytes, starts: np.ndarray, ends: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    # The text as Arrow strings, by turns a number and what lies between it and the next.
    offsets = np.append(np.stack([starts, ends], axis=1).ravel(), ends[-1:]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    strings = pa.Array.from_buffers(pa.string(), 2 * len(starts), buffers)
    try:
        numbers = strings.take(pa.array(np.arange(0, 2 * len(starts), 2))).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return numbers.to_numpy(zero_copy_only=False).reshape(shape)
