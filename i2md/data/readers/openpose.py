"""OpenPose (Cao et al., TPAMI 2021): one JSON file for each frame, `NAME_000000000012_keypoints.json`.

A file holds `people`, each with `pose_keypoints_2d`: x, y and confidence of 25 (BODY_25), 18 (COCO) or 15 (MPI) joints
in pixels, y down; a joint that was not found is three zeros. A recording is the files of one folder with the same NAME.
`person_id`, [-1] unless tracking was on, identifies persons; otherwise they are told apart by i2md.data.persons. Hands
and faces are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.json_poses import load_json, number_array, whole_number
from i2md.data.readers.poses import FILE, Pose, PoseOptions, pose_source
from i2md.data.recording import UNKNOWN, Source
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

FRAMES = re.compile(r"(?P<name>.*?)_?(?P<frame>\d+)_keypoints\.json", re.IGNORECASE)
_LAYOUTS = {25: "body-25", 18: "openpose-18"}
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
        layout: Layout of the joints; by default body-25 or openpose-18 by their number.
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
    known = get_layout(layout) if layout else _layout_of(path, files)
    known = known.with_channels(2)
    source = pose_source(
        path, _recordings(path, files), known, _Parser(known), PoseOptions(persons, score, fps), units="px"
    )
    return convert(source, None, axes, joints)


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


def _layout_of(path: Path, files: Sequence[File]) -> Layout:
    """The layout by the number of joints of the first person found."""
    reason = "nobody is seen in the first files"
    for file in files[:_TRIED]:
        try:
            for person in people_of(load_json(load_file(file))):
                joints = len(_joints(person))
                if joints not in _LAYOUTS:
                    raise InputError(f"{path}: {joints} joints are of no layout of OpenPose; give --layout")
                return get_layout(_LAYOUTS[joints])
        except BadFile as error:
            reason = f"{file.name}: {error}"
    raise InputError(f"{path}: {reason}; give --layout, for example body-25")


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


@dataclass(frozen=True)
class _Parser:
    layout: Layout

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        frames, bodies, ids, listed = [], [], [], []
        for file, data in files:
            match = FRAMES.fullmatch(file.base)
            assert match is not None
            frame = int(match["frame"][:18])
            listed.append(frame)
            for person in people_of(load_json(data)):
                joints = _joints(person)
                if len(joints) != len(self.layout.joints):
                    raise BadFile(f"{file.base}: {len(joints)} joints, not {len(self.layout.joints)}")
                frames.append(frame)
                bodies.append(joints)
                ids.append(_id_of(person.get("person_id")))
        found = np.array(bodies).reshape(len(bodies), len(self.layout.joints), 3)
        known = np.array(ids, dtype=np.int64) if ids and min(ids) >= 0 else None
        at = np.array(listed, dtype=np.int64)
        return Pose(Bodies(np.array(frames, dtype=np.int64), found[..., :2], found[..., 2], known), listed=at)


def _id_of(value: Any) -> int:
    number = whole_number(value[0]) if isinstance(value, list) and len(value) == 1 else None
    return UNKNOWN if number is None else number
