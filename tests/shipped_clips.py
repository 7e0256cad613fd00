"""One synthetic motion in several joint layouts, for the tests of shipped encoders."""

from __future__ import annotations

import numpy as np

from i2md.data.conversion import map_positions
from i2md.skeletons import get_layout, map_joints
from i2md.synthetic.actors import draw_motion, subject_positions

LAYOUTS = ("kinect-v2", "kinect-v1", "openni-15", "coco-17")
_KINECT = get_layout("kinect-v2")


def made_clip(layout: str, label: int = 0, subject: int = 1) -> np.ndarray:
    """A person who moves, in metres: (frames, joints, 3)."""
    motion = draw_motion(5, subject, label, 60, np.random.default_rng(7))
    body = subject_positions(5, subject, motion)[None] + np.array([0.3, 1.0, 3.0])
    if layout == "coco-17":
        return _coco(body[0])
    target = get_layout(layout)
    if layout == "openni-15":
        # Its hands and feet are where Kinect has wrists and ankles.
        named = {"left hand": "left wrist", "right hand": "right wrist", "left foot": "left ankle"}
        named |= {"right foot": "right ankle", "torso": "spine middle"}
        return np.stack([body[0][:, _KINECT.joints.index(named.get(name, name))] for name in target.joints], axis=1)
    return map_positions(body, map_joints(_KINECT, target))[0]


def _coco(body: np.ndarray) -> np.ndarray:
    """COCO's joints, y down: the face's from the head and the direction of the shoulders."""
    at = {name: body[:, joint] for joint, name in enumerate(_KINECT.joints)}
    across = (at["right shoulder"] - at["left shoulder"]) / 4
    ahead = np.cross(across, at["head"] - at["neck"])
    ahead *= 0.1 / np.linalg.norm(ahead, axis=1, keepdims=True)
    at |= {"nose": at["head"] + ahead, "left ear": at["head"] - across, "right ear": at["head"] + across}
    at |= {f"{side} eye": (at["nose"] + at[f"{side} ear"]) / 2 for side in ("left", "right")}
    names = get_layout("coco-17").joints
    return np.stack([at[name] for name in names], axis=1) * np.array([1.0, -1.0, -1.0])
