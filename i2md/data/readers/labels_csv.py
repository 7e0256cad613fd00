"""labels.csv: label, split, subject and a remark on each clip, by the clip's name."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from unicodedata import normalize

from i2md.data.readers.files import BadFile, File, load_file
from i2md.data.readers.name_tables import shown, unread_columns
from i2md.data.recording import UNKNOWN
from i2md.data.splits import part_name
from i2md.errors import InputError

_COLUMNS = ("name", "label", "split", "subject", "remark")
_SUBJECT = re.compile(r"[0-9]{1,18}")


class Labelled(NamedTuple):
    """What is known of a clip; an empty string if not known."""

    label: str = ""
    split: str = ""
    subject: int = UNKNOWN
    remark: str = ""
    """What a person says of the clip, such as "bad recording"."""


def read_labels_csv(
    path: Path, tables: Sequence[File], names: Collection[str]
) -> tuple[dict[str, Labelled], dict[str, int]]:
    """Read labels.csv.

    Args:
        path: The folder or .zip, for messages.
        tables: The files of this name that are in it.
        names: Names of the clips; a name in the table may have the suffix of the clip's file.

    Returns:
        What is known of the clips, by their names, and a count of the columns that are not read.

    Raises:
        InputError: If there are two, or a line is invalid.
    """
    if len(tables) > 1:
        raise InputError(f"{path}: labels.csv appears twice; keep the one that names all clips")
    (table,) = tables
    table_path = table.container / table.name
    inside = PurePosixPath(table.inner).parent
    # The same accented letter may be one character or two.
    spelled = {normalize("NFC", name): name for name in names}
    known: dict[str, Labelled] = {}
    try:
        columns, lines = _lines(load_file(table))
        for line, row in lines:
            name, known_of_clip = _row(inside, line, row, spelled)
            name = spelled.get(name, name)
            if name in known:
                raise BadFile(f"line {line}: {shown(name)} is named a second time; keep one line")
            known[name] = known_of_clip
    except BadFile as error:
        raise InputError(f"{table_path}: {error}") from None
    return known, unread_columns("labels.csv", filter(None, columns), _COLUMNS)


def _lines(data: bytes) -> tuple[Sequence[str], Iterator[tuple[int, Mapping[str | None, Any]]]]:
    """The columns of labels.csv, and its lines by number; values are separated by commas, semicolons or tabs."""
    try:
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(f"line {line} is not in UTF-8: save the table as 'CSV UTF-8'") from None
    if "\0" in text:  # Python's own reader refuses it up to 3.10 and keeps it from 3.11 on
        raise BadFile(f"line {text[: text.index(chr(0))].count(chr(10)) + 1} holds a zero byte: save the table as text")
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns = [(column or "").strip().lower() for column in rows.fieldnames or ()]
    if "name" not in columns or not set(columns) & set(_COLUMNS[1:4]):
        raise BadFile(
            f"its columns are {shown(', '.join(columns)) or 'missing'}; give a first line with name and label, split or"
            " subject"
        )
    if any(columns.count(column) > 1 for column in _COLUMNS):
        raise BadFile(f"its columns are {shown(', '.join(columns))}: one appears twice; keep one")
    rows.fieldnames = columns
    return columns, _numbered(rows)


def _numbered(rows: csv.DictReader) -> Iterator[tuple[int, Mapping[str | None, Any]]]:
    before = rows.line_num
    try:
        for row in rows:
            yield rows.line_num, row
            before = rows.line_num
    except csv.Error as error:
        # A quote that is never closed runs to the end of the table.
        raise BadFile(f"line {before + 1}: {error}; check its quotes") from None


def _row(
    inside: PurePosixPath, line: int, row: Mapping[str | None, Any], names: Collection[str]
) -> tuple[str, Labelled]:
    """The clip's name on a line of labels.csv, and the rest of the line."""
    name, label, split, subject, remark = ((row.get(key) or "").strip() for key in _COLUMNS)
    if not name or None in row:
        fault = "more values than columns: quote those with a comma" if name else "no name; give the clip's"
        raise BadFile(f"line {line}: {fault}")
    if subject and not _SUBJECT.fullmatch(subject):
        fault = f"subject '{shown(subject)}' is not a whole number below 10^18; number the subjects"
        raise BadFile(f"line {line}: {shown(name)}: {fault}")
    # Windows separates folders by backslashes.
    name = normalize("NFC", name.replace("\\", "/").removeprefix("./"))
    clip = str(inside / name)
    stem = str(PurePosixPath(clip).with_suffix("")) if PurePosixPath(clip).suffix else clip
    known = Labelled(label, part_name(split) or split, int(subject) if subject else UNKNOWN, remark)
    return (stem if clip not in names and stem in names else clip), known
