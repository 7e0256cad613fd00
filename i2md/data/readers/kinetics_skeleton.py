"""Kinetics-Skeleton (Yan, Xiong, Lin, ST-GCN, AAAI 2018): 2-D poses of OpenPose on videos, in JSON.

A file is one video: `data`, a list of frames with `frame_index` (from 1) and `skeleton`, a list of persons with
`pose` (x and y of 18 joints as fractions of the image's width and height, y down) and `score` (18 confidences, 0 for
a joint that was not found); then `label` and `label_index`. Persons are not tracked from frame to frame. Layout
openpose-18, 30 frames a second; coordinates become fractions from the image's centre, -0.5 to 0.5, y down.

Class names come from the publisher's `*_label.json` if present, else from every clip's own file. Labels count the
names in order of their `label_index`; both are the same if all classes are present. Split `given`, if both of its
parts are present: the folders train and val, which are `setup` 1 and 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from i2md.data.readers.files import BadFile, File, find_files, load_each
from i2md.data.readers.limits import require_regular
from i2md.data.readers.name_tables import compare_names
from i2md.data.readers.reading import Reading, to_positions, without_absent_persons, without_low_confidence
from i2md.data.recording import UNKNOWN, Recording, Source
from i2md.data.splits import Split, by_column
from i2md.data.storage.remote import is_remote
from i2md.errors import InputError
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.skeletons import get_layout

_FILE = re.compile(r"[^.].*\.json", re.IGNORECASE)
_LABEL_FILE = re.compile(r"(.*_)?(train|val|test)_label\.json", re.IGNORECASE)
_LAYOUT = get_layout("openpose-18").with_channels(2)
_JOINTS = len(_LAYOUT.joints)
# Folders train and val, or kinetics_train and kinetics_val as in the publisher's archive.
_PARTS = {"train": 1, "val": 2}
_PART = re.compile(r"(?:.*[_-])?(train|val)", re.IGNORECASE)
# A clip is ten seconds, 300 frames; a larger step of frame_index is an error.
_LONGEST_PAUSE = 300
# In the published files label and label_index come last: reading the last bytes is enough.
_TAIL = 512
_LABEL_AT_END = re.compile(rb'("label": *"(?:[^"\\]|\\.)*", *"label_index": *\d+ *\})\s*$')


def open_source(path: Path, *, persons: int = 2, score: float = 0.0) -> Source:
    """Open the `*.json` files of Kinetics-Skeleton.

    Args:
        path: The folder that holds them or a parent of it, or a .zip.
        persons: Persons kept in each frame: those of the highest total score, best first, as in ST-GCN (which
            chooses 2 among the first five of the file; here all are considered).
        score: A joint whose confidence is this or less is stored as zeros, like one that was not found.

    Returns:
        The clips, in layout openpose-18.

    Raises:
        InputError: If an option is out of range, there is no clip, or a label file is invalid.
    """
    if persons < 1 or not 0 <= score < 1:
        raise InputError(f"persons {persons}, score {score}: give at least one person and a score from 0 to below 1")
    found = find_files(path, _FILE, "*.json files of Kinetics-Skeleton")
    label_files = [file for file in found if _LABEL_FILE.fullmatch(file.base)]
    files = tuple(file for file in found if not _LABEL_FILE.fullmatch(file.base))
    if not files:
        raise InputError(f"{path}: only label files; give the folder or .zip that holds the clips too")
    classes = _find_classes(files, label_files)
    return Source(
        name="kinetics-skeleton",
        layout=_LAYOUT,
        class_names=classes.names,
        units="image (-0.5 to 0.5)",
        preset="none",
        read=Reading(files, _LAYOUT, _Parser(classes, persons, score)),
        count=len(files),
        splits=_splits(files),
        left_out=_not_matched(path, files, label_files),
    )


def _not_matched(path: Path, files: Sequence[File], label_files: Sequence[File]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for file, load in load_each(label_files):
        part = [clip.stem for clip in files]
        counts |= compare_names(path, file.base, _read_object(load()), part, "entry", "clip")
    return counts


def _splits(files: Iterable[File]) -> Mapping[str, Split]:
    parts = {_part(file) for file in files}
    if not parts.issuperset(_PARTS.values()):
        return {}
    return {"given": by_column("setup", train=(_PARTS["train"],), test=(_PARTS["val"],))}


def _part(file: File) -> int:
    """The part that the innermost folder of such a name gives."""
    folders = (file.container.stem, *PurePosixPath(file.inner).parts[:-1])
    matches = [match for match in map(_PART.fullmatch, reversed(folders)) if match]
    return _PARTS[matches[0][1].lower()] if matches else UNKNOWN


@dataclass(frozen=True)
class _Classes:
    """The `label_index` of each class name."""

    numbers: Mapping[str, int]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The class names in label order."""
        return tuple(sorted(self.numbers, key=lambda name: (self.numbers[name], name)))

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.names)}

    def label_of(self, content: Mapping[str, Any]) -> int:
        """The label of a file's content: UNKNOWN if it has none, BadFile if it contradicts the other files."""
        found = _name_and_number(content)
        if found is None:
            return UNKNOWN
        name, number = found
        if name not in self.numbers:
            raise BadFile(f"label {name!r} is none of the label file's {len(self.numbers)}")
        if number != self.numbers[name]:
            raise BadFile(f"label {name!r} is number {number} here and {self.numbers[name]} elsewhere")
        return self._labels[name]


def _find_classes(files: Sequence[File], label_files: Sequence[File]) -> _Classes:
    """The classes that the label files name; without any, those of all `files`."""
    numbers: dict[str, int] = {}
    for name, number in _in_label_files(label_files) if label_files else _in_clips(files):
        numbers.setdefault(name, number)
    return _Classes(numbers)


def _read_object(data: bytes) -> dict[str, Any]:
    try:
        content = parse_json(data)
    except NotPlainData as error:
        raise BadFile(str(error)) from None
    if not isinstance(content, dict):
        raise BadFile("not a JSON object")
    return content


def _name_and_number(content: Mapping[str, Any]) -> tuple[str, int] | None:
    name, number = content.get("label"), content.get("label_index")
    if name is None and number is None:
        return None
    if not isinstance(name, str) or type(number) is not int or number < 0:
        raise BadFile("label and label_index are not a name and a number")
    return name, number


def _in_label_files(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    for file, load in load_each(files):
        try:
            entries = _read_object(load()).values()
            if not all(isinstance(entry, dict) for entry in entries):
                raise BadFile("not an object with an entry for each clip")
            yield from filter(None, map(_name_and_number, entries))
        except BadFile as error:
            raise InputError(f"{file.path}: {error}; fix or remove it: the clips' files hold labels too") from None


def _in_clips(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    for file, load in load_each(files):
        try:
            found = _name_and_number(_read_label(file, load))
        except BadFile:
            # Named and counted when the clips are read.
            continue
        if found is not None:
            yield found


def _read_label(file: File, load: Callable[[], bytes]) -> Mapping[str, Any]:
    """An object with at least the label and label_index of a clip's file."""
    data = load() if file.in_zip or is_remote(file.container) else _read_tail(file)
    found = _LABEL_AT_END.search(data[-_TAIL:])
    return _read_object(b"{" + found[1]) if found else _read_object(load())


def _read_tail(file: File) -> bytes:
    path = file.container / file.name
    try:
        require_regular(path)
        with open(path, "rb") as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - _TAIL))
            return opened.read()
    except OSError as error:
        raise BadFile(f"cannot be read ({error.strerror})") from None


@dataclass(frozen=True)
class _Parser:
    """Parses a file; `persons` and `score` as in open_source."""

    classes: _Classes
    persons: int
    score: float

    def __call__(self, file: File, data: bytes) -> Recording:
        content = _read_object(data)
        positions, all_read = self._positions(content.get("data"))
        return Recording(
            name=file.stem,
            positions=positions,
            label=self.classes.label_of(content),
            setup=_part(file),
            fps=30.0,
            source=file.name,
            not_read=() if all_read else (f"persons of a frame other than the {self.persons} of the highest score",),
        )

    def _positions(self, data: Any) -> tuple[Float32[np.ndarray, "persons frames 18 2"], bool]:
        """The persons of the highest score, and whether these are all of them."""
        frames, length, poses, scores = _bodies(data)
        joints = without_low_confidence((poses - 0.5)[None], scores[None], self.score)[0]
        rank = _rank(frames, np.nansum(scores, axis=1))
        kept = rank < self.persons
        positions = np.zeros((self.persons, length, _JOINTS, 2))
        positions[rank[kept], frames[kept]] = joints[kept]
        return to_positions(without_absent_persons(positions)), bool(kept.all())


def _rank(frames: Int64[np.ndarray, " bodies"], scores: Float[np.ndarray, " bodies"]) -> Int64[np.ndarray, " bodies"]:
    """How many persons of the same frame have a higher score, or the same and are listed earlier."""
    order = np.lexsort((-scores, frames))
    first = np.searchsorted(frames[order], frames[order])
    rank = np.empty_like(frames)
    rank[order] = np.arange(len(frames)) - first
    return rank


def _bodies(
    data: Any,
) -> tuple[Int64[np.ndarray, " bodies"], int, Float[np.ndarray, "bodies 18 2"], Float[np.ndarray, "bodies 18"]]:
    """Every person of every frame: the frame, from 0; the number of frames; x y; scores."""
    try:
        numbers = [frame["frame_index"] for frame in data]
        listed = [(at, body["pose"], body["score"]) for at, frame in enumerate(data) for body in frame["skeleton"]]
    except (TypeError, KeyError):
        raise BadFile("data is not frames of frame_index and skeleton, with pose and score for each person") from None
    at = _frames(numbers)
    poses = _numbers([pose for _, pose, _ in listed], "pose", 2 * _JOINTS)
    scores = _numbers([score for _, _, score in listed], "score", _JOINTS)
    frames = at[np.array([frame for frame, _, _ in listed], dtype=np.int64)]
    return frames, int(at[-1]) + 1, poses.reshape(-1, _JOINTS, 2), scores


def _frames(numbers: list[Any]) -> Int64[np.ndarray, " frames"]:
    """Frames counted from the first one listed; a frame that is skipped has no person."""
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
    if values.shape != (len(rows), size) or np.isinf(values).any():
        raise BadFile(f"a {what} is not {size} finite numbers; write NaN or zeros for a missing joint")
    return values
