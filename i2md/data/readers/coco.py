"""Keypoints in the JSON of COCO and of tools that write alike: AlphaPose, MMPose, ViTPose, YOLO-pose (Ultralytics).

- A list of detections (COCO results, AlphaPose, ViTPose): `image_id`, `keypoints` (x, y, confidence of each joint in a
  flat list), optionally `score` and `idx` or `track_id`. Frames are the numbers in `image_id` (`12`, `"12.jpg"`,
  `"walk/000012.jpg"`; with a folder, each folder is a recording).
- COCO annotations: an object with `images` and `annotations`. A file name in `images` may give folder and frame.
- MMPose: an object with `instance_info`, a list of frames with `instances`, each with `keypoints` and
  `keypoint_scores`; or such a list alone.
- Ultralytics: a list with an element for each frame, a list of objects with `keypoints` {x, y, visible}.

Pixels, y down. In COCO's annotations the third number is visibility: 0 is a joint without a position. The layout is
coco-17, halpe-26 or coco-wholebody by the number of joints. A person whose detections carry an identity keeps it;
others are told apart by i2md.data.persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_each
from i2md.data.readers.json_poses import load_json, number_array, whole_number
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import FILE, Pose, PoseOptions, full_name, one_file_each, pose_source
from i2md.data.recording import UNKNOWN, Source
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

FILES = re.compile(r"[^.].*\.jsonl?", re.IGNORECASE)
_LAYOUTS = {
    17: "coco-17",
    26: "halpe-26",
    133: "coco-wholebody",
    18: "openpose-18",
    25: "body-25",
    21: "mediapipe-hand-21",
}
_NUMBER = re.compile(r"(\d{1,15})\D*$")
_TRIED = 10


class _Detection(NamedTuple):
    """A body in a frame of a recording."""

    recording: str
    frame: int
    joints: np.ndarray
    """x, y and confidence of each joint."""
    identity: int


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
    """Open keypoints in JSON.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: Layout of the joints; by default by their number.
        fps: Frame rate; the files do not hold it.
        persons: Persons kept at most.
        score: A joint whose confidence is this or less is missing.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.
        joints: Names of the layout's joints in the file's order.

    Returns:
        The recordings, in pixels.

    Raises:
        InputError: If there is no such file, or the joints are those of no known layout.
    """
    files = find_files(path, FILES, ".json files of keypoints", unique_parts=FILE)
    known, several = _look_into(path, files, get_layout(layout) if layout else None)
    known = known.with_channels(2)
    groups = one_file_each(files, several)
    clips = list(_clips(groups)) if several else None
    source = pose_source(path, groups, known, _Parser(known), PoseOptions(persons, score, fps), units="px", clips=clips)
    return convert(source, None, axes, joints)


def _look_into(path: Path, files: Sequence[File], given: Layout | None) -> tuple[Layout, bool]:
    """The layout by the number of joints, and whether files hold several recordings, both by the first with a body."""
    reason = "nobody is seen in the first files"
    for file, load in load_each(files[:_TRIED]):
        try:
            found = list(detections_in(load_json(load())))
        except BadFile as error:
            reason = f"{file.name}: {error}"
            continue
        if found:
            joints = len(found[0].joints)
            if given is None and joints not in _LAYOUTS:
                raise InputError(
                    f"{path}: {joints} joints are of no layout that comes with i2md; give their layout, for example "
                    "--layout my.yaml (see i2md layouts)"
                )
            return given or get_layout(_LAYOUTS[joints]), any(each.recording for each in found)
    raise InputError(f"{path}: {reason}")


def _clips(groups: Sequence[tuple[str, tuple[File, ...]]]) -> Iterator[str]:
    for (name, _), (_, load) in zip(groups, load_each([file for _, (file,) in groups]), strict=True):
        try:
            recordings = dict.fromkeys(each.recording for each in detections_in(load_json(load())))
        except BadFile:
            # Named and counted when the recordings are read.
            continue
        yield from (full_name(name, recording) for recording in recordings)


@dataclass(frozen=True)
class _Parser:
    layout: Layout

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Sequence[Pose]:
        ((_, data),) = files
        recordings: dict[str, list[_Detection]] = {}
        for each in detections_in(load_json(data)):
            if len(each.joints) != len(self.layout.joints):
                raise BadFile(
                    f"{len(each.joints)} joints, not {len(self.layout.joints)} as in layout {self.layout.name}"
                )
            recordings.setdefault(each.recording, []).append(each)
        return [_pose(name, found) for name, found in recordings.items()]


def _pose(name: str, found: Sequence[_Detection]) -> Pose:
    joints = np.stack([each.joints for each in found])
    ids = np.array([each.identity for each in found], dtype=np.int64)
    frames = np.array([each.frame for each in found], dtype=np.int64)
    return Pose(Bodies(frames, joints[..., :2], joints[..., 2], ids if (ids >= 0).all() else None), name)


def detections_in(content: Any) -> Iterator[_Detection]:
    """The bodies in a file, of whichever of the forms.

    Args:
        content: The parsed JSON.

    Yields:
        The bodies, in the order of the file.

    Raises:
        BadFile: If it has none of the forms.
    """
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _annotations(content)
    if isinstance(content, dict) and isinstance(content.get("instance_info"), list):
        content = content["instance_info"]
    if not isinstance(content, list) or not content:
        raise BadFile("not a list of detections with keypoints, nor COCO annotations")
    if all(isinstance(each, dict) and isinstance(each.get("instances"), list) for each in content):
        return _frames_of_instances(content)
    if all(isinstance(each, list) for each in content):
        return _lists(content)
    return _results(content)


def _results(content: list[Any]) -> Iterator[_Detection]:
    for at, each in enumerate(content):
        if not isinstance(each, dict) or "keypoints" not in each:
            raise BadFile(f"element {at} is no detection with keypoints")
        recording, frame = _image(each.get("image_id", each.get("image_name", 0)))
        yield _Detection(recording, frame, _joints(each), _identity(each))


def _lists(content: list[Any]) -> Iterator[_Detection]:
    """A list of detections for each frame."""
    for frame, found in enumerate(content):
        for each in found:
            if not isinstance(each, dict) or "keypoints" not in each:
                raise BadFile(f"an element of frame {frame} is no detection with keypoints")
            yield _Detection("", frame, _joints(each), _identity(each))


def _frames_of_instances(content: list[dict[str, Any]]) -> Iterator[_Detection]:
    for at, entry in enumerate(content):
        frame = whole_number(entry.get("frame_id", at))
        if frame is None:
            raise BadFile(f"frame_id of frame {at} is not a whole number")
        for each in entry["instances"]:
            if not isinstance(each, dict) or "keypoints" not in each:
                raise BadFile(f"an instance of frame {at} has no keypoints")
            yield _Detection("", frame, _joints(each), _identity(each))


def _annotations(content: dict[str, Any]) -> Iterator[_Detection]:
    images = content.get("images")
    named: dict[Any, tuple[str, int]] = {}
    for at, image in enumerate(images if isinstance(images, list) else ()):
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise BadFile(f"image {at} has no id")
        frame = whole_number(image.get("frame_id"))
        recording, number = _image(image.get("file_name", image["id"]))
        named[image["id"]] = (recording, number if frame is None else frame)
    for at, each in enumerate(content["annotations"]):
        if not isinstance(each, dict):
            raise BadFile(f"annotation {at} is not an object")
        if not each.get("keypoints"):
            # Annotations of objects, and of persons too small for keypoints.
            continue
        image = each.get("image_id")
        if not isinstance(image, int | str):
            raise BadFile(f"annotation {at} has no image_id")
        recording, frame = named[image] if image in named else _image(image)
        yield _Detection(recording, frame, _joints(each), _identity(each))


def _image(value: Any) -> tuple[str, int]:
    """The recording and the frame that an image's id or name stands for."""
    number = whole_number(value)
    if number is not None:
        return "", number
    if not isinstance(value, str) or len(value) > 1000:
        raise BadFile("an image_id is neither a number nor the name of an image")
    # Without pathlib, which would take most of the time.
    folder, _, base = value.replace("\\", "/").rpartition("/")
    match = _NUMBER.search(base.rpartition(".")[0] or base)
    if match is None:
        raise BadFile(f"image {shown(value)} has no number of a frame in its name")
    return folder, int(match[1])


def _identity(entry: dict[str, Any]) -> int:
    for key in ("track_id", "idx", "instance_id"):
        value = entry.get(key)
        # AlphaPose nests numbers that it is not sure of.
        number = whole_number(value[0] if isinstance(value, list) and value else value)
        if number is not None:
            return number
    return UNKNOWN


def _joints(entry: dict[str, Any]) -> np.ndarray:
    values, scores = entry["keypoints"], entry.get("keypoint_scores", entry.get("keypoints_scores"))
    if isinstance(values, dict):
        columns = [values.get(axis) for axis in ("x", "y")]
        scores = values.get("visible", values.get("conf"))
        if not all(isinstance(column, list) for column in columns) or len(set(map(len, columns))) > 1:  # type: ignore[arg-type]
            raise BadFile("keypoints are not lists of x and y of the same length")
        values = list(zip(*columns, strict=True))
    found = number_array(values, "keypoints", (3,) if scores is None else (2, 3))
    if scores is None and found.shape[1] == 3:
        return found
    if scores is None:
        return np.column_stack([found[:, :2], np.ones(len(found))])
    if found.shape[1] == 3:
        raise BadFile("keypoints of three coordinates and a confidence are 3-D; give them as a table or arrays")
    confidence = number_array(scores, "keypoint_scores", (1,))
    if len(confidence) != len(found):
        raise BadFile(f"{len(confidence)} keypoint_scores for {len(found)} keypoints")
    return np.column_stack([found[:, :2], confidence])
