"""Skeletons for a page: turned to the viewer, quantised, and packed into a text that the page's script unpacks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int16, Int64, UInt8

from i2md.skeletons import Layout
from i2md.skeletons.inference import side_and_part

Skeleton = Float32[np.ndarray, "persons frames joints channels"]
States = UInt8[np.ndarray, "persons frames joints"]

# What is known of a joint in a frame; the numbers are those of player.js.
SEEN, FILLED, MISSING, NEVER = range(4)
_STEPS = 1000  # half the size of a skeleton in quantisation steps: finer than the pixels it is drawn with


def pack_skeletons(
    skeletons: Sequence[Skeleton],
    layout: Layout,
    seconds: Sequence[float],
    states: Sequence[States] | None = None,
    frames: Sequence[int] = (32, 24, 16, 12, 8, 4),
    characters: int = 2_300_000,
    views: Sequence[Float64[np.ndarray, "3 channels"]] | None = None,
) -> dict[str, Any]:
    """Pack clips for the page's player, with as many frames as fit.

    Args:
        skeletons: Positions of each clip; a person who is absent from a frame is all zeros there.
        layout: Of the joints.
        seconds: How long each clip is played.
        states: Of each clip's joints: SEEN, FILLED (interpolated by preparation), MISSING (drawn where it was last
            seen) or NEVER (not drawn); by default all are seen.
        frames: Numbers of frames a clip may have, the largest first; of longer clips frames at even steps are kept.
        characters: Size that the packed text must not exceed; the smallest number of frames is taken in any case.
        views: The axes from which each clip is seen; by default those of `viewing_axes` for all clips together.

    Returns:
        JSON data, of which `packed` and `states` are unpacked by the script player.js; none without clips.
    """
    if not skeletons:
        return {}
    views = views or [viewing_axes(skeletons, layout)] * len(skeletons)
    turned = [_to_view(skeleton, view) for skeleton, view in zip(skeletons, views, strict=True)]
    for most in frames:
        kept = [even_steps(clip.shape[1], most) for clip in turned]
        packed = pack([clip[:, chosen] for clip, chosen in zip(turned, kept, strict=True)])
        if len(packed) <= characters:
            break
    sides = sides_of(layout)
    shown = [each[:, chosen] for each, chosen in zip(states, kept, strict=True)] if states else []
    return {
        "joints": len(layout.joints),
        "bones": [list(bone) for bone in layout.bones],
        "sides": [sides[child] for _, child in layout.bones],
        "flat": skeletons[0].shape[-1] < 3,
        "persons": [len(skeleton) for skeleton in skeletons],
        "frames": [len(chosen) for chosen in kept],
        "recorded": [skeleton.shape[1] for skeleton in skeletons],
        "seconds": [round(float(duration), 3) for duration in seconds],
        "packed": packed,
        "states": _deflated(np.concatenate([each.ravel() for each in shown]).tobytes()) if shown else "",
    }


def viewing_axes(skeletons: Sequence[Skeleton], layout: Layout) -> Float64[np.ndarray, "3 channels"]:
    """The signed axes by which most bodies stand upright and face the viewer.

    Preparation may have rotated the bodies, so the axes are computed from the positions of trunk and shoulders.
    Three channels keep their handedness (a left arm stays a left arm); two are never mirrored horizontally.

    Args:
        skeletons: Positions of each clip.
        layout: Of the joints.

    Returns:
        Rows are the viewer's right, up and forward directions.
    """
    channels = skeletons[0].shape[-1]
    trunk = _mean_direction(skeletons, layout.spine)
    # Keypoints of the limbs alone have no trunk: upwards is what the layout says.
    trunk = trunk if trunk.any() else np.array(layout.up, dtype=np.float64)[:channels]
    up = _nearest_axis(trunk, np.zeros(channels, dtype=bool))
    if channels < 3:
        view = np.zeros((3, channels))
        view[0, 0], view[1] = 1.0, up if up[1] else np.array([0.0, 1.0])
        return view
    leftwards = _mean_direction(skeletons, layout.across)
    if sides_of(layout)[layout.across[0]] == "left":
        leftwards = -leftwards
    right_of_screen = _nearest_axis(leftwards, up != 0)  # a body that faces us has its left there
    return np.stack([right_of_screen, up, np.cross(right_of_screen, up)])


def sides_of(layout: Layout) -> list[str]:
    """The side of each joint by its name, "left" or "right", and "" on the midline.

    Args:
        layout: Of the joints.
    """
    joints = range(len(layout.joints))
    return [side_and_part(layout.joints, j)[0] if layout.mirror[j] != j else "" for j in joints]


def carry_over_gaps(skeleton: Skeleton, missing: Bool[np.ndarray, "persons frames joints"]) -> tuple[Skeleton, States]:
    """Put missing joints where the body had them last, or will have them first, so that they can be drawn there.

    Args:
        skeleton: Positions.
        missing: Joints without a value, of persons who are seen in the frame.

    Returns:
        The positions, and the state of each joint: SEEN, MISSING, or NEVER for one that is not seen in any frame.
    """
    filled, states = np.nan_to_num(skeleton), np.where(missing, np.uint8(MISSING), np.uint8(SEEN))
    known = filled.copy()
    for person, joint in zip(*np.nonzero(missing.any(axis=1)), strict=True):
        seen = np.flatnonzero(~missing[person, :, joint] & known[person].any(axis=(1, 2)))
        lost = np.flatnonzero(missing[person, :, joint])
        if not len(seen):
            states[person, lost, joint] = NEVER
            # Somewhere on the body, so that the picture is not made larger for it.
            seen = lost
        then = seen[np.maximum(np.searchsorted(seen, lost, side="right") - 1, 0)]
        both = ~missing[person, lost] & ~missing[person, then]
        weight = both / np.maximum(both.sum(axis=1), 1)[:, None]
        if states[person, lost[0], joint] == NEVER:
            filled[person, lost, joint] = (known[person, lost] * weight[..., None]).sum(axis=1)
        else:
            moved = ((known[person, lost] - known[person, then]) * weight[..., None]).sum(axis=1)
            filled[person, lost, joint] = known[person, then, joint] + moved
    return filled, states


def even_steps(available: int, wanted: int) -> Int64[np.ndarray, " chosen"]:
    """Indices of at most `wanted` of `available` things, at even steps, the first and the last among them.

    Args:
        available: How many there are.
        wanted: How many to choose at most.

    >>> even_steps(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.linspace(0, available - 1, min(available, wanted)).round().astype(np.int64)


def pack(clips: Sequence[Int16[np.ndarray, "persons frames joints 3"]]) -> str:
    """Encode clips as text: int16 differences between frames, all low bytes before all high bytes, deflate, base64.

    The differences are small, so most high bytes are equal and a value takes about one byte.
    """
    if not clips:
        return ""
    steps = np.concatenate([np.diff(clip, axis=1, prepend=np.int16(0)).ravel() for clip in clips])
    planes = steps.astype("<i2").view(np.uint8).reshape(-1, 2).T
    return _deflated(planes.tobytes())


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def _mean_direction(skeletons: Sequence[Skeleton], ends: tuple[int, int]) -> Float64[np.ndarray, " channels"]:
    total = np.zeros(skeletons[0].shape[-1])
    for skeleton in skeletons:
        first, last = (np.nan_to_num(skeleton[:, :, end]) for end in ends)
        # In an image no joint is at the origin unless it is missing; in space the centre of bodies may be.
        known = first.any(axis=-1) & last.any(axis=-1) if skeleton.shape[-1] == 2 else np.ones(first.shape[:2], bool)
        total += (last - first)[known].sum(axis=0, dtype=np.float64)
    return total


def _nearest_axis(
    direction: Float64[np.ndarray, " channels"], taken: Bool[np.ndarray, " channels"]
) -> Float64[np.ndarray, " channels"]:
    axis = int(np.argmax(np.where(taken, -1.0, np.abs(direction))))
    return np.eye(len(direction))[axis] * (-1.0 if direction[axis] < 0 else 1.0)


def _to_view(
    skeleton: Float[np.ndarray, "persons frames joints channels"], view: Float64[np.ndarray, "3 channels"]
) -> Int16[np.ndarray, "persons frames joints 3"]:
    """The clip rotated to the viewer, centred, scaled to its extent and quantised; absent persons stay zero."""
    finite = np.nan_to_num(skeleton)
    present = finite.any(axis=(2, 3))
    turned = finite.astype(np.float64) @ view.T
    if not present.any():
        return np.zeros(turned.shape, dtype=np.int16)
    seen = turned[present]
    centred = turned - (seen.min(axis=(0, 1)) + seen.max(axis=(0, 1))) / 2
    extent = np.linalg.norm(centred[present], axis=-1).max()
    centred *= present[:, :, None, None] * _STEPS / max(float(extent), 1e-12)
    return centred.round().astype(np.int16)
