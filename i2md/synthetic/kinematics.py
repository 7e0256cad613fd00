"""Forward kinematics: a body of given limbs and its joint angles over time to kinect-v1 joint positions.

The body stands with +y up, its right towards +x, and faces -z, the way a person faces a Kinect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Degrees (metres for lift), one number a frame. Missing channels are zero.
Motion = Mapping[str, np.ndarray]

SIDES = {"left": -1.0, "right": 1.0}
# Over this height, in metres, the weight moves from the one foot to the other.
_WEIGHT_SHIFT = 0.02


@dataclass(frozen=True)
class Body:
    """Lengths in metres."""

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
    """Joint positions, metres: the lower foot on the floor (y = 0) plus `lift`, no foot sliding under load.

    The channels: `turn` of the whole body to its left; `lean` of the trunk at the hips, `bend` of the chest
    and `nod`, all forward; `side` and `twist` of the chest, to its right and its left; for each side
    `arm forward`, `arm out`, `arm inward` (about itself), `elbow`, `hip` (forward), `hip out` and `knee`.
    """
    frames = max(len(values) for values in motion.values())

    def angle(channel: str) -> Float[np.ndarray, " frames"]:
        return np.deg2rad(motion.get(channel, np.zeros(frames)))

    heading = _about(1, angle("turn"))
    pelvis = heading @ _about(0, -angle("lean"))
    chest = pelvis @ _about(0, -angle("bend")) @ _about(2, -angle("side")) @ _about(1, angle("twist"))
    at = np.zeros((frames, 20, 3))
    at[:, 1] = pelvis @ [0, body.belly, 0]
    at[:, 2] = at[:, 1] + chest @ [0, body.chest, 0]
    at[:, 3] = at[:, 2] + chest @ _about(0, -angle("nod")) @ [0, body.neck, 0]
    for arm, leg, (side, sign) in zip((4, 8), (12, 16), SIDES.items(), strict=True):
        upper = chest @ _about(0, angle(f"{side} arm forward")) @ _about(2, sign * angle(f"{side} arm out"))
        upper = upper @ _about(1, sign * angle(f"{side} arm inward"))
        lower = upper @ _about(0, angle(f"{side} elbow"))
        at[:, arm] = at[:, 2] + chest @ [sign * body.shoulder, -0.04, 0]
        at[:, arm + 1] = at[:, arm] + upper @ [0, -body.upper_arm, 0]
        at[:, arm + 2] = at[:, arm + 1] + lower @ [0, -body.forearm, 0]
        at[:, arm + 3] = at[:, arm + 2] + lower @ [0, -body.hand, 0]
        swing, knee = angle(f"{side} hip"), angle(f"{side} knee")
        spread = heading @ _about(2, sign * angle(f"{side} hip out"))
        at[:, leg] = pelvis @ [sign * body.hip, -0.06, 0]
        at[:, leg + 1] = at[:, leg] + spread @ _about(0, swing) @ [0, -body.thigh, 0]
        at[:, leg + 2] = at[:, leg + 1] + spread @ _about(0, swing - knee) @ [0, -body.shin, 0]
        # The foot follows the shin half way: flat under load, stretched in a kick.
        at[:, leg + 3] = at[:, leg + 2] + spread @ _about(0, (swing - knee) / 2) @ [0, -0.04, -body.foot]
    return at + _stand(at, motion.get("lift", np.zeros(frames)))[:, None]


def _stand(at: Float[np.ndarray, "frames 20 3"], lift: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 3"]:
    """Where the hip centre is: above the lower foot, moved on by the foot that bears the weight."""
    soles = np.minimum(at[:, [14, 18], 1], at[:, [15, 19], 1])
    weight = np.exp((soles.min(axis=1, keepdims=True) - soles) / _WEIGHT_SHIFT)
    weight /= weight.sum(axis=1, keepdims=True)
    steps = np.diff(at[:, [14, 18]], axis=0)
    moved = np.zeros((len(at), 3))
    moved[1:] = -np.cumsum((weight[1:, :, None] * steps).sum(axis=1), axis=0)
    moved[:, 1] = lift - soles.min(axis=1)
    return moved


def _about(axis: int, angles: Float[np.ndarray, " frames"]) -> Float[np.ndarray, "frames 3 3"]:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turned = np.tile(np.eye(3), (len(angles), 1, 1))
    turned[:, first, first] = turned[:, second, second] = np.cos(angles)
    turned[:, second, first] = np.sin(angles)
    turned[:, first, second] = -turned[:, second, first]
    return turned
