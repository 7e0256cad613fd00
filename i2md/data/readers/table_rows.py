"""The rows of a table as the bodies of recordings: wide or long, numbered by frames or times, with or without names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File
from i2md.data.readers.joint_names import Match
from i2md.data.readers.poses import Pose
from i2md.data.readers.table_columns import Columns
from i2md.data.readers.table_files import numbers_of, read_table
from i2md.data.recording import UNKNOWN

_DIGITS = re.compile(r"(\d{1,15})\D*$")
_LARGEST_FRAME = 1 << 53
# Seconds in a unit of time, tried in this order: frames are at most ten seconds apart and at least a millisecond.
_TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def recordings_in(table: pa.Table, columns: Columns) -> list[tuple[str, Int64[np.ndarray, " rows"]]]:
    """The rows of each recording.

    Args:
        table: A table.
        columns: What its columns hold.

    Returns:
        Names in the column of recordings with their rows, in the order of the table; "" with all rows without one.
    """
    name = columns.roles["recording"]
    if not name:
        return [("", np.arange(table.num_rows))]
    texts = np.array(texts_of(table, name), dtype=object)
    named, inverse = np.unique(texts, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.searchsorted(inverse[order], np.arange(1, len(named))))
    firsts = sorted(zip(named, parts, strict=True), key=lambda pair: pair[1][0])
    return [(_stem(str(text)), rows) for text, rows in firsts]


def _stem(text: str) -> str:
    path = PurePosixPath(text.replace("\\", "/"))
    known = path.suffix.lower() in (".mp4", ".avi", ".mov", ".mkv", ".webm", ".csv")
    return str(path.with_suffix("") if known else path)


def texts_of(table: pa.Table, name: str) -> list[str]:
    """A column as texts; 3.0 is the same as 3.

    Args:
        table: A table.
        name: Name of the column.
    """
    return [as_text(value) for value in table.column(name).to_pylist()]


def as_text(value: Any) -> str:
    """A cell as text: 3.0 is the same number as 3.

    Args:
        value: The cell's value.
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True)
class TableParser:
    """Parses a table of recordings whose columns are those of the first."""

    match: Match
    columns: Columns | None
    joints: tuple[str, ...]
    """Names of the joints, or numbers, as the table has them."""
    numbers: tuple[str, ...] = ()
    """What the numbers of each joint are in a table without names of columns."""

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Sequence[Pose]:
        ((file, data),) = files
        table = read_table(file.base, data)
        if not table.num_rows:
            raise BadFile("no row in it")
        if self.columns is None:
            return [self._without_names(table)]
        absent = [name for name in sorted(self.columns.read()) if name not in table.column_names]
        if absent:
            raise BadFile(f"no column {absent[0][:40]!r}, which other tables here have")
        parse = self._long if self.columns.long else self._wide
        return [parse(table.take(pa.array(rows)), name) for name, rows in recordings_in(table, self.columns)]

    def _without_names(self, table: pa.Table) -> Pose:
        size = len(self.match.order) * len(self.numbers)
        rows = np.stack([numbers_of(table, name) for name in table.column_names], axis=1)
        if rows.shape[1] % size not in (0, 1):
            raise BadFile(f"{rows.shape[1]} columns, where others here have persons of {size}")
        numbered = bool(rows.shape[1] % size)
        persons = rows.shape[1] // size
        joints = rows[:, numbered:].reshape(len(rows) * persons, len(self.match.order), -1)
        axes = [self.numbers.index(axis) for axis in "xyz"[: self.match.layout.channels]]
        confidence = joints[..., self.numbers.index("confidence")] if "confidence" in self.numbers else None
        # Zeros mark a person who is absent, in the text files of Kinect.
        positions = joints[..., axes]
        positions = np.where(positions.any(axis=-1, keepdims=True), positions, np.nan)
        frames = _whole(rows[:, 0], "the first column") if numbered else np.arange(len(rows))
        ids = np.tile(np.arange(persons), len(rows))
        return Pose(Bodies(frames.repeat(persons), positions, confidence, ids), listed=frames)

    def _wide(self, table: pa.Table, name: str) -> Pose:
        assert self.columns is not None
        kinds = ("x", "y", "z")[: self.match.layout.channels]
        shape = (table.num_rows, len(self.match.order))
        positions, confidence, confident = np.full((*shape, len(kinds)), np.nan), np.full(shape, np.nan), False
        for j, at in enumerate(self.match.order):
            if at < 0:
                continue
            found = self.columns.joints[self.joints[at]]
            for channel, kind in enumerate(kinds):
                positions[:, j, channel] = numbers_of(table, found[kind])
            if "confidence" in found:
                confident = True
                confidence[:, j] = numbers_of(table, found["confidence"])
        ids = self._ids(table)
        frames, fps = self._frames(table, ids)
        bodies = Bodies(frames, positions, np.where(np.isnan(confidence), 1.0, confidence) if confident else None, ids)
        return Pose(bodies, name, fps)

    def _long(self, table: pa.Table, name: str) -> Pose:
        assert self.columns is not None
        place = {self.joints[at]: j for j, at in enumerate(self.match.order) if at >= 0}
        joints = np.array(
            [place.get(text, -1) for text in texts_of(table, self.columns.roles["joint"])], dtype=np.int64
        )
        kept = joints >= 0
        ids = self._ids(table)
        frames, fps = self._frames(table, ids, joints)
        persons = np.zeros(len(frames), dtype=np.int64) if ids is None else ids
        keys, body = np.unique(np.stack([frames, persons], axis=1)[kept], axis=0, return_inverse=True)
        body = body.reshape(-1)
        cells = body * len(self.match.order) + joints[kept]
        if len(np.unique(cells)) < len(cells):
            raise BadFile("a joint appears twice in a frame; name the person of each row in a column person")
        shape = (len(keys), len(self.match.order))
        positions = np.full((*shape, self.match.layout.channels), np.nan)
        columns = self.columns.joints[""]
        for channel, kind in enumerate(("x", "y", "z")[: self.match.layout.channels]):
            positions[body, joints[kept], channel] = numbers_of(table, columns[kind])[kept]
        confidence = None
        if "confidence" in columns:
            confidence = np.ones(shape)
            confidence[body, joints[kept]] = np.nan_to_num(numbers_of(table, columns["confidence"])[kept], nan=1.0)
        counts = {"rows_of_other_joints": int((~kept).sum())}
        bodies = Bodies(keys[:, 0], positions, confidence, None if ids is None else keys[:, 1])
        return Pose(bodies, name, fps, None, counts)

    def _ids(self, table: pa.Table) -> Int64[np.ndarray, " rows"] | None:
        assert self.columns is not None
        name = self.columns.roles["person"]
        if not name:
            return None
        texts = texts_of(table, name)
        number = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        # A row without a name is of nobody in particular.
        return np.array([UNKNOWN if text in ("None", "nan", "-1") else number[text] for text in texts], dtype=np.int64)

    def _frames(
        self, table: pa.Table, ids: Int64[np.ndarray, " rows"] | None, joints: Int64[np.ndarray, " rows"] | None = None
    ) -> tuple[Int64[np.ndarray, " rows"], float]:
        """The number of each row's frame, and the frame rate; 0 if unknown."""
        assert self.columns is not None
        frame, time = self.columns.roles["frame"], self.columns.roles["time"]
        seconds = _seconds(numbers_of(table, time), time) if time else None
        if frame:
            numbers = _frame_numbers(table, frame)
            return numbers, 0.0 if seconds is None else _rate(numbers, seconds)
        if seconds is not None:
            times = np.unique(seconds)
            rate = 1 / float(np.median(np.diff(times))) if len(times) > 1 else 0.0
            numbers = np.round((times - times[0]) * rate).astype(np.int64)
            # Where times scatter so much that two frames would be one, the frames are just counted.
            numbers = numbers if (np.diff(numbers) > 0).all() else np.arange(len(times))
            return numbers[np.searchsorted(times, seconds)], rate
        # Rows of the same person (and joint) follow one another.
        every = np.zeros(table.num_rows, dtype=np.int64)
        keys = np.stack([every if each is None else each for each in (ids, joints)], axis=1)
        same = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(same, kind="stable")
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order)) - np.searchsorted(same[order], same[order])
        return ranks, 0.0


def _frame_numbers(table: pa.Table, name: str) -> Int64[np.ndarray, " rows"]:
    """Numbers of frames, or the last number in names of images."""
    column = table.column(name)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        found = [_DIGITS.search(PurePosixPath(str(text)).stem) for text in column.to_pylist()]
        if not all(found):
            raise BadFile(f"column {name[:40]!r} does not number the frames")
        return np.array([int(match[1]) for match in found if match], dtype=np.int64)
    return _whole(numbers_of(table, name), f"column {name[:40]!r}")


def _whole(values: Float64[np.ndarray, " rows"], what: str) -> Int64[np.ndarray, " rows"]:
    if not (np.isfinite(values).all() and (np.abs(values) < _LARGEST_FRAME).all() and (values % 1 == 0).all()):
        raise BadFile(f"{what} does not number the frames by whole numbers")
    return values.astype(np.int64)


def _seconds(values: Float64[np.ndarray, " rows"], name: str) -> Float64[np.ndarray, " rows"]:
    """Times in seconds: the unit is the one of the name, or makes frames a millisecond to ten seconds apart."""
    if not (np.isfinite(values).all() and (np.abs(values) < 1e18).all()):
        raise BadFile(f"column {name[:40]!r} holds something else than times")
    steps = np.diff(np.unique(values))
    step = float(np.median(steps)) if len(steps) else 1.0
    named = next((unit for unit in ("ms", "us", "ns") if re.fullmatch(rf".*[\s_.]?{unit}", name.lower())), None)
    fitting = [unit for unit, size in _TIME_UNITS.items() if 1e-3 <= step * size <= 10 and (unit == "s") == (step < 1)]
    unit = named or (fitting[0] if fitting else "s")
    return values * _TIME_UNITS[unit]


def _rate(frames: Int64[np.ndarray, " rows"], seconds: Float64[np.ndarray, " rows"]) -> float:
    """Frames per second, by the numbers and the times of the frames; 0 if they do not say."""
    order = np.argsort(seconds, kind="stable")
    steps, times = np.diff(frames[order]), np.diff(seconds[order])
    moved = (steps > 0) & (times > 0)
    return float(np.median(steps[moved] / times[moved])) if moved.any() else 0.0
