"""Tables as columns: CSV, TSV and text separated by white space, with or without a line of names, and Parquet."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from jaxtyping import Float64

from i2md.data.readers.files import BadFile
from i2md.data.readers.limits import require_size
from i2md.data.readers.text_numbers import number_rows

_HEAD = 1 << 20
_MOST_COLUMNS = 20_000
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?|[-+]?(nan|inf)|", re.IGNORECASE)
# A table in which a number has a comma for its point separates them by something else.
_DECIMAL_COMMA = re.compile(rb"(^|;)\s*-?\d+,\d+\s*(;|$)", re.MULTILINE)
SUFFIXES = ("csv", "tsv", "txt", "parquet", "pq")


def read_table(name: str, data: bytes, wanted: Sequence[str] | None = None) -> pa.Table:
    """Read a table.

    Args:
        name: Name of the file; .parquet and .pq are Parquet, others text.
        data: Its bytes.
        wanted: Names of the columns to read, of which those that are there are read; by default all.

    Returns:
        The table. Columns of a text without a line of names are called 0, 1, ...

    Raises:
        BadFile: If it is no table.

    Example:
        >>> read_table("a.csv", b"x;y\\n1,5;2\\n").to_pydict()
        {'x': [1.5], 'y': [2]}
    """
    if data.startswith(b"PAR1") or name.lower().endswith((".parquet", ".pq")):
        return _parquet(data, wanted)
    data = _as_utf8(data)
    names, skipped, separator = _head(data)
    if len(set(names)) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise BadFile(f"two columns are called {twice[:40]!r}; give each a name of its own")
    if len(names) > _MOST_COLUMNS:
        raise BadFile(f"{len(names)} columns")
    if separator == " ":
        return _spaced(data, names, skipped, wanted)
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=names, skip_rows=skipped, use_threads=False),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=False, ignore_empty_lines=True),
            convert_options=pacsv.ConvertOptions(
                include_columns=None if wanted is None else [each for each in names if each in wanted],
                decimal_point="," if separator == ";" and _DECIMAL_COMMA.search(data[:_HEAD]) else ".",
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise BadFile(f"not a table that can be read ({' '.join(str(error).split())[:160]})") from None
    return table


def column_names(name: str, data: bytes) -> list[str]:
    """The names of a table's columns.

    Args:
        name: Name of the file.
        data: Its bytes, or the first ones of a text.

    Returns:
        The names; 0, 1, ... for a text without a line of names.

    Raises:
        BadFile: If it is no table.
    """
    if data.startswith(b"PAR1"):
        return list(_parquet_file(data).schema_arrow.names)
    return _head(_as_utf8(data))[0]


def has_names(names: Sequence[str]) -> bool:
    """Whether columns have names of their own rather than 0, 1, ..."""
    return list(names) != [str(index) for index in range(len(names))]


def numbers_of(table: pa.Table, name: str) -> Float64[np.ndarray, " rows"]:
    """A column as numbers.

    Args:
        table: A table.
        name: Name of the column.

    Returns:
        The numbers; NaN where there is none.

    Raises:
        BadFile: If it holds something else.
    """
    column = table.column(name)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    try:
        return np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    except (pa.ArrowException, ValueError, TypeError):
        other = next((text for text in map(str, column.to_pylist()) if not _NUMBER.fullmatch(text)), "")
        raise BadFile(f"column {name[:40]!r} holds {other[:20]!r}, not numbers") from None


def _as_utf8(data: bytes) -> bytes:
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        data = data.decode("utf-16", "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _head(data: bytes) -> tuple[list[str], int, str]:
    """The names of the columns, how many lines come before the first row, and what separates values."""
    text = data[:_HEAD]
    lines = [line.decode("utf-8", "replace").rstrip("\r") for line in text.split(b"\n")]
    skipped = next((at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if skipped is None:
        raise BadFile("the file is empty")
    first = lines[skipped]
    separator = max(",;\t", key=first.count)
    if not first.count(separator):
        separator = " "
    fields = first.split() if separator == " " else [field.strip().strip('"') for field in first.split(separator)]
    if all(_NUMBER.fullmatch(field) for field in fields):
        return [str(index) for index in range(len(fields))], skipped, separator
    names = [field or f"column {at}" for at, field in enumerate(fields)]
    return names, skipped + 1, separator


def _spaced(data: bytes, names: list[str], skipped: int, wanted: Sequence[str] | None) -> pa.Table:
    rows = number_rows(b"\n".join(data.split(b"\n")[skipped:]), len(names))
    return pa.table({each: rows[:, at] for at, each in enumerate(names) if wanted is None or each in wanted})


def _parquet_file(data: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadFile(f"not a Parquet file that can be read ({' '.join(str(error).split())[:160]})") from None


def _parquet(data: bytes, wanted: Sequence[str] | None) -> pa.Table:
    file = _parquet_file(data)
    groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
    try:
        require_size(sum(group.total_byte_size for group in groups), "the table")
        require_size(8 * sum(max(group.num_rows, 0) for group in groups) * file.metadata.num_columns, "the table")
        return file.read(None if wanted is None else [each for each in file.schema_arrow.names if each in wanted])
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise BadFile(f"not a Parquet file that can be read ({' '.join(str(error).split())[:160]})") from None
