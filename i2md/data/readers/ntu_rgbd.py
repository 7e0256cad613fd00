"""NTU RGB+D 60 and 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020): Kinect v2, `.skeleton` text files.

A file `SsssCcccPpppRrrrAaaa.skeleton` is one clip: the number of frames; for each frame the number of bodies; for each
body a line that starts with its tracking id, the number of joints (25) and a line of 12 fields for each joint, of
which the first three are x y z. Layout kinect-v2 in its joint order, metres, camera space, y up, 30 frames a second.
Setup, camera, subject, trial and label come from the name. The splits are in i2md.data.readers.ntu_rgbd_splits.

Choice of persons and coordinates agree with the published CMD program (tests/golden/ntu_preparation.npz).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64

from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.ntu_rgbd_splits import (
    NAME,
    TWO_PERSON_LABELS,
    class_names,
    columns_of,
    has_120,
    missing_names,
    splits_for,
)
from i2md.data.readers.reading import (
    Reading,
    check_positions,
    label_of,
    numbers_in_name,
    to_positions,
    without_absent_persons,
)
from i2md.data.readers.text_numbers import first_numbers
from i2md.data.recording import Recording, Source
from i2md.skeletons import get_layout

_FILE = re.compile(rf"{NAME.pattern}\.skeleton", re.IGNORECASE)
_ANY_SKELETON = re.compile(r".*\.skeleton", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v2")
_JOINTS = 25
_FIELDS = 12
_MOST_BODIES = 6
# The published CMD program chooses two persons among the first four bodies of a frame.
_CANDIDATES = 4
_MAX_PERSONS = 2


def open_source(path: Path) -> Source:
    """Open the `.skeleton` files of NTU RGB+D.

    Args:
        path: The folder that holds them or a parent of it, a .zip, or the folder of both .zip files.

    Returns:
        Clips of one or two persons, with 120 class names if one of them is of NTU RGB+D 120, else 60. The samples on
        the publisher's list of incomplete ones are left out and counted. `read_all_bodies` yields all tracked bodies.

    Raises:
        InputError: If there is no such file, or two have the same name.
    """
    found = find_files(path, _ANY_SKELETON, "*.skeleton files")
    files = tuple(file for file in found if file.stem not in missing_names())
    columns = columns_of([file.stem for file in files if _FILE.fullmatch(file.base)])
    return Source(
        name="ntu-rgbd-120" if has_120(columns) else "ntu-rgbd-60",
        layout=_LAYOUT,
        class_names=class_names() if has_120(columns) else class_names()[:60],
        units="m",
        preset="ntu",
        read=Reading(files, _LAYOUT, _parse),
        count=len(files),
        splits=splits_for(columns),
        left_out={"on the publisher's list of incomplete samples": len(found) - len(files)},
        read_all_bodies=Reading(files, _LAYOUT, _parse_all_bodies),
    )


def _parse(file: File, data: bytes) -> Recording:
    bodies = to_positions(parse_skeleton(data))
    # Checked before the choice: an infinite coordinate would make the energies invalid.
    check_positions(bodies, _LAYOUT)
    recording = _recording(file, choose_persons(bodies))
    more = bodies.any(axis=(1, 2, 3)).sum() > _MAX_PERSONS
    return replace(recording, not_read=("bodies other than the two that move most",)) if more else recording


def _parse_all_bodies(file: File, data: bytes) -> Recording:
    return _recording(file, to_positions(parse_bodies(data)))


def _recording(file: File, positions: Float32[np.ndarray, "persons frames 25 3"]) -> Recording:
    numbers = numbers_in_name(file, _FILE)
    label = label_of(numbers["action"], class_names())
    return Recording(
        name=file.stem,
        positions=positions,
        label=label,
        subject=numbers["subject"],
        camera=numbers["camera"],
        setup=numbers["setup"],
        trial=numbers["trial"],
        fps=30.0,
        source=file.name,
        actors=2 if label in TWO_PERSON_LABELS else 1,
    )


def parse_skeleton(data: bytes) -> Float64[np.ndarray, "bodies frames 25 3"]:
    """Parse the bodies that the published CMD program considers: the first four of each frame, identified by position.

    Args:
        data: The bytes of a .skeleton file.

    Returns:
        Positions in metres, zeros where a body is absent.

    Raises:
        BadFile: If the file does not have exactly the publisher's format; the message names the line.

    Source:
        tests/golden/ntu_preparation.npz
    """
    lines = data.split(b"\n")
    frames, bodies = _bodies(lines)
    return _positions(data, lines, frames, [body for body in bodies if body[0] < _CANDIDATES])


def parse_bodies(data: bytes) -> Float64[np.ndarray, "bodies frames 25 3"]:
    """Parse all bodies, identified by their tracking ids.

    Args:
        data: The bytes of a .skeleton file.

    Returns:
        Positions in metres in order of first appearance, zeros where a body is absent.

    Raises:
        BadFile: As in `parse_skeleton`, and if a tracking id is missing or appears twice in a frame.
    """
    lines = data.split(b"\n")
    frames, bodies = _bodies(lines)
    numbers: dict[bytes, int] = {}
    tracked = []
    for _, frame, first in bodies:
        tracking_id = lines[first - 2].strip().partition(b" ")[0]
        tracked.append((numbers.setdefault(tracking_id, len(numbers)), frame, first))
    if b"" in numbers or len({(body, frame) for body, frame, _ in tracked}) < len(tracked):
        raise BadFile("a body has no tracking id, or two of one frame have the same")
    return _positions(data, lines, frames, tracked)


def _bodies(lines: list[bytes]) -> tuple[int, list[tuple[int, int, int]]]:
    """The frame count, and for each body its position in the frame, the frame and the index of its first joint line."""
    frames = _count(lines, 0, "a frame count")
    found = []
    at = 1
    for frame in range(frames):
        bodies = _count(lines, at, "a body count", most=_MOST_BODIES)
        at += 1
        for position in range(bodies):
            if _count(lines, at + 1, "a joint count") != _JOINTS:
                raise BadFile(f"line {at + 2}: {lines[at + 1].strip().decode()} joints, not {_JOINTS}")
            found.append((position, frame, at + 2))
            at += 2 + _JOINTS
    _require_end(lines, at)
    return frames, found


def _positions(
    data: bytes, lines: list[bytes], frames: int, bodies: list[tuple[int, int, int]]
) -> Float64[np.ndarray, "bodies frames 25 3"]:
    """Positions of bodies given as (body, frame, index of its first joint line)."""
    positions = np.zeros((1 + max((body for body, _, _ in bodies), default=0), frames, _JOINTS, 3))
    if bodies:
        numbers, at, firsts = zip(*bodies, strict=True)
        positions[numbers, at] = _coordinates(data, lines, firsts)
    return positions


def choose_persons(
    bodies: Float[np.ndarray, "bodies frames joints 3"],
) -> Float[np.ndarray, "persons frames joints 3"]:
    """Choose the two bodies of the highest energy.

    The energy of a body is the sum over x, y, z of the standard deviation over joints and the frames where it is
    present.

    Args:
        bodies: Positions, zeros where a body is absent.

    Returns:
        The chosen bodies, highest energy first; one if no second body ever appears.

    Source:
        tests/golden/ntu_preparation.npz
    """
    energy = [_energy(body) for body in bodies]
    order = np.argsort(energy, kind="stable")[::-1][:_MAX_PERSONS]
    return without_absent_persons(bodies[order])


def _energy(body: Float[np.ndarray, "frames joints 3"]) -> float:
    present = body[body.any(axis=(1, 2))]
    # What NumPy computes without a NaN agrees with the published program to the last digit.
    deviation = np.nanstd if np.isnan(present).any() else np.std
    return float(deviation(present, axis=(0, 1), dtype=np.float64).sum()) if len(present) else 0.0


def _count(lines: list[bytes], at: int, what: str, most: int | None = None) -> int:
    if at >= len(lines):
        raise BadFile(f"the file ends after {len(lines)} lines, where {what} is expected: it is cut short")
    line = lines[at].strip()
    if not line.isdigit() or len(line) > 9 or (most is not None and int(line) > most):
        raise BadFile(f"line {at + 1}: {_shown(line)} is not {what}" + (f" of 0 to {most}" if most else ""))
    return int(line)


def _require_end(lines: list[bytes], at: int) -> None:
    if at > len(lines):
        raise BadFile(f"the file ends after {len(lines)} lines, within a body: it is cut short")
    if any(line.strip() for line in lines[at:]):
        raise BadFile(f"line {at + 1}: text after the last of the frames announced")


def _coordinates(data: bytes, lines: list[bytes], firsts: Sequence[int]) -> Float64[np.ndarray, "bodies 25 3"]:
    """x y z of the 25 lines that start at each of `firsts`."""
    joints = [at for first in firsts for at in range(first, first + _JOINTS)]
    values = first_numbers(data, joints, fields=_FIELDS, wanted=3)
    if values is None:
        values = np.array([_xyz(lines, at) for at in joints])
    return values.reshape(-1, _JOINTS, 3)


def _xyz(lines: list[bytes], at: int) -> list[float]:
    """x y z of one joint's line, whatever its spacing; BadFile names an invalid line."""
    fields = lines[at].split()
    if len(fields) != _FIELDS:
        raise BadFile(f"line {at + 1}: {len(fields)} fields, not {_FIELDS}")
    try:
        return [float(field) for field in fields[:3]]
    except ValueError:
        raise BadFile(f"line {at + 1}: {_shown(lines[at])} does not start with x y z") from None


def _shown(line: bytes) -> str:
    return repr(line.strip()[:40].decode("ascii", "replace"))
