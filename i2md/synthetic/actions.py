"""The 18 actions of synthetic recordings: key poses in joint angles, and the time at which each is reached.

All are defined for a right-handed performer; the channels are those of i2md.synthetic.kinematics.pose_body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Pose = dict[str, float]
REST: Pose = {}
_MIRRORED_ANGLES = ("turn", "side", "twist")


@dataclass(frozen=True)
class Action:
    """An action of a right-handed performer."""

    name: str
    seconds: float
    """Duration at average tempo."""
    keys: tuple[tuple[float, Pose], ...]
    """Key poses, each with the fraction of the duration at which it is reached."""
    sided: bool = False
    """Whether the name includes the side, so that handedness is ignored."""


def mirror(poses: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mirror a motion: left and right limbs are exchanged.

    Args:
        poses: Angles by channel.

    Returns:
        Angles of the mirrored motion.

    Example:
        >>> mirror({"left knee": np.array([30.0]), "twist": np.array([5.0])})
        {'right knee': array([30.]), 'twist': array([-5.])}
    """
    swap = {"left": "right", "right": "left"}
    mirrored = {}
    for channel, values in poses.items():
        side, _, part = channel.partition(" ")
        name = f"{swap[side]} {part}" if side in swap else channel
        # asarray, because the negative of a 0-dimensional array is a scalar.
        mirrored[name] = np.asarray(-values) if channel in _MIRRORED_ANGLES else values
    return mirrored


def interpolate(
    action: Action, at: Float[np.ndarray, " frames"], times: Float[np.ndarray, " keys"]
) -> dict[str, Float[np.ndarray, " frames"]]:
    """Interpolate between the key poses of an action, with ease-in and ease-out.

    Args:
        action: The action.
        at: Fractions of the duration at which the angles are wanted.
        times: Fractions at which the key poses are reached.

    Returns:
        Angles by channel.
    """
    poses = [pose for _, pose in action.keys]
    channels = sorted(set().union(*poses))
    progress = np.interp(at, times, np.arange(len(poses)))
    key = np.minimum(progress.astype(int), len(poses) - 2)
    part = progress - key
    eased = part * part * (3 - 2 * part)
    values = {channel: np.array([pose.get(channel, 0.0) for pose in poses]) for channel in channels}
    return {c: v[key] + eased * (v[key + 1] - v[key]) for c, v in values.items()}


def _arm(side: str, forward: float = 0, out: float = 0, inward: float = 0, elbow: float = 0) -> Pose:
    return {
        f"{side} arm forward": forward,
        f"{side} arm out": out,
        f"{side} arm inward": inward,
        f"{side} elbow": elbow,
    }


def _arms(**angles: float) -> Pose:
    return _arm("left", **angles) | _arm("right", **angles)


def _leg(side: str, hip: float, knee: float) -> Pose:
    return {f"{side} hip": hip, f"{side} knee": knee}


def _legs(hip: float, knee: float) -> Pose:
    return _leg("left", hip, knee) | _leg("right", hip, knee)


def _sequence(first: float, last: float, times: int, *poses: Pose) -> tuple[tuple[float, Pose], ...]:
    """The poses in sequence, repeated `times` times, evenly spaced from `first` to `last`."""
    sequence = poses * times
    return tuple(zip(np.linspace(first, last, len(sequence)).tolist(), sequence, strict=True))


def _from_rest_to_rest(*keys: tuple[float, Pose]) -> tuple[tuple[float, Pose], ...]:
    return ((0.0, REST), *keys, (1.0, REST))


def _wave(side: str) -> tuple[tuple[float, Pose], ...]:
    up = {"out": 75, "inward": -90}
    return _from_rest_to_rest(
        *_sequence(0.2, 0.8, 3, _arm(side, elbow=50, **up), _arm(side, elbow=110, **up)),
    )


_HANDS_APART = _arms(forward=45, inward=25, elbow=55)
_HANDS_TOGETHER = _arms(forward=45, inward=62, elbow=55)
_GUARD = _arms(forward=25, inward=20, elbow=120)
_JAB = _GUARD | _arm("right", forward=85, elbow=8) | {"twist": 25, "lean": 8}
_WOUND_UP = _arm("right", forward=10, out=85, inward=-80, elbow=95) | {"twist": -30, "lean": -5}
_RELEASED = _arm("right", forward=110, elbow=10) | {"twist": 25, "lean": 15}
_FOLLOWED = _arm("right", forward=35, inward=40, elbow=15) | {"twist": 35, "lean": 25}
_HOLDING = _arm("right", forward=15, inward=15, elbow=75)
_AT_MOUTH = _arm("right", forward=50, inward=45, elbow=135)
_SEATED = _legs(88, 92) | _arms(forward=25, elbow=45)
_SITTING = _legs(60, 75) | _arms(forward=45, elbow=20) | {"lean": 40, "bend": 10}
_CROUCHED = _legs(60, 85) | _arms(forward=-40, elbow=10) | {"lean": 35}
_IN_THE_AIR = _arms(forward=130, elbow=15) | {"lift": 0.28}
_LEFT_PASSES = _leg("right", 0, 3) | _leg("left", 12, 50)
_LEFT_AHEAD = _leg("right", -22, 5) | _leg("left", 24, 4) | _arm("right", forward=25) | _arm("left", forward=-20)
_RIGHT_PASSES = _leg("left", 0, 3) | _leg("right", 12, 50)
_RIGHT_AHEAD = _leg("left", -22, 5) | _leg("right", 24, 4) | _arm("left", forward=25) | _arm("right", forward=-20)
_SQUATTED = _legs(100, 115) | _arms(forward=80) | {"lean": 40}
_BOWED: Pose = {"lean": 45, "bend": 30, "nod": 20}
_REACHED_DOWN = _legs(70, 75) | _arm("right", forward=75, elbow=5) | {"lean": 65, "bend": 25}
_AT_EAR = _arm("right", forward=35, out=45, inward=-10, elbow=145)
_BESIDE = _arms(out=5, elbow=10)
_OUTSPREAD = {"left hip out": 22, "right hip out": 22} | _arms(out=150, elbow=10)

ACTIONS: tuple[Action, ...] = (
    Action("wave right", 2.2, _wave("right"), sided=True),
    Action("wave left", 2.2, _wave("left"), sided=True),
    Action("clap", 1.8, _from_rest_to_rest(*_sequence(0.2, 0.85, 4, _HANDS_APART, _HANDS_TOGETHER))),
    Action("drink", 2.6, _from_rest_to_rest((0.25, _HOLDING), (0.45, _AT_MOUTH), (0.7, _AT_MOUTH | {"nod": -20}))),
    Action(
        "answer the phone",
        2.4,
        _from_rest_to_rest((0.2, _HOLDING), (0.4, _AT_EAR), (0.85, _AT_EAR | {"side": 8})),
    ),
    Action(
        "punch",
        1.7,
        _from_rest_to_rest((0.25, _GUARD), (0.4, _JAB), (0.55, _GUARD), (0.68, _JAB), (0.8, _GUARD)),
    ),
    Action("throw", 1.8, _from_rest_to_rest((0.35, _WOUND_UP), (0.52, _RELEASED), (0.68, _FOLLOWED))),
    Action(
        "kick",
        1.6,
        _from_rest_to_rest(
            (0.3, _leg("right", -25, 55) | {"lean": 8}),
            (0.5, _leg("right", 80, 8) | _arm("left", forward=35) | {"lean": -12}),
            (0.7, _leg("right", 35, 60)),
        ),
    ),
    Action("sit down", 1.9, ((0.0, REST), (0.45, _SITTING), (0.75, _SEATED), (1.0, _SEATED))),
    Action("stand up", 1.9, ((0.0, _SEATED), (0.25, _SEATED | {"lean": 35}), (0.55, _SITTING), (1.0, REST))),
    Action("squat", 2.1, _from_rest_to_rest((0.4, _SQUATTED), (0.55, _SQUATTED))),
    Action(
        "walk",
        2.4,
        _from_rest_to_rest(*_sequence(0.1, 0.92, 2, _LEFT_PASSES, _LEFT_AHEAD, _RIGHT_PASSES, _RIGHT_AHEAD)),
    ),
    Action("raise both arms", 2.2, _from_rest_to_rest((0.35, _arms(forward=165)), (0.6, _arms(forward=165)))),
    Action("jump", 1.8, _from_rest_to_rest((0.35, _CROUCHED), (0.55, _IN_THE_AIR), (0.75, _CROUCHED))),
    Action("bow", 2.2, _from_rest_to_rest((0.4, _BOWED), (0.6, _BOWED))),
    Action(
        "turn around",
        2.0,
        (
            (0.0, REST),
            (0.2, _leg("right", 25, 45) | {"turn": 40}),
            (0.4, {"turn": 75}),
            (0.6, _leg("left", 25, 45) | {"turn": 120}),
            (0.85, {"turn": 180}),
            (1.0, {"turn": 180}),
        ),
    ),
    Action("pick up", 2.0, _from_rest_to_rest((0.4, _REACHED_DOWN), (0.5, _REACHED_DOWN), (0.8, _HOLDING))),
    Action("jumping jack", 2.0, _from_rest_to_rest(*_sequence(0.12, 0.88, 3, _BESIDE, _OUTSPREAD | {"lift": 0.04}))),
)
