"""What all readers share: one pass over files as a stream of clips, and what every clip must satisfy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Num

from i2md.data.readers.files import BadFile, File, load_each
from i2md.data.recording import Recording, Unreadable
from i2md.skeletons import Layout


@dataclass(frozen=True)
class Reading:
    """A pass over files: call it for a fresh stream that holds one recording at a time.

    `parse` turns a file and its bytes into a recording, or into several where one file holds several clips,
    or raises BadFile. A Reading is a plain value that pickles, and a Divisible one, file by file.
    """

    files: tuple[File, ...]
    layout: Layout
    parse: Callable[[File, bytes], Recording | Sequence[Recording | Unreadable]]

    def __len__(self) -> int:
        return len(self.files)

    def part(self, start: int, stop: int) -> Reading:
        """The pass over files `start` to `stop` - 1."""
        return replace(self, files=self.files[start:stop])

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """Each file in turn, as its recordings or as Unreadable."""
        for file, load in load_each(self.files):
            yield from self._read_one(file, load)

    def _read_one(self, file: File, load: Callable[[], bytes]) -> Iterator[Recording | Unreadable]:
        try:
            parsed = self.parse(file, load())
        except BadFile as error:
            yield Unreadable(file.name, f"{file.base}: {error}")
            return
        for clip in [parsed] if isinstance(parsed, Recording) else parsed:
            yield clip if isinstance(clip, Unreadable) else self._sound(file, clip)

    def _sound(self, file: File, recording: Recording) -> Recording | Unreadable:
        try:
            require_sound(recording.positions, self.layout)
        except BadFile as error:
            part = "" if recording.name == file.stem else f"{recording.name}: "
            return Unreadable(file.name, f"{file.base}: {part}{error}")
        return recording


def require_sound(positions: Float32[np.ndarray, "persons frames joints channels"], layout: Layout) -> None:
    """Raise BadFile unless there is a frame, the joints fit the layout and every value is finite."""
    persons, frames, joints, channels = positions.shape
    if persons == 0 or frames == 0:
        raise BadFile("no frame")
    if (joints, channels) != (len(layout.joints), layout.channels):
        raise BadFile(
            f"{joints} joints of {channels} coordinates; "
            f"layout {layout.name} has {len(layout.joints)} of {layout.channels}"
        )
    if not np.isfinite(positions).all():
        frame = int(np.argwhere(~np.isfinite(positions))[:, 1].min())
        raise BadFile(f"frame {frame} holds a coordinate that is not a finite number")


def to_positions(values: Num[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """A copy as float32; what float32 cannot hold becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float32, order="C")


def without_absent_people(
    positions: Float[np.ndarray, "persons frames joints channels"],
) -> Float[np.ndarray, "present frames joints channels"]:
    """The first person, and of the others those who appear in any frame.

    >>> without_absent_people(np.zeros((2, 5, 25, 3))).shape
    (1, 5, 25, 3)
    """
    present = [person for person, body in enumerate(positions) if person == 0 or body.any()]
    return positions[present]


def joint_order(listed: str, layout: Layout) -> list[int]:
    """Where a file keeps each joint of the layout; `listed` names the file's joints in its own order."""
    names = [name.strip() for name in listed.split(",")]
    return [names.index(joint) for joint in layout.joints]


def numbers_in_name(file: File, pattern: re.Pattern[str]) -> dict[str, int]:
    """The named groups of `pattern` in the file's base name, as numbers."""
    match = pattern.fullmatch(file.base)
    if match is None:
        raise BadFile("the name does not tell action and subject as the publisher's names do")
    return {key: int(value) for key, value in match.groupdict().items()}


def label_of(number: int, class_names: Sequence[str]) -> int:
    """The 0-based label of action `number` (counted from 1); BadFile where there is no such action."""
    if not 1 <= number <= len(class_names):
        raise BadFile(f"action {number} is not one of 1 to {len(class_names)}")
    return number - 1
