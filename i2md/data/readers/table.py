"""The format `table`: positions in CSV, TSV, text separated by white space, or Parquet.

A table has a row for each frame (and person), with columns for the coordinates of each joint, or a row for each joint.
One file is one recording, or a column names the recording of each row; a file without names of columns holds x y (z) of
the layout's joints in their order, after the number of the frame if there is one column more, for one or several
persons. Columns are recognised by their names (i2md.data.readers.table_columns) or named by the option `columns`.

The layout is the one that `layout` names, or the one that the names of the joints are of. An empty cell is a missing
joint. Frames are numbered by the column `frame`; by the column `time`, whose steps give the frame rate; or are the rows
themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from i2md.data.coordinates import convert
from i2md.data.readers.clip_table import ClipTable, ordered_labels
from i2md.data.readers.files import BadFile, File, find_files, load_each, load_file
from i2md.data.readers.joint_names import Match, best_layout, layout_of_names
from i2md.data.readers.labels_csv import Labelled
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import FILE, PoseOptions, first_parsed, full_name, one_file_each, pose_source
from i2md.data.readers.table_columns import Columns, given_columns, given_numbers, recognise_columns
from i2md.data.readers.table_files import column_names, has_names, read_table
from i2md.data.readers.table_rows import TableParser, as_text, recordings_in, texts_of
from i2md.data.recording import Source
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

TABLES = re.compile(r"(?!labels\.csv$)[^.].*\.(csv|tsv|txt|parquet|pq)", re.IGNORECASE)


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    columns: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open tables of positions.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default the one that their names are of.
        columns: Where the coordinates are: "x={joint}_x,y={joint}_y,z={joint}_z,confidence={joint}_c,frame=n"; by
            default recognised. Of columns without names what the numbers of each joint are: "x,y,confidence".
        fps: Frame rate; 0 if unknown or in a column of times.
        persons: Persons kept at most.
        score: A joint whose confidence is this or less is missing, if there are confidences.
        units: Unit of the coordinates: m, cm or mm.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.
        joints: Names of the layout's joints in the order of the file's columns.

    Returns:
        The recordings.

    Raises:
        InputError: If there is no table, or its columns or joints are not recognised.
    """
    files = find_files(path, TABLES, ".csv, .tsv, .txt or .parquet tables", unique_parts=FILE)
    options = PoseOptions(persons, score, fps)
    return convert(open_tables(path, files, options, layout, columns), units, axes, joints)


def open_tables(
    path: Path,
    files: Sequence[File],
    options: PoseOptions,
    layout: str | Sequence[str] | None = None,
    columns: str | None = None,
    image: bool = False,
) -> Source:
    """Open tables among the files of another format, such as exports of MediaPipe.

    Args:
        path: What was given.
        files: The tables.
        options: What to keep of them.
        layout: As in `open_source`, or several, of which it is the one that has most of its joints there.
        columns: As in `open_source`.
        image: Of two sets of coordinates choose those in the image.

    Returns:
        The recordings.

    Raises:
        InputError: As `open_source`.
    """
    names, found = _first_columns(path, files, columns, image)
    numbers = given_numbers(columns) if found is None and columns is not None else None
    parser = _parser(path, files, names, found, layout, numbers)
    match = parser.match
    left_out = {}
    unread = [name for name in names if found is not None and name not in found.read()]
    if unread:
        left_out[f"columns of other content, such as {shown(unread[0])}"] = len(unread)
    groups = one_file_each(files, several=found is not None and bool(found.roles["recording"]))
    clips, table = _known(groups, found, left_out) if found is not None else (None, None)
    return pose_source(
        path,
        groups,
        match.layout,
        parser,
        options,
        units="unknown" if match.layout.channels == 3 else "image",
        clips=clips,
        table=table,
        left_out=left_out,
        missing=match.missing,
    )


def _first_columns(
    path: Path, files: Sequence[File], columns: str | None, image: bool
) -> tuple[list[str], Columns | None]:
    """The columns of the first file that can be read; None for a file without names."""

    def of_file(file: File) -> tuple[list[str], Columns | None]:
        names = column_names(file.base, load_file(file))
        if columns is not None and has_names(names):
            return names, given_columns(columns, names)
        return names, recognise_columns(names, image) if has_names(names) else None

    return first_parsed(path, files, of_file)


def _parser(
    path: Path,
    files: Sequence[File],
    names: list[str],
    found: Columns | None,
    layout: str | Sequence[str] | None,
    numbers: tuple[str, ...] | None,
) -> TableParser:
    if found is None:
        if not isinstance(layout, str):
            raise InputError(
                f"{path}: {len(names)} columns without names: give the layout whose joints they are in the order of, "
                "for example --layout kinect-v1 (see i2md layouts)"
            )
        known = get_layout(layout)
        numbers = _numbers_without_names(path, len(names), known, numbers)
        order = tuple(range(len(known.joints)))
        channels = 3 if "z" in numbers else 2
        return TableParser(Match(known.with_channels(channels), order), None, known.joints, numbers)
    joints = _joints_of_rows(path, files, found) if found.long else tuple(found.joints)
    match = layout_of_names(path, joints, layout if isinstance(layout, str | None) else best_layout(joints, layout))
    channels = found.channels
    return TableParser(Match(match.layout.with_channels(channels), match.order), found, joints)


def _numbers_without_names(path: Path, columns: int, layout: Layout, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """What the numbers of each joint are: as given, or x y z or x y by how many columns there are."""
    for numbers in (given,) if given else (("x", "y", "z"), ("x", "y")):
        if columns % (len(layout.joints) * len(numbers)) in (0, 1):
            return numbers
    raise InputError(
        f"{path}: {columns} columns without names are not {' '.join(given) if given else 'x y (z)'} of the "
        f"{len(layout.joints)} joints of layout {layout.name}; give another --layout"
    )


def _joints_of_rows(path: Path, files: Sequence[File], columns: Columns) -> tuple[str, ...]:
    """The names in the column of joints of the first file that can be read."""

    def names(file: File) -> tuple[str, ...]:
        rows = read_table(file.base, load_file(file), [columns.roles["joint"]])
        return tuple(dict.fromkeys(texts_of(rows, columns.roles["joint"])))

    return first_parsed(path, files, names)


def _known(
    groups: Sequence[tuple[str, tuple[File, ...]]], columns: Columns, left_out: dict[str, int]
) -> tuple[list[str] | None, ClipTable | None]:
    """The names of all recordings, if a column names them, and what columns say of them, if any do."""
    described = [columns.roles[role] for role in ("recording", "label", "subject") if columns.roles[role]]
    if not described:
        return None, None
    rows: dict[str, Labelled] = {}
    changing = 0
    for (name, (file,)), (_, load) in zip(groups, load_each([file for _, (file,) in groups]), strict=True):
        try:
            table = read_table(file.base, load(), described)
            recordings = recordings_in(table, columns)
        except BadFile:
            # Named and counted when the recordings are read.
            continue
        for recording, at in recordings:
            label, subject = (_only(table, columns.roles[role], at) for role in ("label", "subject"))
            changing += label is None
            number = int(subject) if subject and subject.isascii() and subject.isdecimal() and len(subject) < 19 else -1
            rows[full_name(name, recording)] = Labelled(label or "", "", number)
    if changing:
        left_out["label of recordings in which it changes"] = changing
    clips = list(rows) if columns.roles["recording"] else None
    if not (columns.roles["label"] or columns.roles["subject"]):
        return clips, None
    return clips, ClipTable(rows, ordered_labels({row.label for row in rows.values()} - {""}))


def _only(table: pa.Table, column: str, at: Int64[np.ndarray, " rows"]) -> str | None:
    """The value that a column has in these rows; None if there are several."""
    if not column:
        return ""
    values = table.column(column).take(pa.array(at)).unique().to_pylist()
    values = [value for value in values if value is not None]
    return None if len(values) > 1 else as_text(values[0]) if values else ""
