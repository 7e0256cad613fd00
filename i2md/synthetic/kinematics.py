"""Forward kinematics: from limb lengths and joint angles over time to joint positions of layout kinect-v1.

The body stands with +y up, its right towards +x, and faces -z, the way a person faces a Kinect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Degrees (metres for lift) by channel, one number for each frame. Missing channels are zero.
Motion = Mapping[str, np.ndarray]

SIDES = {"left": -1.0, "right": 1.0}
# Difference of height between the feet, in metres, within which the weight shifts from one to the other.
_WEIGHT_SHIFT = 0.02


@dataclass(frozen=True)
class Body:
    """Limb lengths in metres."""

    belly: float = 0.08
    chest: float = 0.42
    neck: float = 0.22
    shoulder: float = 0.18
    upper_arm: float = 0.29
    forearm: float = 0.25
    hand: float = 0.08
    hip: float = 0.09
    thigh: float = 0.42
    shin: float = 0.41
    foot: float = 0.12


def pose_body(body: Body, motion: Motion) -> Float[np.ndarray, "frames 20 3"]:
    """Compute joint positions.

    The lower foot is on the floor (y = 0) plus `lift`, and does not slide while it bears the weight.

    Args:
        body: Limb lengths.
        motion: Angles by channel: `turn` of the whole body to its left; `lean` of the trunk at the hips, `bend` of the
            chest and `nod`, all forward; `side` and `twist` of the chest, to its right and its left; for each side
            `arm forward`, `arm out`, `arm inward` (rotation about its axis), `elbow`, `hip` (forward), `hip out` and
            `knee`. And `lift`.

    Returns:
        Positions in metres.
    """
    frames = max(len(values) for values in motion.values())

    def angle(channel: str) -> Float[np.ndarray, " frames"]:
        return np.deg2rad(motion.get(channel, np.zeros(frames)))

    heading = _rotation(1, angle("turn"))
    pelvis = heading @ _rotation(0, -angle("lean"))
    chest = pelvis @ _rotation(0, -angle("bend")) @ _rotation(2, -angle("side")) @ _rotation(1, angle("twist"))
    at = np.zeros((frames, 20, 3))
    at[:, 1] = pelvis @ [0, body.belly, 0]
    at[:, 2] = at[:, 1] + chest @ [0, body.chest, 0]
    at[:, 3] = at[:, 2] + chest @ _rotation(0, -angle("nod")) @ [0, body.neck, 0]
    for arm, leg, (side, sign) in zip((4, 8), (12, 16), SIDES.items(), strict=True):
        upper = chest @ _rotation(0, angle(f"{side} arm forward")) @ _rotation(2, sign * angle(f"{side} arm out"))
        upper = upper @ _rotation(1, sign * angle(f"{side} arm inward"))
        lower = upper @ _rotation(0, angle(f"{side} elbow"))
        at[:, arm] = at[:, 2] + chest @ [sign * body.shoulder, -0.04, 0]
        at[:, arm + 1] = at[:, arm] + upper @ [0, -body.upper_arm, 0]
        at[:, arm + 2] = at[:, arm + 1] + lower @ [0, -body.forearm, 0]
        at[:, arm + 3] = at[:, arm + 2] + lower @ [0, -body.hand, 0]
        swing, knee = angle(f"{side} hip"), angle(f"{side} knee")
        spread = heading @ _rotation(2, sign * angle(f"{side} hip out"))
        at[:, leg] = pelvis @ [sign * body.hip, -0.06, 0]
        at[:, leg + 1] = at[:, leg] + spread @ _rotation(0, swing) @ [0, -body.thigh, 0]
        at[:, leg + 2] = at[:, leg + 1] + spread @ _rotation(0, swing - knee) @ [0, -body.shin, 0]
        # The foot rotates half as far as the shin: flat on the floor, extended in a kick.
        at[:, leg + 3] = at[:, leg + 2] + spread @ _rotation(0, (swing - knee) / 2) @ [0, -0.04, -body.foot]
    return at + _stand(at, motion.get("lift", np.zeros(frames)))[:, None]


def _stand(at: Float[np.ndarray, "frames 20 3"], lift: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 3"]:
    """Position of the hip centre: above the lower foot, moved by the foot that bears the weight."""
    soles = np.minimum(at[:, [14, 18], 1], at[:, [15, 19], 1])
    weight = np.exp((soles.min(axis=1, keepdims=True) - soles) / _WEIGHT_SHIFT)
    weight /= weight.sum(axis=1, keepdims=True)
    steps = np.diff(at[:, [14, 18]], axis=0)
    shift = np.zeros((len(at), 3))
    shift[1:] = -np.cumsum((weight[1:, :, None] * steps).sum(axis=1), axis=0)
    shift[:, 1] = lift - soles.min(axis=1)
    return shift


def _rotation(axis: int, angles: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 3 3"]:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.tile(np.eye(3), (len(angles), 1, 1))
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, second, first] = np.sin(angles)
    matrices[:, first, second] = -matrices[:, second, first]
    return matrices
