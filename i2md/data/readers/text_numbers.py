"""Text of numbers, so many a line, as an array."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float64

from i2md.data.readers.files import BadFile


def number_rows(data: bytes, columns: int) -> Float64[np.ndarray, "rows columns"]:
    """The numbers of each line that is not blank; BadFile, naming the line, unless all hold `columns` numbers.

    >>> number_rows(b"1 2.5\\n 3 -4e-1\\n", columns=2)
    array([[ 1. ,  2.5],
           [ 3. , -0.4]])
    """
    if not data.strip():
        raise BadFile("the file is empty")
    try:
        rows = np.loadtxt(io.BytesIO(data), dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        raise BadFile(_fault(data, columns)) from None
    if rows.shape[1] != columns:
        raise BadFile(_fault(data, columns))
    return rows


def _fault(data: bytes, columns: int) -> str:
    for at, line in enumerate(data.split(b"\n"), 1):
        fields = line.split()
        if fields and len(fields) != columns:
            return f"line {at}: {len(fields)} numbers, not {columns}"
        for field in fields:
            try:
                float(field)
            except ValueError:
                return f"line {at}: {field[:20].decode('ascii', 'replace')!r} is not a number"
    return f"not lines of {columns} numbers"
