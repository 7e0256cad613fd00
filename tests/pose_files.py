"""Recordings written in the forms that pose estimators and motion capture publish, for the tests of their readers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from i2md.skeletons import Layout, get_layout

# MediaPipe's own names of its landmarks.
_NAMES = """NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR RIGHT_EAR
    MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_PINKY
    RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE
    RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL LEFT_FOOT_INDEX RIGHT_FOOT_INDEX"""
LANDMARKS = tuple(_NAMES.split())
ASF = """# a walker of a root and six bones
:version 1.10
:name walker
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name lowerback
    direction 0 1 0
    length 2.0
    axis 10 20 30 XYZ
    dof rx ry rz
    limits (-20.0 45.0)
           (-30.0 30.0)
           (-30.0 30.0)
  end
  begin
    id 2
    name lhumerus
    direction 1 0 0
    length 5.0
    axis 180 30 90 XYZ
    dof rx ry rz
  end
  begin
    id 3
    name lradius
    direction 1 0 0
    length 3.0
    axis 180 30 90 XYZ
    dof rx
  end
  begin
    id 4
    name rhumerus
    direction -1 0 0
    length 5.0
    axis 180 -30 -90 XYZ
    dof rx ry rz
  end
  begin
    id 7
    name rradius
    direction -1 0 0
    length 3.0
    axis 180 -30 -90 XYZ
    dof rx
  end
  begin
    id 5
    name lfemur
    direction 0.34202 -0.93969 0
    length 7.0
    axis 0 0 20 XYZ
    dof rx ry rz
  end
  begin
    id 6
    name rfemur
    direction -0.34202 -0.93969 0
    length 7.0
    axis 0 0 -20 XYZ
    dof rx ry rz
  end
:hierarchy
  begin
    root lowerback lfemur rfemur
    lowerback lhumerus rhumerus
    lhumerus lradius
    rhumerus rradius
  end
"""
AMC = """#!OML:ASF walker
:FULLY-SPECIFIED
:DEGREES
1
root 1 17 -3 5 -10 2
lowerback 4 -3 2
lhumerus 30 20 -10
lradius 45
rhumerus 10 5 -60
rradius 20
lfemur -20 5 10
rfemur 15 0 -5
2
root 1.5 17.2 -3.1 6 -20 1
lowerback 5 -2 1
lhumerus 35 25 -12
lradius 60
rhumerus 12 3 -55
rradius 25
lfemur -10 4 8
rfemur 5 1 -6
"""


def wide_csv(path: Path, names: Sequence[str], positions: np.ndarray, scores: np.ndarray | None = None) -> None:
    """A row for each frame: NAME_x, NAME_y, NAME_z (of three coordinates) and NAME_visibility.

    Args:
        path: The file.
        names: Names of the joints.
        positions: (frames, joints, 2 or 3); NaN is an empty cell.
        scores: (frames, joints), if known.
    """
    columns: dict[str, np.ndarray] = {"frame": np.arange(len(positions))}
    for j, name in enumerate(names):
        columns |= {f"{name}_{axis}": positions[:, j, at] for at, axis in enumerate("xyz"[: positions.shape[2]])}
        if scores is not None:
            columns[f"{name}_visibility"] = scores[:, j]
    _write_csv(path, columns)


def long_csv(path: Path, names: Sequence[str], recordings: dict[str, np.ndarray]) -> None:
    """One table of all recordings, a row for each joint: recording, frame, person, joint, x, y, z.

    Args:
        path: The file.
        names: Names of the joints.
        recordings: (persons, frames, joints, channels) by name.
    """
    columns: dict[str, list] = {name: [] for name in ("recording", "frame", "person", "joint", "x", "y", "z")}
    for recording, positions in recordings.items():
        for person, frame, joint in np.ndindex(positions.shape[:3]):
            cells = (recording, frame, f"p{person}", names[joint], *positions[person, frame, joint].tolist())
            for column, cell in zip(columns, cells, strict=False):
                columns[column].append(cell)
    _write_csv(path, {name: values for name, values in columns.items() if values})


def _write_csv(path: Path, columns: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: pa.array(values, from_pandas=True) if isinstance(values, np.ndarray) else pa.array(values)
        for name, values in columns.items()
    }
    pacsv.write_csv(pa.table(arrays), path, pacsv.WriteOptions(quoting_style="none"))


def openpose_folder(
    folder: Path,
    name: str,
    people: Sequence[Sequence[np.ndarray]],
    ids: Sequence[Sequence[int]] | None = None,
    parts: dict[str, np.ndarray] | None = None,
) -> None:
    """A file for each frame, as OpenPose's --write_json.

    Args:
        folder: The folder.
        name: Name of the video.
        people: For each frame its persons, each (joints, 3): x, y, confidence.
        ids: Their identities, if tracked.
        parts: face, hand_left and hand_right of the first person, (frames, joints, 3), as with --hand and --face.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for frame, bodies in enumerate(people):
        listed = [
            {
                "person_id": [-1 if ids is None else ids[frame][at]],
                "pose_keypoints_2d": np.round(body, 4).ravel().tolist(),
                **{f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")},
                **{f"{part}_keypoints_3d": [] for part in ("pose", "face", "hand_left", "hand_right")},
            }
            for at, body in enumerate(bodies)
        ]
        for part, joints in (parts or {}).items():
            listed[0][f"{part}_keypoints_2d"] = joints[frame].ravel().tolist()
        text = json.dumps({"version": 1.3, "people": listed})
        (folder / f"{name}_{frame:012d}_keypoints.json").write_text(text)


def alphapose(people: Sequence[Sequence[np.ndarray]], ids: Sequence[Sequence[int]] | None = None) -> list[dict]:
    """AlphaPose's results of a video in its COCO format.

    Args:
        people: As of `openpose_folder`.
        ids: As of `openpose_folder`.
    """
    return [
        {
            "image_id": f"{frame}.jpg",
            "category_id": 1,
            "keypoints": np.round(body, 4).ravel().tolist(),
            "score": 2.5,
            "box": [0.0, 0.0, 1.0, 1.0],
            "idx": [0.0] if ids is None else ids[frame][at],
        }
        for frame, bodies in enumerate(people)
        for at, body in enumerate(bodies)
    ]


def mmpose(people: Sequence[Sequence[np.ndarray]]) -> dict:
    """The predictions of MMPose's inferencer for a video."""
    return {
        "meta_info": {"dataset_name": "coco", "num_keypoints": 17},
        "instance_info": [
            {
                "frame_id": frame,
                "instances": [
                    {
                        "keypoints": body[:, :2].tolist(),
                        "keypoint_scores": body[:, 2].tolist(),
                        "bbox": [[0.0, 0.0, 9.0, 9.0]],
                        "bbox_score": 0.9,
                    }
                    for body in bodies
                ],
            }
            for frame, bodies in enumerate(people)
        ],
    }


def bvh_of_positions(positions: np.ndarray, layout: Layout, fps: float = 30.0) -> str:
    """A hierarchy whose joints all have channels for positions, as Bandai-Namco's files have.

    Args:
        positions: (frames, joints, 3).
        layout: Their joints.
        fps: Frame rate.
    """
    children = {j: [c for p, c in layout.bones if p == j] for j in range(len(layout.joints))}
    lines: list[str] = ["HIERARCHY"]
    order: list[int] = []

    def write(joint: int, depth: int) -> None:
        pad = "  " * depth
        order.append(joint)
        kind = "JOINT" if depth else "ROOT"
        lines.extend([f"{pad}{kind} {layout.joints[joint].replace(' ', '_')}", pad + "{", f"{pad}  OFFSET 0 0 0"])
        lines.append(f"{pad}  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation")
        for child in children[joint]:
            write(child, depth + 1)
        if not children[joint]:
            lines.extend([f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET 0 1 0", pad + "  }"])
        lines.append(pad + "}")

    write(layout.root, 0)
    relative = positions - np.where(
        np.arange(len(layout.joints))[None, :, None] == layout.root, 0.0, positions[:, list(layout.parents)]
    )
    values = np.concatenate([relative, np.zeros_like(relative)], axis=2)[:, order].reshape(len(positions), -1)
    lines += ["MOTION", f"Frames: {len(positions)}", f"Frame Time: {1 / fps:.7f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values]
    return "\n".join(lines) + "\n"


def as_mediapipe(kinect: np.ndarray) -> np.ndarray:
    """Joints of Kinect v1 at the places of MediaPipe's that they correspond to; NaN at the others.

    Args:
        kinect: (..., 20, 3).
    """
    ours, theirs = get_layout("kinect-v1").joints, get_layout("mediapipe-33").joints
    same = {"toes": "foot", "index finger": "hand"}
    placed = np.full((*kinect.shape[:-2], 33, kinect.shape[-1]), np.nan)
    for j, name in enumerate(theirs):
        side, _, part = name.partition(" ")
        kinect_name = f"{side} {same.get(part, part)}"
        if kinect_name in ours:
            placed[..., j, :] = kinect[..., ours.index(kinect_name), :]
    placed[..., theirs.index("nose"), :] = kinect[..., ours.index("head"), :]
    return placed
