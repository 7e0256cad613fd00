"""UTKinect-Action3D (Xia, Chen, Aggarwal, CVPR-W 2012): Kinect v1, ten actions in each of 20 long recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from i2md.data.readers.files import BadFile, File, any_files, find_files, load_each
from i2md.data.readers.intervals import Mark, clips_of, with_intervals
from i2md.data.readers.reading import Reading, numbers_in_name, to_positions
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import by_column
from i2md.errors import InputError
from i2md.skeletons import get_layout

# What the publisher's label file calls each action, and its name in full.
_ACTIONS = {
    "walk": "walk",
    "sitDown": "sit down",
    "standUp": "stand up",
    "pickUp": "pick up",
    "carry": "carry",
    "throw": "throw",
    "push": "push",
    "pull": "pull",
    "waveHands": "wave hands",
    "clapHands": "clap hands",
}
CLASS_NAMES = tuple(_ACTIONS.values())
_NAME = re.compile(r"joints_s(?P<subject>\d+)_e(?P<trial>\d+)\.txt", re.IGNORECASE)
_LABELS = re.compile(r"actionLabel(_modified)?\.txt", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v1")
# What the publisher's actionLabel.txt says of one action, and what it must mean: the modified file has it so.
_SLIP = ("s03_e01", "push: 2556 3622")
_MENDED = "push: 3556 3622"


class Action(NamedTuple):
    """An action of a recording in frame numbers, the last one included."""

    name: str
    said: str
    first: int
    last: int


@dataclass(frozen=True)
class Labels:
    """The actions of each recording by its name, how many have no frames, and what was mended."""

    actions: Mapping[str, tuple[Action, ...]]
    without_frames: int
    mended: str = ""


def open_source(path: Path) -> Source:
    """The `joints_s*_e*.txt` files and `actionLabel.txt` at `path`: a folder, a parent of it, or a .zip.

    A clip is a labelled action, `s01_e01_walk`; the whole recordings with their intervals are `untrimmed`.
    Joints in layout kinect-v1, metres, about 15 frames a second. Where a frame number is repeated its first
    row is kept. `actionLabel_modified.txt` is preferred where it is there. Split `xsub`: train on odd
    subjects, test on even.
    """
    files = find_files(path, _NAME, "joints_s*_e*.txt files")
    labels = _read_labels(path)
    clips = Source(
        name="utkinect-action3d",
        layout=_LAYOUT,
        class_names=CLASS_NAMES,
        units="m",
        preset="facing",
        read=Reading(files, _LAYOUT, _Clips(labels.actions)),
        count=sum(len(labels.actions.get(_recording_name(file), ())) for file in files),
        splits={"xsub": by_column("subject", train=(1, 3, 5, 7, 9), test=(2, 4, 6, 8, 10))},
        left_out=_not_read(files, labels),
    )
    whole = replace(clips, preset="none", read=Reading(files, _LAYOUT, _Whole(labels.actions)), count=len(files))
    return replace(clips, untrimmed=replace(whole, left_out={}))


@dataclass(frozen=True)
class _Clips:
    actions: Mapping[str, tuple[Action, ...]]

    def __call__(self, file: File, data: bytes) -> Sequence[Recording | Unreadable]:
        return tuple(clips_of(*_whole(file, data, self.actions)))


@dataclass(frozen=True)
class _Whole:
    actions: Mapping[str, tuple[Action, ...]]

    def __call__(self, file: File, data: bytes) -> Recording:
        return with_intervals(*_whole(file, data, self.actions))


def parse_joints(data: bytes) -> tuple[Int64[np.ndarray, " frames"], Float64[np.ndarray, "frames 20 3"]]:
    """Frame numbers, ascending, and positions in metres of a `joints_s*_e*.txt`.

    Lines: a frame number, then x y z of 20 joints. Of rows that bear one number the first stays: in 68 of 100
    cases it is the nearer one to the line between their neighbours.
    """
    rows = number_rows(data, 1 + 20 * 3)
    with np.errstate(invalid="ignore"):
        numbers = rows[:, 0].astype(np.int64)
    if (numbers != rows[:, 0]).any():
        raise BadFile(f"frame number {rows[numbers != rows[:, 0], 0][0]} is not a whole number")
    steps = np.diff(numbers)
    if (steps < 0).any():
        raise BadFile(f"frame number {numbers[1:][steps < 0][0]} follows a larger one")
    first = np.concatenate([[True], steps > 0])
    return numbers[first], rows[first, 1:].reshape(-1, 20, 3)


def parse_labels(data: bytes) -> Labels:
    """The actions of all recordings: a line `s01_e01`, then `walk: 252 390` and the like; `NaN NaN` has no frames.

    Raises BadFile for any other line. The publisher's one slip of the pen is mended, and told.
    """
    actions: dict[str, list[Action]] = {}
    name, without_frames, mended = "", 0, ""
    for at, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        said = " ".join(line.split())
        if re.fullmatch(r"s\d+_e\d+", said):
            name = said
            if name in actions:
                raise BadFile(f"line {at}: {name} is there twice")
            actions[name] = []
        elif said:
            if (name, said) == _SLIP:
                mended = f"as written: {name} {said}, taken as {_MENDED}"
                said = _MENDED
            action = _action(name, said, at)
            without_frames += action is None
            actions.get(name, []).extend([action] if action else [])
    return Labels({name: tuple(found) for name, found in actions.items()}, without_frames, mended)


def _action(recording: str, said: str, at: int) -> Action | None:
    match = re.fullmatch(r"(\w+): ?(?:(\d{1,9}) (\d{1,9})|NaN NaN)", said)
    if match is None or match[1] not in _ACTIONS or not recording:
        raise BadFile(f"line {at}: {said[:40]!r} is neither a recording nor one of its ten actions")
    return None if match[2] is None else Action(match[1], said, int(match[2]), int(match[3]))


def _read_labels(path: Path) -> Labels:
    found = any_files(path, _LABELS, "actionLabel.txt")
    if not found:
        raise InputError(f"{path}: no actionLabel.txt found; put it beside the joints_s*_e*.txt files")
    file, load = next(load_each([max(found, key=lambda file: len(file.base))]))
    try:
        return parse_labels(load())
    except BadFile as error:
        raise InputError(f"{file.container / file.name}: {error}; fetch it again") from None


def _recording_name(file: File) -> str:
    return file.stem.lower().removeprefix("joints_")


def _whole(file: File, data: bytes, actions: Mapping[str, tuple[Action, ...]]) -> tuple[Recording, tuple[Mark, ...]]:
    numbers, positions = parse_joints(data)
    name, told = _recording_name(file), numbers_in_name(file, _NAME)
    whole = Recording(
        name=name,
        positions=to_positions(positions[None]),
        subject=told["subject"],
        trial=told["trial"],
        fps=15.0,
        source=file.name,
    )
    return whole, tuple(_mark(name, action, numbers) for action in actions.get(name, ()))


def _mark(recording: str, action: Action, numbers: Int64[np.ndarray, " frames"]) -> Mark:
    start = int(np.searchsorted(numbers, action.first, side="left"))
    end = int(np.searchsorted(numbers, action.last, side="right"))
    return Mark(f"{recording}_{action.name}", action.said, start, end, list(_ACTIONS).index(action.name))


def _not_read(files: Sequence[File], labels: Labels) -> dict[str, int]:
    names = {_recording_name(file) for file in files}
    counts = {
        "an action whose frames are NaN NaN": labels.without_frames,
        "without labels, kept only as whole recordings": len(names - labels.actions.keys()),
        "labels without a joints file": len(labels.actions.keys() - names),
    }
    return counts | ({labels.mended: 1} if labels.mended else {})
