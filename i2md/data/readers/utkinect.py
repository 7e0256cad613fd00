"""UTKinect-Action3D (Xia, Chen, Aggarwal, CVPR-W 2012): Kinect v1, ten actions in each of 20 long recordings.

A file `joints_sSS_eEE.txt` is one recording of one person: a line for each frame of its number and x y z of 20 joints.
Layout kinect-v1 in its joint order, metres, about 15 frames a second. Frame numbers skip, and the gaps stay; where a
number is repeated the first line is kept, which in 68 of 100 cases is nearer to the line between its neighbours.

`actionLabel.txt` annotates the actions of all recordings: a line `s01_e01`, then lines such as `walk: 252 390`, the
first and the last frame; `NaN NaN` has no frames. `actionLabel_modified.txt`, the publisher's corrected version, is
preferred if present. In the other one `push: 2556 3622` of s03_e01 is read as 3556, and the report says so. A clip is
an annotated action, `s01_e01_walk`; the whole recordings with their intervals are `untrimmed`. Split `xsub`: train on
odd subjects, test on even.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.intervals import Annotation, clips_of, with_intervals
from i2md.data.readers.name_tables import compare_names
from i2md.data.readers.reading import Reading, numbers_in_name, to_positions
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import by_column
from i2md.errors import InputError
from i2md.skeletons import get_layout

# Name of each action in the publisher's label file, and the class name.
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
# The one obvious typing error of the publisher's actionLabel.txt, and the line as the modified file corrects it.
_TYPO = ("s03_e01", "push: 2556 3622")
_CORRECTED = "push: 3556 3622"


class LabelledAction(NamedTuple):
    """An action of a recording in frame numbers, the last one included."""

    name: str
    text: str
    """The line of the label file."""
    first: int
    last: int
    line: int = 0
    """Number of that line, from 1."""


@dataclass(frozen=True)
class Labels:
    """What a label file says."""

    actions: Mapping[str, tuple[LabelledAction, ...]]
    """The actions of each recording, by its name."""
    without_frames: int
    """Number of actions whose frames are NaN NaN."""
    correction: str = ""
    """What was corrected, if anything."""


def open_source(path: Path) -> Source:
    """Open the `joints_s*_e*.txt` files and the label file of UTKinect-Action3D.

    Args:
        path: The folder that holds them or a parent of it, or a .zip.

    Returns:
        The clips; their `untrimmed` are the whole recordings.

    Raises:
        InputError: If there is no recording or no label file, two have the same name, or the label file is invalid.
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
        left_out=_not_read(path, files, labels),
    )
    whole = replace(clips, preset="none", read=Reading(files, _LAYOUT, _Whole(labels.actions)), count=len(files))
    return replace(clips, untrimmed=replace(whole, left_out={}))


@dataclass(frozen=True)
class _Clips:
    actions: Mapping[str, tuple[LabelledAction, ...]]

    def __call__(self, file: File, data: bytes) -> Sequence[Recording | Unreadable]:
        return tuple(clips_of(*_whole(file, data, self.actions)))


@dataclass(frozen=True)
class _Whole:
    actions: Mapping[str, tuple[LabelledAction, ...]]

    def __call__(self, file: File, data: bytes) -> Recording:
        return with_intervals(*_whole(file, data, self.actions))


def parse_joints(data: bytes) -> tuple[Int64[np.ndarray, " frames"], Float64[np.ndarray, "frames 20 3"], int]:
    """Parse a `joints_s*_e*.txt`.

    Args:
        data: Lines of a frame number and x y z of 20 joints.

    Returns:
        Frame numbers, strictly ascending; positions in metres; and the number of lines that repeat a frame number, of
        which the first is kept.

    Raises:
        BadFile: If a line is not 61 numbers, or frame numbers are not whole or decrease.
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
    return numbers[first], rows[first, 1:].reshape(-1, 20, 3), int((~first).sum())


def parse_labels(data: bytes) -> Labels:
    """Parse a label file: a line such as `s01_e01`, then lines such as `walk: 252 390` or `carry: NaN NaN`.

    Args:
        data: The bytes of the file.

    Returns:
        The actions of all recordings.

    Raises:
        BadFile: If there is any other line, or a recording appears twice.
    """
    actions: dict[str, list[LabelledAction]] = {}
    name, without_frames, correction = "", 0, ""
    for at, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        text = " ".join(line.split())
        if re.fullmatch(r"s\d+_e\d+", text):
            name = text
            if name in actions:
                raise BadFile(f"line {at}: {name} appears twice")
            actions[name] = []
        elif text:
            if (name, text) == _TYPO:
                correction = f"{name} {text} in the label file, read as {_CORRECTED}"
                text = _CORRECTED
            action = _action(name, text, at)
            without_frames += action is None
            actions.get(name, []).extend([action] if action else [])
    return Labels({name: tuple(found) for name, found in actions.items()}, without_frames, correction)


def _action(recording: str, text: str, at: int) -> LabelledAction | None:
    match = re.fullmatch(r"(\w+): ?(?:(\d{1,9}) (\d{1,9})|NaN NaN)", text)
    if match is None or match[1] not in _ACTIONS or not recording:
        raise BadFile(f"line {at}: {text[:40]!r} is neither a recording nor one of its ten actions")
    return None if match[2] is None else LabelledAction(match[1], text, int(match[2]), int(match[3]), at)


def _read_labels(path: Path) -> Labels:
    found = find_files(path, _LABELS, "actionLabel.txt", required=False)
    if not found:
        raise InputError(f"{path}: no actionLabel.txt found; put it into the folder of the joints_s*_e*.txt files")
    file = max(found, key=lambda file: len(file.base))
    try:
        return parse_labels(load_file(file))
    except BadFile as error:
        raise InputError(f"{file.container / file.name}: {error}; download it again") from None


def _recording_name(file: File) -> str:
    return file.stem.lower().removeprefix("joints_")


def _whole(
    file: File, data: bytes, actions: Mapping[str, tuple[LabelledAction, ...]]
) -> tuple[Recording, tuple[Annotation, ...]]:
    frames, positions, repeated = parse_joints(data)
    name, numbers = _recording_name(file), numbers_in_name(file, _NAME)
    whole = Recording(
        name=name,
        positions=to_positions(positions[None]),
        subject=numbers["subject"],
        trial=numbers["trial"],
        fps=15.0,
        source=file.name,
        not_read=("lines of a recording that repeat a frame number",) if repeated else (),
    )
    return whole, tuple(_annotation(name, action, frames) for action in actions.get(name, ()))


def _annotation(recording: str, action: LabelledAction, numbers: Int64[np.ndarray, " frames"]) -> Annotation:
    start = int(np.searchsorted(numbers, action.first, side="left"))
    end = int(np.searchsorted(numbers, action.last, side="right"))
    # Beyond the end, so that what is cut is counted.
    if start < end == len(numbers) and action.last > numbers[-1]:
        end += 1
    label = list(_ACTIONS).index(action.name)
    return Annotation(f"{recording}_{action.name}", action.text, start, end, label, action.line)


def _not_read(path: Path, files: Sequence[File], labels: Labels) -> dict[str, int]:
    names = [_recording_name(file) for file in files]
    counts = {"an action whose frames are NaN NaN": labels.without_frames}
    counts |= compare_names(path, "the label file", labels.actions, names, "labels", "recording")
    return counts | ({labels.correction: 1} if labels.correction else {})
