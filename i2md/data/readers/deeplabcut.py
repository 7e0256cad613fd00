"""DeepLabCut and Lightning Pose: CSV files whose first lines name scorer, individual, body part and coordinate.

A column is x, y or likelihood of a body part, in pixels, y down; the first columns number the frames or name their
images. The lines of names begin with `scorer`, `individuals` (of several animals), `bodyparts` and `coords`. The .h5
files beside them hold Python objects and are not read: `deeplabcut.analyze_videos(..., save_as_csv=True)` writes CSV.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.joint_names import Match, layout_of_names
from i2md.data.readers.poses import FILE, Pose, PoseOptions, first_parsed, one_file_each, pose_source
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Source

FILES = re.compile(r"(?!labels\.csv$)[^.].*\.csv", re.IGNORECASE)
_KINDS = ("x", "y", "likelihood")
_LINES = ("scorer", "individuals", "bodyparts", "coords")
_DIGITS = re.compile(r"(\d{1,15})\D*$")


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    axes: str | None = None,
) -> Source:
    """Open the CSV files of DeepLabCut or Lightning Pose.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default the one that the names of the body parts are of.
        fps: Frame rate of the video; the files do not hold it.
        persons: Individuals kept at most.
        score: A joint whose likelihood is this or less is missing.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings, in pixels.

    Raises:
        InputError: If there is no such file, or the body parts are of no layout.
    """
    files = find_files(path, FILES, ".csv files of DeepLabCut", unique_parts=FILE)
    parts = first_parsed(path, files, lambda file: _parts(load_file(file)))
    match = layout_of_names(path, parts, layout)
    match = match._replace(layout=match.layout.with_channels(2))
    left_out = {}
    unused = [part for at, part in enumerate(parts) if at not in match.order]
    if unused:
        left_out[f"body parts that layout {match.layout.name} lacks, such as {unused[0][:40]}"] = len(unused)
    options = PoseOptions(persons, score, fps)
    groups, parser = one_file_each(files), _Parser(match, parts)
    source = pose_source(
        path, groups, match.layout, parser, options, units="px", left_out=left_out, missing=match.missing
    )
    return convert(source, None, axes)


def is_deeplabcut(data: bytes) -> bool:
    """Whether a table begins with a line of scorers.

    Args:
        data: The bytes of a file, or its first ones.
    """
    return data[:100].removeprefix(b"\xef\xbb\xbf").lower().startswith((b"scorer,", b"scorer\t"))


def _parts(data: bytes) -> tuple[str, ...]:
    """The body parts of a file, each once."""
    return tuple(dict.fromkeys(part for _, part, _ in _head(data)[0]))


def _head(data: bytes) -> tuple[list[tuple[str, str, str]], int, int]:
    """The individual, body part and coordinate of each column, columns before them, and bytes of the lines of names."""
    if not is_deeplabcut(data):
        raise BadFile("its first line does not begin with scorer, as that of DeepLabCut")
    named: dict[str, list[str]] = {}
    at = 0
    while at < len(data) and len(named) < len(_LINES):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end + 1
        try:
            fields = next(csv.reader(io.StringIO(data[at:end].decode("utf-8-sig", "replace"))), [])
        except csv.Error as error:
            raise BadFile(f"its lines of names cannot be read ({error})") from None
        if not fields or fields[0].strip().lower() not in _LINES:
            break
        named[fields[0].strip().lower()] = [field.strip() for field in fields]
        at = end
    parts, kinds = named.get("bodyparts"), named.get("coords")
    if parts is None or kinds is None or len(parts) != len(kinds):
        raise BadFile("no lines that name bodyparts and coords, as those of DeepLabCut")
    first = next((column for column, kind in enumerate(kinds) if kind.lower() in _KINDS), len(kinds))
    individuals = named.get("individuals", [""] * len(parts))
    if len(individuals) != len(parts) or first == len(kinds):
        raise BadFile("its lines of names have different lengths, or no x and y")
    columns = zip(individuals[first:], parts[first:], kinds[first:], strict=True)
    return [(one, part, kind.lower()) for one, part, kind in columns], first, at


@dataclass(frozen=True)
class _Parser:
    match: Match
    parts: tuple[str, ...]

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        ((_, data),) = files
        columns, before, start = _head(data)
        if not set(self.parts) <= {part for _, part, _ in columns}:
            raise BadFile("its body parts are not those of the first file")
        # Lightning Pose adds a column that says which rows it was trained on.
        numbers = [at for at, (_, _, kind) in enumerate(columns) if kind in _KINDS]
        frames, rows = _rows(data[start:], before, len(columns), numbers)
        columns = [columns[at] for at in numbers]
        individuals = list(dict.fromkeys(one for one, _, _ in columns))
        place = {self.parts[at]: j for j, at in enumerate(self.match.order) if at >= 0}
        values = np.full((len(rows), len(individuals), len(self.match.order), 3), np.nan)
        number = {one: at for at, one in enumerate(individuals)}
        for column, (one, part, kind) in enumerate(columns):
            if part in place:
                values[:, number[one], place[part], _KINDS.index(kind)] = rows[:, column]
        if not any(kind == "likelihood" for _, _, kind in columns):
            values[..., 2] = 1.0
        found = values.reshape(-1, *values.shape[2:])
        at = frames.repeat(len(individuals))
        ids = np.tile(np.arange(len(individuals)), len(frames)) if len(individuals) > 1 else None
        return Pose(Bodies(at, found[..., :2], found[..., 2], ids), listed=frames)


def _rows(data: bytes, before: int, columns: int, wanted: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The number of each frame, and the columns that are wanted, counted from those before them."""
    lines = [line for line in data.decode("utf-8", "replace").replace("\r", "").split("\n") if line.strip()]
    frames, rest = [], []
    for at, line in enumerate(lines):
        fields = line.split(",")
        if len(fields) != before + columns:
            raise BadFile(f"row {at}: {len(fields)} values, not {before + columns}")
        # A number, or the name of an image such as labeled-data/walk/img0012.png.
        match = _DIGITS.search(re.sub(r"\.\w*$", "", fields[before - 1])) if before else None
        frames.append(int(match[1]) if match else at)
        rest.append(",".join(fields[before + at].strip() or "nan" for at in wanted))
    rows = number_rows("\n".join(rest).encode(), len(wanted), separator=",")
    numbers = np.array(frames, dtype=np.int64)
    return (numbers if len(np.unique(numbers)) == len(numbers) else np.arange(len(rows))), rows
