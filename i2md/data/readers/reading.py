"""What all readers share: reading files one after the other, and the checks that every recording has to pass.

A reader of one clip a file is a parser, `(file, bytes) -> Recording`, which `open_clip_files` applies to the files;
other readers make their own `Source` with a `Reading` of the files. A parser raises `BadFile` for a file that yields
no clip; the file is then named, counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Num

from i2md.data.readers.files import BadFile, File, find_files, load_each
from i2md.data.readers.name_tables import shown
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import Split
from i2md.skeletons import Layout

# More digits may not fit the columns of a Clips folder, which have 64 bits.
_MAX_DIGITS = 18


@dataclass(frozen=True)
class Reading:
    """A pass over files, one recording in memory at a time; Divisible file by file, and pickles if its parser does."""

    files: tuple[File, ...]
    """Files, in the order in which they are read."""
    layout: Layout
    """Joints and channels that every recording must have."""
    parse: Callable[[File, Any], Recording | Sequence[Recording | Unreadable]]
    """Turns a file and its bytes into a recording, or into several; raises BadFile if it cannot."""

    def __len__(self) -> int:
        return len(self.files)

    def part(self, start: int, stop: int) -> Reading:
        """The pass over files `start` to `stop` - 1."""
        return replace(self, files=self.files[start:stop])

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """Yield the recordings of each file, or an Unreadable for a file (or a recording) that is invalid."""
        for file, load in load_each(self.files):
            yield from self.read_one(file, load)

    def read_one(self, file: File, load: Callable[[], Any]) -> Iterator[Recording | Unreadable]:
        """Yield the recordings of one file, given what loads what `parse` takes."""
        try:
            # NumPy warns of numbers beyond float32 and of signalling NaNs, which `check_positions` refuses.
            with np.errstate(over="ignore", invalid="ignore"):
                parsed = self.parse(file, load())
        except BadFile as error:
            yield Unreadable(file.name, f"{shown(file.base)}: {str(error)[:300]}")
        except (RecursionError, MemoryError, OverflowError) as error:
            # No parser can foresee all of these: JSON that is nested too deeply, a number without a machine type.
            yield Unreadable(file.name, f"{shown(file.base)}: cannot be read ({type(error).__name__})")
        else:
            for clip in [parsed] if isinstance(parsed, Recording) else parsed:
                yield clip if isinstance(clip, Unreadable) else self._checked(file, clip)

    def _checked(self, file: File, recording: Recording) -> Recording | Unreadable:
        try:
            check_positions(recording.positions, self.layout)
        except BadFile as error:
            part = "" if recording.name == file.stem else f"{recording.name}: "
            return Unreadable(file.name, f"{shown(file.base)}: {part}{error}")
        return recording


def open_clip_files(
    path: Path,
    pattern: re.Pattern[str],
    what: str,
    parse: Callable[[File, bytes], Recording],
    *,
    name: str,
    layout: Layout,
    class_names: tuple[str, ...],
    splits: Mapping[str, Split],
    unique_parts: int = 1,
) -> Source:
    """Open a data set of one clip a file, in metres, whose skeletons are turned to face the sensor.

    Args:
        path: The folder that holds the files or a parent of it, or a .zip.
        pattern: As in `find_files`, like `what` and `unique_parts`.
        what: What the files are called in messages.
        parse: Turns a file and its bytes into a recording; raises BadFile if it cannot.
        name: Name of the data set.
        layout: Joints and channels that every recording must have.
        class_names: Names of the labels 0, 1, ...
        splits: The publisher's splits.
        unique_parts: How many last parts of a file's path identify its clip.

    Returns:
        The clips.

    Raises:
        InputError: If there is no such file, or two are of the same clip.
    """
    files = find_files(path, pattern, what, unique_parts)
    return Source(
        name=name,
        layout=layout,
        class_names=class_names,
        units="m",
        preset="facing",
        read=Reading(files, layout, parse),
        count=len(files),
        splits=splits,
    )


def check_positions(positions: Float32[np.ndarray, "persons frames joints channels"], layout: Layout) -> None:
    """Check that positions have a frame, the joints and channels of the layout, and no infinite value.

    Args:
        positions: Positions of one recording; NaN is a missing joint, which preparation interpolates.
        layout: Layout that they are in.

    Raises:
        BadFile: If one of these does not hold; the message names the first frame with an infinite value.
    """
    persons, frames, joints, channels = positions.shape
    if persons == 0 or frames == 0:
        raise BadFile("no frame")
    if (joints, channels) != (len(layout.joints), layout.channels):
        raise BadFile(
            f"{joints} joints of {channels} coordinates; "
            f"layout {layout.name} has {len(layout.joints)} of {layout.channels}"
        )
    infinite = np.isinf(positions)
    if infinite.any():
        frame = int(np.argwhere(infinite)[:, 1].min())
        raise BadFile(f"frame {frame} holds an infinite coordinate; write NaN or zeros for a missing joint")


def to_positions(values: Num[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Copy numbers to a contiguous float32 array.

    Args:
        values: Numbers of any type.

    Returns:
        The copy; values beyond float32 become infinite, without a warning, and fail `check_positions`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        positions = np.array(values, dtype=np.float32, order="C")
        # A damaged file may hold signalling NaNs, of which NumPy would warn again and again.
        positions[np.isnan(positions)] = np.nan
    return positions


def without_absent_persons(
    positions: Float[np.ndarray, "persons frames joints channels"],
) -> Float[np.ndarray, "present frames joints channels"]:
    """Drop the persons whose positions are zero in all frames, except the first person.

    Args:
        positions: Positions, zeros where a person is absent.

    Returns:
        The first person and those who are present in any frame.

    Example:
        >>> without_absent_persons(np.zeros((2, 5, 25, 3))).shape
        (1, 5, 25, 3)
    """
    present = [person for person, body in enumerate(positions) if person == 0 or body.any()]
    return positions[present]


def without_padding(
    values: Num[np.ndarray, "persons frames joints channels"],
    layout: Layout,
    length: int | None = None,
) -> Float32[np.ndarray, "present length joints channels"]:
    """Copy a clip out of a zero-padded array: without the frames after its last and without absent persons.

    Args:
        values: The clip in an array that holds more frames and persons than it has.
        layout: Layout that its positions must fit.
        length: Number of frames of the clip; by default it ends after the last frame that is not all zeros.

    Returns:
        Positions of the frames and persons of the clip.

    Raises:
        BadFile: If the positions fail `check_positions`.
    """
    positions = to_positions(values[:, : last_frame(values) if length is None else length])
    check_positions(positions, layout)
    return without_absent_persons(positions)


def last_frame(values: Num[np.ndarray, "persons frames joints channels"]) -> int:
    """Count the frames up to the last one that is not all zeros.

    Args:
        values: A zero-padded clip.

    Returns:
        The number of frames; all of them if every frame is zero.

    Example:
        >>> last_frame(np.array([1, 0, 1, 0]).reshape(1, 4, 1, 1))
        3
    """
    # A damaged file may hold signalling NaNs; check_positions reports coordinates that are not finite.
    with np.errstate(invalid="ignore"):
        used = np.flatnonzero(values.any(axis=(0, 2, 3)))
    return int(used[-1]) + 1 if len(used) else values.shape[1]


def without_low_confidence(
    positions: Num[np.ndarray, "persons frames joints channels"],
    confidence: Num[np.ndarray, "persons frames joints"],
    most: float,
) -> Num[np.ndarray, "persons frames joints channels"]:
    """Store joints of low confidence as zeros, which mean that a joint is missing.

    Args:
        positions: Positions.
        confidence: Confidence of each joint.
        most: A joint of this confidence or less is missing, as is one whose confidence is NaN.

    Returns:
        A copy of the positions.

    Example:
        >>> without_low_confidence(np.ones((1, 1, 2, 2)), np.array([[[0.2, 0.9]]]), 0.5).tolist()
        [[[[0.0, 0.0], [1.0, 1.0]]]]
    """
    return np.where((confidence > most)[..., None], positions, positions.dtype.type(0))


def joint_order(listed: str, layout: Layout) -> list[int]:
    """Find where a file stores each joint of a layout.

    Args:
        listed: The joints in the file's order, separated by commas, named as the layout names them.
        layout: The layout wanted.

    Returns:
        For each joint of the layout its index in the file.
    """
    names = [name.strip() for name in listed.split(",")]
    return [names.index(joint) for joint in layout.joints]


def numbers_in_name(file: File, pattern: re.Pattern[str]) -> dict[str, int]:
    """Read the numbers in a file's name.

    Args:
        file: The file.
        pattern: Pattern of the base name; its named groups match digits.

    Returns:
        The number that each named group matches.

    Raises:
        BadFile: If the name does not match, or a number has more than 18 digits.
    """
    match = pattern.fullmatch(file.base)
    if match is None:
        raise BadFile("the name does not give action and subject as the publisher's file names do")
    numbers = match.groupdict()
    if any(len(value) > _MAX_DIGITS for value in numbers.values()):
        raise BadFile(f"a number in the name has more than {_MAX_DIGITS} digits")
    return {key: int(value) for key, value in numbers.items()}


def label_of(number: int, class_names: Sequence[str]) -> int:
    """Convert an action number to a label.

    Args:
        number: Number of the action, counted from 1.
        class_names: Names of the classes.

    Returns:
        The label, counted from 0.

    Raises:
        BadFile: If there is no action of this number.
    """
    if not 1 <= number <= len(class_names):
        raise BadFile(f"action {number if abs(number) < 1 << 63 else '...'} is not one of 1 to {len(class_names)}")
    return number - 1
