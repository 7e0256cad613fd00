"""OpenPose (Cao et al., TPAMI 2021): one JSON file for each frame, `NAME_000000000012_keypoints.json`.

A file holds `people`, each with `pose_keypoints_2d`: x, y and confidence of 25 (BODY_25), 18 (COCO) or 15 (MPI) joints
in pixels, y down; a joint that was not found is three zeros. With `--hand` and `--face` it also holds
`hand_left_keypoints_2d`, `hand_right_keypoints_2d` (21 joints) and `face_keypoints_2d` (70), which are read where the
layout has such joints, as coco-wholebody has, and counted otherwise. A recording is the files of one folder with the
same NAME. `person_id`, [-1] unless tracking was on, identifies persons; otherwise they are told apart by
i2md.data.persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.joint_names import match_layout
from i2md.data.readers.json_poses import load_json, number_array, whole_number
from i2md.data.readers.poses import FILE, Pose, PoseOptions, pose_source
from i2md.data.recording import UNKNOWN, Source
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

FRAMES = re.compile(r"(?P<name>.*?)_?(?P<frame>\d+)_keypoints\.json", re.IGNORECASE)
_LAYOUTS = {25: "body-25", 18: "openpose-18"}
_WHOLE_BODY = "coco-wholebody"
# The parts beside the body and their joints. coco-wholebody has them in the same order, but for the pupils.
_PARTS = {"face": 70, "hand_left": 21, "hand_right": 21}
_PUPILS = ("right pupil", "left pupil")
# A layout that has fewer of its joints in the files is not read from them.
_MIN_SHARE = 0.75
_TRIED = 500


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open the `*_keypoints.json` files of OpenPose.

    Args:
        path: A folder of files, a parent of such folders, or a .zip.
        layout: Layout of the joints; by default body-25 or openpose-18 by their number. Another one is read by the
            names of its joints, of hands and face too (coco-wholebody), or, if it has as many joints, in their order.
        fps: Frame rate of the video; the files do not hold it.
        persons: Persons kept at most.
        score: A joint whose confidence is this or less is missing.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.
        joints: Names of the layout's joints in the file's order.

    Returns:
        The recordings, in pixels.

    Raises:
        InputError: If there is no such file, or the joints are those of no known layout.
    """
    files = find_files(path, FRAMES, "*_keypoints.json files of OpenPose", unique_parts=FILE)
    number = _joints_in(path, files, required=layout is None)
    parser, left_out = _parser_of(number, layout)
    groups, options = _recordings(path, files), PoseOptions(persons, score, fps)
    source = pose_source(
        path, groups, parser.layout, parser, options, units="px", left_out=left_out, missing=parser.missing
    )
    return convert(source, None, axes, joints)


def _parser_of(number: int, layout: str | None) -> tuple[_Parser, dict[str, int]]:
    """The parser for files of so many joints of the body, and what of them the layout lacks."""
    known = get_layout(layout or _LAYOUTS[number]).with_channels(2)
    if len(known.joints) == number or number not in _LAYOUTS:
        return _Parser(known), {}
    names = joint_names(number)
    match = match_layout(names, known)
    if len(match.missing) > (1 - _MIN_SHARE) * len(known.joints):
        return _Parser(known), {}
    # Of hands and faces that are not read at all, the recordings say so.
    face = any(number <= at < number + _PARTS["face"] for at in match.order)
    body = (*names[:number], *(_PUPILS if face else ()))
    unread = [name for name in body if names.index(name) not in match.order]
    left_out = {
        f"joints of OpenPose that layout {known.name} lacks, such as {name}": len(unread) for name in unread[:1]
    }
    return _Parser(known, match.order, number), left_out


def joint_names(number: int) -> tuple[str, ...]:
    """The names of all joints that OpenPose can write, in its order: body, face, left and right hand.

    Args:
        number: Joints of the body, 25 or 18.

    Example:
        >>> len(joint_names(25)), joint_names(25)[25], joint_names(25)[-1]
        (137, 'right jaw 1', 'right little finger 4')
    """
    whole = get_layout(_WHOLE_BODY)
    parts = dict(whole.parts)
    face, left, right = ([whole.joints[j] for j in parts[name]] for name in ("face", "left hand", "right hand"))
    return (*get_layout(_LAYOUTS[number]).joints, *face, *_PUPILS, *left, *right)


def _recordings(path: Path, files: Sequence[File]) -> list[tuple[str, tuple[File, ...]]]:
    found: dict[str, list[tuple[int, File]]] = {}
    for file in files:
        match = FRAMES.fullmatch(file.base)
        assert match is not None
        folder = PurePosixPath(file.name).parent
        name = str(folder / match["name"]) if match["name"] else str(folder)
        found.setdefault(path.stem if name == "." else name, []).append((int(match["frame"][:18]), file))
    names = {name: _shortest(name, found) for name in found}
    return [
        (names[name], tuple(file for _, file in sorted(frames, key=lambda pair: pair[0])))
        for name, frames in found.items()
    ]


def _shortest(name: str, others: Iterable[str]) -> str:
    """The folder alone, where it holds one recording: OpenPose is asked for a folder a video."""
    folder = PurePosixPath(name).parent
    alone = str(folder) != "." and sum(PurePosixPath(other).parent == folder for other in others) == 1
    return str(folder) if alone else name


def _joints_in(path: Path, files: Sequence[File], required: bool) -> int:
    """The number of joints of the body of the first person found; 0 if there is none and it is not required."""
    reason = "nobody is seen in the first files"
    for file in files[:_TRIED]:
        try:
            for person in people_of(load_json(load_file(file))):
                joints = len(_joints(person))
                if joints not in _LAYOUTS and required:
                    raise InputError(f"{path}: {joints} joints are of no layout of OpenPose; give --layout")
                return joints
        except BadFile as error:
            reason = f"{file.name}: {error}"
    if required:
        raise InputError(f"{path}: {reason}; give --layout, for example body-25")
    return 0


def people_of(content: Any) -> list[dict[str, Any]]:
    """The persons in the content of a file.

    Args:
        content: The parsed JSON.

    Returns:
        What each person's entry holds.

    Raises:
        BadFile: If it is not a frame of OpenPose.
    """
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(each, dict) for each in people):
        raise BadFile("not an object with a list of people")
    return people


def _joints(person: dict[str, Any]) -> np.ndarray:
    # Version 1.0 calls it pose_keypoints.
    values = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
    return number_array(values, "pose_keypoints_2d", (3,))


def _part(person: dict[str, Any], part: str, joints: int) -> np.ndarray:
    """Joints of a hand or face; zeros, which are missing joints, where they were not looked for."""
    values = person.get(f"{part}_keypoints_2d", person.get(f"{part}_keypoints"))
    if not values:
        return np.zeros((joints, 3))
    found = number_array(values, f"{part}_keypoints_2d", (3,))
    if len(found) != joints:
        raise BadFile(f"{part}_keypoints_2d has {len(found)} joints, not {joints}")
    return found


@dataclass(frozen=True)
class _Parser:
    layout: Layout
    order: tuple[int, ...] | None = None
    """For each joint of the layout where it is among `joint_names`, -1 if nowhere; None reads the body in its order."""
    body: int = 0
    """Joints of the body, where their order is known."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of the layout that OpenPose lacks."""
        pairs = zip(self.layout.joints, self.order or (), strict=self.order is not None)
        return tuple(name for name, at in pairs if at < 0)

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        frames, bodies, ids, listed, others = [], [], [], [], set[str]()
        for file, data in files:
            match = FRAMES.fullmatch(file.base)
            assert match is not None
            frame = int(match["frame"][:18])
            listed.append(frame)
            for person in people_of(load_json(data)):
                try:
                    bodies.append(self._body(person))
                except BadFile as error:
                    raise BadFile(f"{file.base}: {error}") from None
                frames.append(frame)
                ids.append(_id_of(person.get("person_id")))
                others |= {key for key, value in person.items() if value}
        found = np.array(bodies).reshape(len(bodies), len(self.layout.joints), 3)
        known = np.array(ids, dtype=np.int64) if ids and min(ids) >= 0 else None
        at = np.array(listed, dtype=np.int64)
        joints = Bodies(np.array(frames, dtype=np.int64), found[..., :2], found[..., 2], known)
        return Pose(joints, listed=at, not_read=tuple(self._not_read(others)))

    def _body(self, person: dict[str, Any]) -> np.ndarray:
        joints = _joints(person)
        if self.order is None:
            if len(joints) != len(self.layout.joints):
                raise BadFile(f"{len(joints)} joints, not {len(self.layout.joints)}")
            return joints
        if len(joints) != self.body:
            raise BadFile(f"{len(joints)} joints of the body, not {self.body}")
        parts = [_part(person, part, size) for part, size in _PARTS.items()]
        return np.concatenate([joints, *parts, np.zeros((1, 3))])[list(self.order)]

    def _not_read(self, others: set[str]) -> Iterator[str]:
        """What the files hold beside the joints that are read."""
        end = self.body
        for part, size in _PARTS.items():
            start, end = end, end + size
            read = self.order is not None and any(start <= at < end for at in self.order)
            if not read and {f"{part}_keypoints_2d", f"{part}_keypoints"} & others:
                yield f"{part.replace('_', ' ')} keypoints (--layout {_WHOLE_BODY} reads them)"
        if "pose_keypoints_3d" in others:
            yield "3-D keypoints"


def _id_of(value: Any) -> int:
    number = whole_number(value[0]) if isinstance(value, list) and len(value) == 1 else None
    return UNKNOWN if number is None else number
