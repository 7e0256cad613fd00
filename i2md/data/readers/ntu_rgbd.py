"""NTU RGB+D 60 and 120 (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020): Kinect v2, .skeleton text."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
from i2md.data.readers.number_fields import first_numbers
from i2md.data.readers.reading import (
    Reading,
    label_of,
    numbers_in_name,
    require_sound,
    to_positions,
    without_absent_people,
)
from i2md.data.recording import Recording, Source
from i2md.skeletons import get_layout

_FILE = re.compile(rf"{NAME.pattern}\.skeleton", re.IGNORECASE)
_ANY_SKELETON = re.compile(r".*\.skeleton", re.IGNORECASE)
_LAYOUT = get_layout("kinect-v2")
_JOINTS = 25
_FIELDS = 12
_MOST_BODIES = 6
# The published program looks for its two people among the first four bodies (golden/ntu_preparation.npz).
_CANDIDATES = 4
_PEOPLE = 2


def open_source(path: Path) -> Source:
    """The `.skeleton` files at `path`: a folder, a parent of it, a .zip, or the folder of both .zip files.

    One or two people in layout kinect-v2, metres. The publisher's 535 incomplete samples are left out, and
    counted. Splits as `splits_for` says; 60 class names, or 120 where NTU-120 is there.
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
        read_everybody=Reading(files, _LAYOUT, _parse_everybody),
    )


def _parse(file: File, data: bytes) -> Recording:
    bodies = to_positions(parse_skeleton(data))
    # Before the choice, whose energies a coordinate that is not finite would spoil.
    require_sound(bodies, _LAYOUT)
    return _recording(file, choose_people(bodies))


def _parse_everybody(file: File, data: bytes) -> Recording:
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
    """The first four bodies of a .skeleton file, told apart by their place in the frame, zeros where absent.

    Lines: a frame count; for each frame a body count; for each body a line about it, the joint count and 25
    lines of 12 fields, x y z (metres) first. Raises BadFile where the file does not say exactly that.
    """
    lines = data.split(b"\n")
    frames, bodies = _bodies(lines)
    return _positions(data, lines, frames, [body for body in bodies if body[0] < _CANDIDATES])


def parse_bodies(data: bytes) -> Float64[np.ndarray, "bodies frames 25 3"]:
    """All bodies of a .skeleton file, told apart by their tracking ids, in order of appearance; zeros where absent.

    Raises BadFile as `parse_skeleton` does, and where an id is missing or twice in a frame.
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
    """The frame count, and of each body its place in the frame, the frame and the index of its first joint's line."""
    frames = _count(lines, 0, "a frame count")
    found = []
    at = 1
    for frame in range(frames):
        bodies = _count(lines, at, "a body count", most=_MOST_BODIES)
        at += 1
        for place in range(bodies):
            if _count(lines, at + 1, "a joint count") != _JOINTS:
                raise BadFile(f"line {at + 2}: {lines[at + 1].strip().decode()} joints, not {_JOINTS}")
            found.append((place, frame, at + 2))
            at += 2 + _JOINTS
    _require_end(lines, at)
    return frames, found


def _positions(
    data: bytes, lines: list[bytes], frames: int, bodies: list[tuple[int, int, int]]
) -> Float64[np.ndarray, "bodies frames 25 3"]:
    """Where the bodies are: of each its number, the frame and the index of its first joint's line."""
    positions = np.zeros((1 + max((body for body, _, _ in bodies), default=0), frames, _JOINTS, 3))
    if bodies:
        numbers, at, firsts = zip(*bodies, strict=True)
        positions[numbers, at] = _coordinates(data, lines, firsts)
    return positions


def choose_people(
    bodies: Float[np.ndarray, "bodies frames joints 3"],
) -> Float[np.ndarray, "persons frames joints 3"]:
    """The two most energetic bodies, most energetic first; one where no second ever appears.

    Energy is the sum over x, y, z of the standard deviation over the frames where the body is present
    (golden/ntu_preparation.npz).
    """
    energy = [_energy(body) for body in bodies]
    order = np.argsort(energy, kind="stable")[::-1][:_PEOPLE]
    return without_absent_people(bodies[order])


def _energy(body: Float[np.ndarray, "frames joints 3"]) -> float:
    present = body[body.any(axis=(1, 2))]
    return float(present.std(axis=(0, 1), dtype=np.float64).sum()) if len(present) else 0.0


def _count(lines: list[bytes], at: int, what: str, most: int | None = None) -> int:
    if at >= len(lines):
        raise BadFile(f"the file ends after {len(lines)} lines, where {what} should stand: it is cut short")
    line = lines[at].strip()
    if not line.isdigit() or len(line) > 9 or (most is not None and int(line) > most):
        raise BadFile(f"line {at + 1}: {_shown(line)} is not {what}" + (f" of 0 to {most}" if most else ""))
    return int(line)


def _require_end(lines: list[bytes], at: int) -> None:
    if at > len(lines):
        raise BadFile(f"the file ends after {len(lines)} lines, within a body: it is cut short")
    if any(line.strip() for line in lines[at:]):
        raise BadFile(f"line {at + 1}: more follows after the announced frames")


def _coordinates(data: bytes, lines: list[bytes], firsts: Sequence[int]) -> Float64[np.ndarray, "bodies 25 3"]:
    """x y z of the 25 lines from each of `firsts` on."""
    joints = [at for first in firsts for at in range(first, first + _JOINTS)]
    values = first_numbers(data, joints, fields=_FIELDS, wanted=3)
    if values is None:
        values = np.array([_xyz(lines, at) for at in joints])
    return values.reshape(-1, _JOINTS, 3)


def _xyz(lines: list[bytes], at: int) -> list[float]:
    """x y z of one joint's line, however it is spaced; BadFile names the line that is not one."""
    fields = lines[at].split()
    if len(fields) != _FIELDS:
        raise BadFile(f"line {at + 1}: {len(fields)} fields, not {_FIELDS}")
    try:
        return [float(field) for field in fields[:3]]
    except ValueError:
        raise BadFile(f"line {at + 1}: {_shown(lines[at])} does not start with x y z") from None


def _shown(line: bytes) -> str:
    return repr(line.strip()[:40].decode("ascii", "replace"))
