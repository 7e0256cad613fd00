"""Kinetics-Skeleton (Yan, Xiong, Lin, ST-GCN, AAAI 2018): OpenPose on videos, 2-D, up to seven people a frame, JSON.

A file is one video: `data`, a list of frames with `frame_index` (from 1) and `skeleton`, a list of people with
`pose` (x and y of 18 joints, shares of the picture's width and height, y down) and `score` (18 certainties, 0 for
a joint not found); then `label` and `label_index`. People are not followed from frame to frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.kinetics_classes import Classes, find_classes, is_label_file, read_content
from i2md.data.readers.reading import Reading, to_positions, without_absent_people
from i2md.data.recording import UNKNOWN, Recording, Source
from i2md.data.splits import Split, by_column
from i2md.errors import InputError
from i2md.skeletons import get_layout

_FILE = re.compile(r"[^.].*\.json", re.IGNORECASE)
_LAYOUT = get_layout("openpose-18")
_JOINTS = len(_LAYOUT.joints)
# `setup` tells the part: folders train and val, or kinetics_train and kinetics_val as in the publisher's archive.
_PARTS = {"train": 1, "val": 2}
_PART = re.compile(r"(?:.*[_-])?(train|val)", re.IGNORECASE)
# A clip is ten seconds, 300 frames; a further jump of frame_index is no pause but an error.
_LONGEST_PAUSE = 300


def open_source(path: Path, *, persons: int = 2, score: float = 0.0) -> Source:
    """The `*.json` files at `path`, one a video: a folder, a parent of it, or a .zip.

    Layout openpose-18, two coordinates, shares of the picture from its middle: -0.5 to 0.5, y down; 30 frames a
    second. In each frame the `people` of the highest total score are kept, best first, as ST-GCN does with two,
    though of all people and not of the file's first five. A joint scored `score` or less is zeros, not found.

    Class names come from the publisher's `*_label.json` where they are there, else from a look at every file.
    Split `given`, where both parts are there: the folders train and val, told by `setup` 1 and 2.
    """
    if persons < 1 or not 0 <= score < 1:
        raise InputError(f"people {persons}, score {score}: give at least one person and a score from 0 to below 1")
    found = find_files(path, _FILE, "*.json files of Kinetics-Skeleton")
    files = tuple(file for file in found if not is_label_file(file))
    if not files:
        raise InputError(f"{path}: only label files; give the folder or .zip that holds the clips beside them")
    classes = find_classes(files, [file for file in found if is_label_file(file)])
    return Source(
        name="kinetics-skeleton",
        layout=_LAYOUT,
        class_names=classes.names,
        units="image",
        preset="none",
        read=Reading(files, _LAYOUT, _Parser(classes, persons, score)),
        count=len(files),
        splits=_splits(files),
    )


def _splits(files: Iterable[File]) -> Mapping[str, Split]:
    parts = {_part(file) for file in files}
    if not parts.issuperset(_PARTS.values()):
        return {}
    return {"given": by_column("setup", train=(_PARTS["train"],), test=(_PARTS["val"],))}


def _part(file: File) -> int:
    """The part that the nearest folder tells."""
    folders = (file.container.stem, *PurePosixPath(file.name).parts[:-1])
    told = [match for match in map(_PART.fullmatch, reversed(folders)) if match]
    return _PARTS[told[0][1].lower()] if told else UNKNOWN


@dataclass(frozen=True)
class _Parser:
    """From a file's bytes to its recording, with what was found out before and asked for."""

    classes: Classes
    persons: int
    score: float

    def __call__(self, file: File, data: bytes) -> Recording:
        content = read_content(data)
        return Recording(
            name=file.stem,
            positions=self._positions(content.get("data")),
            label=self.classes.label_of(content),
            setup=_part(file),
            fps=30.0,
            source=file.name,
        )

    def _positions(self, data: Any) -> Float32[np.ndarray, "persons frames 18 2"]:
        frames, length, poses, scores = _bodies(data)
        joints = np.where(scores[..., None] > self.score, poses - 0.5, 0.0)
        rank = _rank(frames, scores.sum(axis=1))
        kept = rank < self.persons
        positions = np.zeros((self.persons, length, _JOINTS, 2))
        positions[rank[kept], frames[kept]] = joints[kept]
        return to_positions(without_absent_people(positions))


def _rank(frames: Int64[np.ndarray, " bodies"], scores: Float[np.ndarray, " bodies"]) -> Int64[np.ndarray, " bodies"]:
    """How many people of the same frame come before: those of a higher score, of equal ones the earlier."""
    order = np.lexsort((-scores, frames))
    first = np.searchsorted(frames[order], frames[order])
    rank = np.empty_like(frames)
    rank[order] = np.arange(len(frames)) - first
    return rank


def _bodies(
    data: Any,
) -> tuple[Int64[np.ndarray, " bodies"], int, Float[np.ndarray, "bodies 18 2"], Float[np.ndarray, "bodies 18"]]:
    """Each person of each frame: their frame, from 0; the number of frames; x y; scores."""
    try:
        numbers = [frame["frame_index"] for frame in data]
        listed = [(at, body["pose"], body["score"]) for at, frame in enumerate(data) for body in frame["skeleton"]]
    except (TypeError, KeyError):
        raise BadFile("data is not frames of frame_index and skeleton, with pose and score a person") from None
    at = _frames(numbers)
    poses = _numbers([pose for _, pose, _ in listed], "pose", 2 * _JOINTS)
    scores = _numbers([score for _, _, score in listed], "score", _JOINTS)
    frames = at[np.array([frame for frame, _, _ in listed], dtype=np.int64)]
    return frames, int(at[-1]) + 1, poses.reshape(-1, _JOINTS, 2), scores


def _frames(numbers: list[Any]) -> Int64[np.ndarray, " frames"]:
    """Frames counted from the first that is listed; one that is skipped is a frame without anybody."""
    if not numbers:
        raise BadFile("no frame")
    if not all(type(number) is int and abs(number) < 1 << 31 for number in numbers):
        raise BadFile("a frame_index is not a whole number")
    at = np.array(numbers, dtype=np.int64) - numbers[0]
    steps = np.diff(at)
    wrong = np.flatnonzero((steps < 1) | (steps > _LONGEST_PAUSE))
    if len(wrong):
        raise BadFile(f"frame_index goes from {numbers[wrong[0]]} to {numbers[wrong[0] + 1]}")
    return at


def _numbers(rows: list[Any], what: str, size: int) -> Float[np.ndarray, "bodies size"]:
    if not rows:
        return np.zeros((0, size))
    try:
        values = np.asarray(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadFile(f"a {what} is not {size} numbers") from None
    if values.shape != (len(rows), size) or not np.isfinite(values).all():
        raise BadFile(f"a {what} is not {size} finite numbers")
    return values
