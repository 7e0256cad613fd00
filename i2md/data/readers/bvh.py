"""BVH motion capture: a hierarchy of joints with offsets, and the channels of each in every frame.

Positions follow by forward kinematics, in the file's unit (often centimetres: `--units cm`) and axes. Channels may be
any, in any order, for any joint: pybvh, the library of this format, does not read joints with channels for positions,
which publishers such as Bandai-Namco write, and needs a file on a disk. Positions in a frame replace a joint's offset.
End sites are not joints. The layout is the hierarchy of the first file; with `layout`, the joints of that layout that
have the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from i2md.data.coordinates import convert
from i2md.data.kinematics import forward, rotations
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.hierarchies import Hierarchy, match_hierarchy
from i2md.data.readers.limits import require_size
from i2md.data.readers.poses import FILE, Pose, PoseOptions, one_file_each, pose_source
from i2md.data.readers.text_numbers import number_rows
from i2md.data.recording import Source

FILES = re.compile(r"[^.].*\.bvh", re.IGNORECASE)
_MOST_JOINTS = 1000
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
# A frame time that is this near to that of a whole rate is written with few digits.
_NEAR = 1e-3


class Joint(NamedTuple):
    """A joint of a hierarchy."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    channels: tuple[tuple[str, str], ...]
    """Axis and kind of each, as ("X", "rotation")."""


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
) -> Source:
    """Open .bvh files.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default the hierarchy of the first file.
        fps: Frame rate; by default that of the file.
        units: Unit of the coordinates: m, cm or mm.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings. A file whose joints are not those of the first is Unreadable.

    Raises:
        InputError: If there is no such file, or the hierarchy is no layout.
    """
    files = find_files(path, FILES, ".bvh files", unique_parts=FILE)
    match, left_out = match_hierarchy(path, files, _hierarchy, "bvh", layout)
    parser = _Parser(match)
    source = pose_source(
        path, one_file_each(files), match.layout, parser, PoseOptions(1, 0.0, fps), units="unknown", left_out=left_out
    )
    return convert(source, units, axes)


def _hierarchy(data: bytes) -> tuple[tuple[str, ...], tuple[int, ...]]:
    joints = parse_hierarchy(data)[0]
    return tuple(joint.name for joint in joints), tuple(joint.parent for joint in joints)


def parse_hierarchy(data: bytes) -> tuple[list[Joint], bytes]:
    """Parse the first part of a file.

    Args:
        data: The bytes of a file.

    Returns:
        The joints, parents first, and what follows MOTION.

    Raises:
        BadFile: If it is not such a hierarchy.
    """
    head, found, rest = data.partition(b"MOTION")
    if not found:
        raise BadFile("no line MOTION in it")
    words = iter(head.decode("utf-8", "replace").split())
    joints: list[Joint] = []
    open_joints: list[int] = []
    in_end = 0
    for word in words:
        token = word.upper()
        if token in ("ROOT", "JOINT"):
            if (token == "ROOT") == bool(joints) or len(joints) == _MOST_JOINTS:
                raise BadFile("it has several roots, or none before a joint" if joints else "a joint before the root")
            name = next(words, "")
            joints.append(Joint(name[:80], open_joints[-1] if open_joints else -1, (0.0, 0.0, 0.0), ()))
            open_joints.append(len(joints) - 1)
        elif token == "END":
            in_end = 1
        elif token == "OFFSET":
            offset = _floats([next(words, "") for _ in range(3)])
            if joints and not in_end:
                joints[-1] = joints[-1]._replace(offset=offset)
        elif token == "CHANNELS":
            count = next(words, "")
            if not joints or not (count.isdecimal() and len(count) < 3):
                raise BadFile("CHANNELS is not followed by their number")
            matches = [_CHANNEL.fullmatch(next(words, "")) for _ in range(int(count))]
            if not all(matches):
                raise BadFile(f"a channel of {joints[-1].name} is no position or rotation")
            channels = tuple((match[1].upper(), match[2].lower()) for match in matches if match)
            joints[-1] = joints[-1]._replace(channels=channels)
        elif token == "}":
            if in_end:
                in_end = 0
            elif open_joints:
                open_joints.pop()
            else:
                raise BadFile("a brace is closed that was not opened")
    if not joints or open_joints or len({joint.name for joint in joints}) < len(joints):
        raise BadFile("its hierarchy is not complete, or two joints have the same name")
    return joints, rest


def _floats(words: list[str]) -> tuple[float, float, float]:
    try:
        x, y, z = map(float, words)
    except ValueError:
        raise BadFile(f"an offset is {' '.join(words)[:60]}, not three numbers") from None
    return x, y, z


@dataclass(frozen=True)
class _Parser:
    match: Hierarchy

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        ((_, data),) = files
        joints, rest = parse_hierarchy(data)
        names = [joint.name for joint in joints]
        order = [names.index(name) if name in names else -1 for name in self.match.names]
        if -1 in order:
            raise BadFile(f"no joint {self.match.names[order.index(-1)]}, which the first file has")
        frames, fps = _motion(rest, sum(len(joint.channels) for joint in joints))
        require_size(8 * len(frames) * len(joints) * 12, "the recording")
        positions = joint_positions(joints, frames)[:, order]
        return Pose(Bodies(np.arange(len(frames)), self.match.spread(positions)), fps=fps)


def _motion(data: bytes, channels: int) -> tuple[Float64[np.ndarray, "frames channels"], float]:
    """The channels of each frame, and the frame rate."""
    match = re.match(rb"\s*Frames:\s*(\d{1,9})\s+Frame\s+Time:\s*([-+.\deE]{1,30})[^\n]*\n", data, re.IGNORECASE)
    if match is None:
        raise BadFile("MOTION is not followed by Frames: and Frame Time:")
    rows = number_rows(data[match.end() :], channels)
    if len(rows) != int(match[1]):
        raise BadFile(f"{len(rows)} frames, where its head says {match[1].decode()}")
    try:
        seconds = float(match[2])
    except ValueError:
        raise BadFile("Frame Time: is not a number") from None
    rate = 1 / seconds if 1e-5 < seconds < 1e5 else 0.0
    return rows, float(round(rate)) if rate and abs(rate - round(rate)) < _NEAR * rate else rate


def joint_positions(
    joints: list[Joint], frames: Float64[np.ndarray, "frames channels"]
) -> Float64[np.ndarray, "frames joints 3"]:
    """Positions of all joints of a hierarchy.

    Args:
        joints: The joints.
        frames: Their channels, in order.

    Returns:
        Positions in the file's unit.
    """
    offsets, local, start = [], [], 0
    for joint in joints:
        values = frames[:, start : start + len(joint.channels)]
        start += len(joint.channels)
        offset = np.tile(np.array(joint.offset), (len(frames), 1))
        for column, (axis, kind) in enumerate(joint.channels):
            if kind == "position":
                offset[:, "XYZ".index(axis)] = values[:, column]
        turns = [column for column, (_, kind) in enumerate(joint.channels) if kind == "rotation"]
        offsets.append(offset)
        local.append(rotations("".join(joint.channels[column][0] for column in turns), values[:, turns]))
    return forward([joint.parent for joint in joints], offsets, local)
