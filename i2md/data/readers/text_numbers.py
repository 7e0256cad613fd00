"""Numbers in text files: whole tables, and single fields picked out of long text without splitting all of it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from i2md.data.readers.files import BadFile

_SPACE, _NEWLINE = 32, 10


def number_rows(data: bytes, columns: int, separator: str | None = None) -> Float64[np.ndarray, "rows columns"]:
    r"""Read text with the same number of numbers on each line; blank lines are skipped.

    Args:
        data: The text.
        columns: Numbers on a line.
        separator: What separates them; by default white space.

    Returns:
        The numbers, a row for each line.

    Raises:
        BadFile: If the text is empty, or a line (which is named) does not hold `columns` numbers.

    Example:
        >>> number_rows(b"1 2.5\n 3 -4e-1\n", columns=2)
        array([[ 1. ,  2.5],
               [ 3. , -0.4]])
    """
    # Python and NumPy take the four separators of ASCII for white space, bytes.strip does not.
    if not data.translate(None, b"\x1c\x1d\x1e\x1f").strip():
        raise BadFile("the file is empty")
    try:
        rows = np.loadtxt(io.BytesIO(data), dtype=np.float64, delimiter=separator, comments=None, ndmin=2)
    except ValueError:
        raise BadFile(_first_fault(data, columns, separator)) from None
    if rows.shape[1] != columns:
        raise BadFile(_first_fault(data, columns, separator))
    return rows


def _first_fault(data: bytes, columns: int, separator: str | None) -> str:
    for at, line in enumerate(data.split(b"\n"), 1):
        fields = line.split(separator.encode() if separator else None) if line.strip() else []
        words = [field for field in fields if not _is_number(field)]
        if words:
            text = f"line {at}: {words[0][:20].decode('ascii', 'replace')!r} is not a number"
            return f"{text}; remove the header line" if at == 1 and len(words) == len(fields) else text
        if fields and len(fields) != columns:
            return f"line {at}: {len(fields)} numbers, not {columns}"
    return f"not lines of {columns} numbers"


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def first_numbers(
    text: bytes, lines: Sequence[int], fields: int, wanted: int
) -> Float64[np.ndarray, "lines wanted"] | None:
    r"""Read the first fields of chosen lines as numbers, several times as fast as by splitting the text.

    Args:
        text: Lines that end in LF or CRLF, of fields separated by one space.
        lines: Indices of the lines to read, counted from 0, ascending.
        fields: Fields that each of these lines must have.
        wanted: How many of them to read.

    Returns:
        The numbers, a row for each line; None if a line is formatted in another way or a field is not a number.

    Example:
        >>> first_numbers(b"2\n1 2.5 x\n3 4 y\n", [1, 2], fields=3, wanted=2).tolist()
        [[1.0, 2.5], [3.0, 4.0]]
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    text += b"\n"
    letters = np.frombuffer(text, np.uint8)
    # Each of these characters ends a field, so field i ends at ends[i].
    ends = np.flatnonzero((letters == _SPACE) | (letters == _NEWLINE))
    last = np.flatnonzero(letters[ends] == _NEWLINE)
    chosen = np.asarray(lines)
    first = np.concatenate([[0], last + 1])[chosen]
    if (last[chosen] - first != fields - 1).any():
        return None
    picked = first[:, None] + np.arange(wanted)
    starts = np.concatenate([[0], ends + 1])[picked].ravel()
    return _to_numbers(text, starts, ends[picked].ravel(), (len(chosen), wanted))


def _to_numbers(text: bytes, starts: np.ndarray, ends: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    # The text as Arrow strings: alternately a number and the text between it and the next number.
    offsets = np.append(np.stack([starts, ends], axis=1).ravel(), ends[-1:]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    strings = pa.Array.from_buffers(pa.string(), 2 * len(starts), buffers)
    try:
        numbers = strings.take(pa.array(np.arange(0, 2 * len(starts), 2))).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return numbers.to_numpy(zero_copy_only=False).reshape(shape)
