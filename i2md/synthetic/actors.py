"""Synthetic bodies as a Kinect v2 tracks them: subjects performing actions, and bodies that are false detections.

The motion is that of the format `synthetic` (i2md.synthetic.reader); here its 20 joints become the 25 of layout
kinect-v2, persons are put in front of the camera, and the sensor's errors are added.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from i2md.skeletons import get_layout
from i2md.synthetic.actions import ACTIONS, Action, Pose, mirror
from i2md.synthetic.kinematics import Motion, pose_body
from i2md.synthetic.performers import FPS, draw_performer, perform

# Standard deviations in metres: of every reading, and of an inferred joint.
NOISE, INFERRED_ERROR = 0.006, 0.06
# Range of the fraction of joints that the tracker infers, and for how many frames at a time.
INFERRED_FRACTION = (0.08, 0.33)
INFERRED_FRAMES = 12
# Mean seconds of a clip before and after the action.
_IDLE_SECONDS = 0.8

EXTRA_BODIES = ("passing", "static", "shapeless")
# A person who passes by is tracked for this many frames (both included).
PASSING_FRAMES = (3, 11)
# Size of a static body, such as a coat on a chair, relative to a person.
STATIC_SIZE = 0.5
# Subject numbers from here on are used for extra bodies only.
_FIRST_STRANGER = 10_000

_V1, _V2 = get_layout("kinect-v1"), get_layout("kinect-v2")
_MIDLINE = {
    "spine base": {"hip centre": 1.0},
    "spine middle": {"spine": 0.6, "shoulder centre": 0.4},
    "upper neck": {"shoulder centre": 0.65, "head": 0.35},
    "neck": {"shoulder centre": 1.0},
}


def _sources(joint: str) -> dict[str, float]:
    """The kinect-v1 joints of which a joint of kinect-v2 is the weighted sum, with their weights."""
    side, _, part = joint.partition(" ")
    if part == "hand tip":
        return {f"{side} hand": 1.9, f"{side} wrist": -0.9}
    if part == "thumb":
        return {f"{side} hand": 1.3, f"{side} wrist": -0.3, "shoulder centre": 0.15, f"{side} shoulder": -0.15}
    return _MIDLINE.get(joint, {joint: 1.0})


_WEIGHTS = np.array([[_sources(joint).get(source, 0.0) for source in _V1.joints] for joint in _V2.joints])


def class_action(label: int) -> Action:
    """Choose the action of a class of a data set that has more classes than there are actions.

    Args:
        label: Label of the class, from 0.

    Returns:
        Actions in turn; from the second round on slower, and in every other round mirrored.

    Example:
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
    mirrored = mirror({channel: np.array([angle]) for channel, angle in pose.items()})
    return {channel: float(angles[0]) for channel, angles in mirrored.items()}


def draw_motion(seed: int, subject: int, label: int, frames: int, rng: np.random.Generator) -> Motion:
    """Draw the motion of a subject performing an action.

    Args:
        seed: Seed of the data set.
        subject: Number of the subject, which with the seed determines build and habits.
        label: Label of the class.
        frames: Number of frames.
        rng: Draws what differs between repetitions.

    Returns:
        Joint angles over time.
    """
    action = class_action(label)
    action = replace(action, seconds=max(0.5, (frames / FPS - _IDLE_SECONDS) * action.seconds / (action.seconds + 0.3)))
    performer = draw_performer(np.random.default_rng((seed, subject)))
    habit_rng = np.random.default_rng((seed, subject, label))
    return perform(action, performer, habit_rng, rng, shortest=frames, longest=frames)


def subject_positions(seed: int, subject: int, motion: Motion) -> Float[np.ndarray, "frames 25 3"]:
    """Compute the joint positions of a subject.

    Args:
        seed: Seed of the data set.
        subject: Number of the subject.
        motion: Joint angles over time.

    Returns:
        Positions in metres, y up, starting at the origin and facing -z.
    """
    body = draw_performer(np.random.default_rng((seed, subject))).body
    return _WEIGHTS @ pose_body(body, motion)


def face_each_other(
    first: Float[np.ndarray, "frames 25 3"], second: Float[np.ndarray, "frames 25 3"], apart: float
) -> Float[np.ndarray, "2 frames 25 3"]:
    """Place two persons so that they face each other across the camera's view.

    Args:
        first: Positions in metres around the origin, facing -z.
        second: The same of the second person.
        apart: Distance between them in metres.

    Returns:
        Positions of both.
    """
    across = np.array([apart / 2, 0.0, 0.0])
    return np.stack([rotate(first, -90.0) - across, rotate(second, 90.0) + across])


def simulate_kinect(
    persons: Float[np.ndarray, "persons frames 25 3"], heading: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "persons frames 25 3"], Bool[np.ndarray, "persons frames 25"]]:
    """Transform positions to camera space and add the errors of a Kinect v2.

    Args:
        persons: Positions in metres, y up, around the origin.
        heading: Degrees by which all persons are rotated to the left.
        rng: Draws the offset, which is 2.6 to 3.8 m from the camera, and the errors.

    Returns:
        Positions in metres, camera space, and which joints are inferred.
    """
    offset = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-1.2, -0.8), rng.uniform(2.6, 3.8)])
    seen = rotate(persons, heading) + offset
    held = _held(rng, seen.shape[:3], INFERRED_FRAMES)
    inferred = held < np.quantile(held, rng.uniform(*INFERRED_FRACTION))
    off = rng.normal(0, INFERRED_ERROR, (*seen.shape[:2], 1, 3)) * inferred[..., None]
    return seen + off + rng.normal(0, NOISE, seen.shape), inferred


def rotate(points: Float[np.ndarray, "*shape 3"], degrees: float) -> Float[np.ndarray, "*shape 3"]:
    """Rotate points about the y axis.

    Args:
        points: Points in metres, y up.
        degrees: Angle, positive to the left as seen by a person who is rotated.

    Returns:
        The rotated points.
    """
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return points @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T


class ExtraBody(NamedTuple):
    """A body that the sensor tracks from frame `start` on although it does not take part in the action."""

    kind: str
    start: int
    positions: Float[np.ndarray, "frames 25 3"]


def draw_extra_body(kind: str, frames: int, seed: int, rng: np.random.Generator) -> ExtraBody:
    """Draw a further body beside the persons: one who passes by, a static one, or one without human shape.

    Args:
        kind: One of EXTRA_BODIES.
        frames: Number of frames of the clip.
        seed: Seed of the data set.
        rng: Draws the rest.

    Returns:
        The body, in metres, camera space.
    """
    stranger = _FIRST_STRANGER + int(rng.integers(100))
    length = min(frames, int(rng.integers(PASSING_FRAMES[0], PASSING_FRAMES[1] + 1))) if kind == "passing" else frames
    start = int(rng.integers(frames - length + 1))
    body = subject_positions(seed, stranger, draw_motion(seed, stranger, int(rng.integers(18)), length, rng))
    if kind == "static":
        body = np.repeat(body[:1], length, axis=0) * STATIC_SIZE
    if kind == "shapeless":
        # Lying across the view: as wide as a person is tall.
        body = body[..., [1, 0, 2]] + rng.normal(0, 0.05, body.shape)
    beside = np.array([rng.choice([-1, 1]) * rng.uniform(1.0, 1.8), 0.0, rng.uniform(0.0, 0.6)])
    seen, _ = simulate_kinect(body[None], 0.0 if kind == "shapeless" else rng.uniform(-60, 60), rng)
    return ExtraBody(kind, start, seen[0] + beside)


def _held(rng: np.random.Generator, shape: tuple[int, ...], frames: int) -> Float[np.ndarray, "persons frames joints"]:
    """Random numbers from 0 to 1 that stay constant for `frames` frames each."""
    persons, length, joints = shape
    drawn = rng.random((persons, length // frames + 2, joints))
    start = int(rng.integers(frames))
    return np.repeat(drawn, frames, axis=1)[:, start : start + length]
