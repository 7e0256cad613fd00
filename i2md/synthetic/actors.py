"""Who is seen in the files to be written: people at an action before a Kinect v2, and what a sensor takes for people.

The motion is that of the format `synthetic` (forward kinematics of i2md.synthetic.kinematics); here its
20 joints become the 25 of layout kinect-v2, two people meet, and the tracker's trouble is added.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from i2md.skeletons import get_layout
from i2md.synthetic.actions import ACTIONS, Action, Pose, mirror
from i2md.synthetic.kinematics import Motion, pose_body
from i2md.synthetic.performers import FPS, draw_performer, perform

# Metres: what a Kinect v2 reading trembles by, and by how much an inferred joint is off.
TREMBLE, MISTAKE = 0.006, 0.06
# The share of joints that the tracker infers, and for how many frames at a time.
INFERRED = (0.08, 0.33)
INFERRED_FOR = 12
# Seconds before and after an action that a clip holds, on average.
_IDLE = 0.8

_V1, _V2 = get_layout("kinect-v1"), get_layout("kinect-v2")
_MIDLINE = {
    "spine base": {"hip centre": 1.0},
    "spine middle": {"spine": 0.6, "shoulder centre": 0.4},
    "upper neck": {"shoulder centre": 0.65, "head": 0.35},
    "neck": {"shoulder centre": 1.0},
}


def _sources(joint: str) -> dict[str, float]:
    """The kinect-v1 joints whose weighted sum is a joint of kinect-v2."""
    side, _, part = joint.partition(" ")
    if part == "hand tip":
        return {f"{side} hand": 1.9, f"{side} wrist": -0.9}
    if part == "thumb":
        return {f"{side} hand": 1.3, f"{side} wrist": -0.3, "shoulder centre": 0.15, f"{side} shoulder": -0.15}
    return _MIDLINE.get(joint, {joint: 1.0})


_WEIGHTS = np.array([[_sources(joint).get(source, 0.0) for source in _V1.joints] for joint in _V2.joints])


def class_action(label: int) -> Action:
    """What is done in class `label`: one of the generated actions, beyond those the other way round and slower.

    >>> class_action(0).name, class_action(18).name
    ('wave right', 'wave right, other side, 1.2 times as long')
    """
    rounds, index = divmod(label, len(ACTIONS))
    action = ACTIONS[index]
    if rounds == 0:
        return action
    slower = 1 + 0.2 * rounds
    name = f"{action.name}, {'other side, ' if rounds % 2 else ''}{slower:.1f} times as long"
    keys = tuple((at, _other_side(pose)) for at, pose in action.keys) if rounds % 2 else action.keys
    return replace(action, name=name, seconds=action.seconds * slower, keys=keys, sided=rounds % 2 == 1)


def _other_side(pose: Pose) -> Pose:
    return {
        part: float(angle) for part, angle in mirror({part: np.array(angle) for part, angle in pose.items()}).items()
    }


def act(seed: int, subject: int, label: int, frames: int, chance: np.random.Generator) -> Motion:
    """The angles of `subject` doing `label` for `frames` frames; nobody does it twice alike."""
    action = class_action(label)
    action = replace(action, seconds=max(0.5, (frames / FPS - _IDLE) * action.seconds / (action.seconds + 0.3)))
    who, habit = draw_performer(np.random.default_rng((seed, subject))), np.random.default_rng((seed, subject, label))
    return perform(action, who, habit, chance, shortest=frames, longest=frames)


def body_of(seed: int, subject: int, motion: Motion) -> Float[np.ndarray, "frames 25 3"]:
    """Where the subject's joints are, metres, y up, standing at the origin and facing -z."""
    body = draw_performer(np.random.default_rng((seed, subject))).body
    return _WEIGHTS @ pose_body(body, motion)


def meet(
    first: Float[np.ndarray, "frames 25 3"], second: Float[np.ndarray, "frames 25 3"], apart: float
) -> Float[np.ndarray, "2 frames 25 3"]:
    """Two people `apart` metres from one another, face to face across the camera's view."""
    across = np.array([apart / 2, 0.0, 0.0])
    return np.stack([turned(first, -90.0) - across, turned(second, 90.0) + across])


def film(
    persons: Float[np.ndarray, "persons frames 25 3"], heading: float, chance: np.random.Generator
) -> tuple[Float[np.ndarray, "persons frames 25 3"], Bool[np.ndarray, "persons frames 25"]]:
    """The people in camera space, metres, some steps away and turned by `heading` degrees; and what is inferred."""
    place = np.array([chance.uniform(-0.6, 0.6), chance.uniform(-1.2, -0.8), chance.uniform(2.6, 3.8)])
    seen = turned(persons, heading) + place
    held = _held(chance, seen.shape[:3], INFERRED_FOR)
    inferred = held < np.quantile(held, chance.uniform(*INFERRED))
    off = chance.normal(0, MISTAKE, (*seen.shape[:2], 1, 3)) * inferred[..., None]
    return seen + off + chance.normal(0, TREMBLE, seen.shape), inferred


def turned(points: Float[np.ndarray, "*shape 3"], degrees: float) -> Float[np.ndarray, "*shape 3"]:
    """Turned about the vertical, to the left for a positive angle."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T


def _held(
    chance: np.random.Generator, shape: tuple[int, ...], frames: int
) -> Float[np.ndarray, "persons frames joints"]:
    """Numbers from 0 to 1 that stay for `frames` frames each."""
    persons, length, joints = shape
    drawn = chance.random((persons, length // frames + 2, joints))
    start = int(chance.integers(frames))
    return np.repeat(drawn, frames, axis=1)[:, start : start + length]
