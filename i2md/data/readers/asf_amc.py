"""Acclaim ASF/AMC motion capture (CMU, HDM05): a skeleton in an .asf, the rotations of its bones in .amc files.

The skeleton of an .amc is the .asf in its folder whose name it begins with (`12.asf` of `12_01.amc`), or the only one
there. A joint is the end of the bone of its name, and the root; positions follow by forward kinematics. They are in
metres: the unit of length in the .asf is that of the publishers' files, value / length x 2.54 cm. The frame rate is not
in the files; a number at the end of the name (`_120.amc`) is taken for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from i2md.data.coordinates import convert
from i2md.data.kinematics import forward, rotations
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files
from i2md.data.readers.hierarchies import Hierarchy, match_hierarchy
from i2md.data.readers.limits import require_size
from i2md.data.readers.poses import FILE, Pose, PoseOptions, pose_source
from i2md.data.recording import Source
from i2md.errors import InputError

_MOTIONS = re.compile(r"[^.].*\.amc", re.IGNORECASE)
_SKELETONS = re.compile(r"[^.].*\.asf", re.IGNORECASE)
_RATE = re.compile(r".*_(\d{2,3})")
_RATES = (24, 25, 30, 50, 60, 100, 120, 200, 240)
_INCH = 0.0254
_DOFS = ("rx", "ry", "rz")
_MOST_BONES = 500


class Bone(NamedTuple):
    """A bone of a skeleton, or its root."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    """From its start to its end, in metres, in the axes of the world at rest."""
    axes: np.ndarray
    """The axes that its rotations are about."""
    dof: tuple[str, ...]


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    axes: str | None = None,
) -> Source:
    """Open .amc files with their .asf.

    Args:
        path: A folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default the bones of the first skeleton.
        fps: Frame rate; by default the number at the end of a file's name.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings, in metres.

    Raises:
        InputError: If there is no such file, one has no skeleton, or the skeleton is no layout.
    """
    motions = find_files(path, _MOTIONS, ".amc files", unique_parts=FILE)
    skeletons = find_files(path, _SKELETONS, ".asf files", unique_parts=FILE)
    groups = list(_with_skeletons(path, motions, skeletons))
    match, left_out = match_hierarchy(path, [skeleton for _, (_, skeleton) in groups], _hierarchy, "asf", layout)
    source = pose_source(
        path, groups, match.layout, _Parser(match), PoseOptions(1, 0.0, fps), units="m", left_out=left_out
    )
    return convert(source, None, axes)


def _with_skeletons(
    path: Path, motions: Sequence[File], skeletons: Sequence[File]
) -> Iterable[tuple[str, tuple[File, ...]]]:
    there: dict[tuple[Path, PurePosixPath], list[File]] = defaultdict(list)
    for file in skeletons:
        there[file.container, PurePosixPath(file.name).parent].append(file)
    for file in motions:
        near = there.get((file.container, PurePosixPath(file.name).parent), [])
        fitting = [each for each in near if file.stem.lower().startswith(each.stem.lower())] or near[: len(near) == 1]
        if not fitting:
            raise InputError(f"{path}: no skeleton of {file.name}; put its .asf into the same folder")
        skeleton = max(fitting, key=lambda each: len(each.stem))
        yield str(PurePosixPath(file.name).with_suffix("")), (file, skeleton)


def _hierarchy(data: bytes) -> tuple[tuple[str, ...], tuple[int, ...]]:
    bones = parse_skeleton(data)
    return tuple(bone.name for bone in bones), tuple(bone.parent for bone in bones)


def parse_skeleton(data: bytes) -> list[Bone]:
    """Parse an .asf.

    Args:
        data: The bytes of a file.

    Returns:
        The root and the bones, parents first.

    Raises:
        BadFile: If it is no skeleton.
    """
    sections = _sections(data)
    scale = _INCH / _number(_value(sections["units"], "length"), "the unit of length", positive=True)
    root_axes = rotations("ZYX", np.zeros((1, 3)))[0]
    order = tuple(word.lower() for word in _value(sections["root"], "order"))
    bones = {"root": Bone("root", -1, (0.0, 0.0, 0.0), root_axes, order)}
    for lines in _bones(sections["bonedata"]):
        name = " ".join(_value(lines, "name"))
        direction = [_number([word], "a direction") for word in _value(lines, "direction")]
        length = _number(_value(lines, "length"), "a length")
        *angles, axis = _value(lines, "axis")
        if len(direction) != 3 or len(angles) != 3 or sorted(axis.lower()) != ["x", "y", "z"] or name in bones:
            raise BadFile(f"bone {name[:40]} is not complete, or is there twice")
        dof = tuple(word.lower() for word in _value(lines, "dof", required=False))
        degrees = [_number([angle], "an axis") for angle in angles]
        # About x, then y, then z of the world for "XYZ".
        axes = rotations(axis[::-1], np.array([degrees[::-1]]))[0]
        x, y, z = (scale * length * value for value in direction)
        bones[name] = Bone(name, -1, (x, y, z), axes, dof)
    if len(bones) > _MOST_BONES:
        raise BadFile(f"{len(bones)} bones")
    ordered = [bones["root"]]
    place = {"root": 0}
    for line in sections["hierarchy"]:
        parent, *children = line
        for child in children if parent not in ("begin", "end") else ():
            if parent not in place or child not in bones or child in place:
                raise BadFile(f"its hierarchy names {child[:40]}, which is no bone or hangs from none")
            place[child] = len(ordered)
            ordered.append(bones[child]._replace(parent=place[parent]))
    return ordered


def _sections(data: bytes) -> dict[str, list[list[str]]]:
    sections: dict[str, list[list[str]]] = {name: [] for name in ("units", "root", "bonedata", "hierarchy")}
    current: list[list[str]] = []
    for line in data.decode("latin-1").splitlines():
        words = line.partition("#")[0].split()
        if words and words[0].startswith(":"):
            current = sections.setdefault(words[0][1:].lower(), [])
            words = words[1:]
        if words:
            current.append(words)
    return sections


def _bones(lines: list[list[str]]) -> Iterable[list[list[str]]]:
    bone: list[list[str]] = []
    for words in lines:
        if words[0].lower() == "begin":
            bone = []
        elif words[0].lower() == "end":
            yield bone
        else:
            bone.append(words)


def _value(lines: list[list[str]], key: str, required: bool = True) -> list[str]:
    found = next((words[1:] for words in lines if words[0].lower() == key), None)
    if not found and required:
        raise BadFile(f"no {key} where one belongs: not an .asf")
    return found or []


def _number(words: list[str], what: str, positive: bool = False) -> float:
    try:
        number = float(words[0])
    except ValueError:
        raise BadFile(f"{what} is {words[0][:40]!r}, not a number") from None
    if not np.isfinite(number) or (positive and number <= 0):
        raise BadFile(f"{what} is {words[0][:40]}")
    return number


@dataclass(frozen=True)
class _Parser:
    match: Hierarchy

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        (file, data), (_, skeleton) = files
        bones = parse_skeleton(skeleton)
        names = [bone.name for bone in bones]
        order = [names.index(name) if name in names else -1 for name in self.match.names]
        if -1 in order:
            raise BadFile(f"its skeleton has no bone {self.match.names[order.index(-1)]}, which the first one has")
        scale = _INCH / _number(_value(_sections(skeleton)["units"], "length"), "the unit of length", positive=True)
        positions = bone_ends(bones, parse_motion(data, bones), scale)[:, order]
        match = _RATE.fullmatch(file.stem)
        rate = float(match[1]) if match and int(match[1]) in _RATES else 0.0
        return Pose(Bodies(np.arange(len(positions)), self.match.spread(positions)), fps=rate)


def parse_motion(data: bytes, bones: list[Bone]) -> dict[str, Float64[np.ndarray, "frames dof"]]:
    """Parse an .amc.

    Args:
        data: The bytes of a file.
        bones: The skeleton.

    Returns:
        The values of each bone that has degrees of freedom, in every frame.

    Raises:
        BadFile: If a frame lacks a bone, or a bone a value.
    """
    sizes = {bone.name: len(bone.dof) for bone in bones if bone.dof}
    values: dict[str, list[list[str]]] = {name: [] for name in sizes}
    frames = 0
    for at, line in enumerate(data.decode("latin-1").splitlines(), 1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdecimal():
            frames += 1
            continue
        name = words[0]
        if name not in sizes or len(words) != 1 + sizes[name] or len(values[name]) != frames - 1:
            raise BadFile(
                f"line {at}: {name[:40]} is no bone with {len(words) - 1} values, or is there twice in a frame"
            )
        values[name].append(words[1:])
    if not frames or any(len(rows) != frames for rows in values.values()):
        raise BadFile("no frame, or a bone is not in all frames")
    require_size(8 * frames * len(bones) * 12, "the recording")
    try:
        return {name: np.array(rows, dtype=np.float64) for name, rows in values.items()}
    except ValueError as error:
        raise BadFile(f"a value is not a number ({str(error)[:60]})") from None


def bone_ends(
    bones: list[Bone], values: dict[str, Float64[np.ndarray, "frames dof"]], scale: float
) -> Float64[np.ndarray, "frames bones 3"]:
    """Positions of the root and of the ends of bones.

    Args:
        bones: The skeleton.
        values: As of `parse_motion`.
        scale: Metres in a unit of the root's position.

    Returns:
        Positions in metres.
    """
    frames = len(next(iter(values.values())))
    offsets, local = [], []
    for bone in bones:
        offset = np.tile(np.array(bone.offset), (frames, 1))
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        for column, kind in enumerate(bone.dof):
            if kind in ("tx", "ty", "tz") and bone.parent < 0:
                offset[:, "xyz".index(kind[1])] = scale * values[bone.name][:, column]
            elif kind in _DOFS:
                # About x, then y, then z of the bone's axes: the later ones stand to the left.
                turn = rotations(kind[1], values[bone.name][:, column : column + 1]) @ turn
        offsets.append(offset)
        local.append(bone.axes @ turn @ bone.axes.T)
    return forward([bone.parent for bone in bones], offsets, local, own_turn=True)
