"""Preparation: normalises where the persons of a recording stand, which way they face and how large they are.

A preset is a sequence of steps, each a pure function of positions and layout:

- `ntu`: that of the reference implementation. A person who appears late is moved to the start, frames after a
  person's last are filled by repeating that person's, every frame is centred on the first person's middle of the
  spine, and all are turned so that the first person's spine in the first frame is along +z, the shoulders along +x.
- `facing`: the first person's centre joint is at the origin in the first frame and moves freely after it;
  all are turned about the vertical so that the first person's left to right is along +x in the first frames.
  What is up stays up, and left stays left.
- `facing-scaled`: `facing`, and divided by the length of the first person's trunk.
- `facing-rigid`: `facing`, each bone of constant length, and divided by the person's size (i2md.data.body_size).
- `centred-scaled`: the first person's centre is at the origin in the first frame, and all are divided by the length of
  the first person's trunk; in 2-D or 3-D, without a turn.
- `denoised`: that of much later work on NTU (i2md.data.denoise): the actors are chosen among all bodies that
  were tracked, frames without them are cut, and the first person's centre joint is at the origin in the
  first frame. No person is turned.
- `none`: positions stay as they are.

In all of them an all-zero frame means that the person is not seen, and persons never seen are left out. A joint without
a value is one whose coordinates are not finite (NaN), or all zero while the person's other joints are not; the centre
joint may lie at the origin. A NaN is interpolated in time over gaps of up to 30 frames and is zeros, which means
missing, in longer ones. Presets that face, and `centred-scaled`, treat zeros the same way, and so the frames in which
the only person of a recording is not seen; in `ntu`, `denoised` and `none` they stay, as published. All are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32

from i2md.data.body_size import to_rigid_bodies, to_unit_trunk
from i2md.data.denoise import MAX_ACTORS, choose_actors, start_at_first
from i2md.data.gaps import interpolated, with_gaps_filled
from i2md.data.recording import MAX_GAP, UNKNOWN
from i2md.errors import InputError
from i2md.skeletons import Layout

Positions = Float[np.ndarray, "persons frames joints channels"]
Step = Callable[[Positions, Layout], Positions]

# The body's first direction is averaged over this many frames: one frame's shoulders are noisy.
FIRST_FRAMES = 5
# Shoulders seen this much shorter from above than they are do not show which way the body faces.
MIN_SHOULDER_RATIO = 0.2

# Presets that treat zeros as they treat NaN.
INTERPOLATING_ZEROS = frozenset({"facing", "facing-scaled", "facing-rigid", "centred-scaled"})
# Presets whose unit is a size of the body.
SCALED = frozenset({"facing-scaled", "facing-rigid", "centred-scaled"})
# Presets that need no third dimension.
_IN_IMAGE = frozenset({"centred-scaled"})
# Presets that choose the actors among all bodies that were tracked.
CHOOSING = frozenset({"denoised"})
# Presets that leave frames out between others: the frames of a whole recording would lose their time.
CLOSING_GAPS = frozenset({"ntu", "denoised"})


class Prepared(NamedTuple):
    """A prepared clip, and what was changed: frames cut, person-frames filled, persons never seen or not chosen."""

    positions: Float32[np.ndarray, "persons frames joints channels"]
    frames_cut: int
    frames_filled: int
    persons_absent: int
    joints_interpolated: int = 0
    """Joints, each in one frame of one person, that were without a value and have been interpolated in time."""
    joints_missing: int = 0
    """Those that still are, and are zeros."""


class LeftOut(NamedTuple):
    """Why a recording yields no clip."""

    reason: str


def prepare_positions(
    positions: Float[np.ndarray, "persons frames joints channels"],
    layout: Layout,
    preset: str,
    actors: int = UNKNOWN,
    *,
    choose: bool = True,
    max_gap: int = MAX_GAP,
) -> Prepared | LeftOut:
    """Prepare the positions of one recording.

    Args:
        positions: As recorded; all-zero frames mean that the person is not seen.
        layout: Their joints.
        preset: One of `preset_names`.
        actors: How many persons take part in the action, if known; a preset of CHOOSING looks for as many.
        choose: Whether a preset of CHOOSING chooses; not where its choice has been made before.
        max_gap: A joint without a value for up to so many frames is interpolated, as is a single person who is not
            seen; in longer gaps they are missing.

    Returns:
        The prepared clip, or the reason why nothing of the recording is left.

    Raises:
        InputError: The preset is unknown, or the positions do not fit the layout.

    >>> from i2md.skeletons import get_layout
    >>> prepare_positions(np.zeros((1, 9, 25, 3), np.float32), get_layout("kinect-v2"), "ntu")
    LeftOut(reason='no person is seen in any frame')
    """
    steps = _steps(preset, layout)
    if positions.shape[2:] != (len(layout.joints), layout.channels):
        found, wanted = positions.shape[2:], (len(layout.joints), layout.channels)
        raise InputError(f"positions are {found} a frame, layout {layout.name} is {wanted}; give their layout")
    # A damaged file may hold signalling NaNs, of which NumPy warns.
    with np.errstate(invalid="ignore"):
        persons, interpolated, missing = with_gaps_filled(
            positions.astype(np.float64, order="C"), layout.centre, preset in INTERPOLATING_ZEROS, max_gap
        )
    ever = _seen(persons).any(axis=1)
    if not ever.any():
        return LeftOut("no person is seen in any frame")
    persons = persons[ever]
    if preset in CHOOSING and choose:
        persons = choose_actors(persons, layout, MAX_ACTORS if actors == UNKNOWN else actors)
    before = int(_seen(persons).sum())
    for step in steps:
        persons = _fill_gaps(persons, layout, max_gap) if step is _fill_gaps else step(persons, layout)
    # A body whose joints are all at one point is zeros once it is centred.
    filled = max(int(_seen(persons).sum()) - before, 0)
    cut = positions.shape[1] - persons.shape[1]
    absent = positions.shape[0] - persons.shape[0]
    with np.errstate(over="ignore"):
        prepared = persons.astype(np.float32)
    if not np.isfinite(prepared).all():
        return LeftOut("a coordinate is too large")
    return Prepared(prepared, cut, filled, absent, interpolated, missing)


def preset_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(sorted(_PRESETS))


def _steps(preset: str, layout: Layout) -> tuple[Step, ...]:
    if preset not in _PRESETS:
        raise InputError(f"preset {preset!r} is not known; choose one of {', '.join(preset_names())}")
    if _PRESETS[preset] and layout.channels != 3 and preset not in _IN_IMAGE:
        raise InputError(
            f"preset {preset!r} turns bodies in space but the positions are 2-D; use 'none' or 'centred-scaled'"
        )
    return _PRESETS[preset]


def _seen(persons: Positions) -> Bool[np.ndarray, "persons frames"]:
    return np.any(persons, axis=(2, 3))


def _close_up(persons: Positions, layout: Layout) -> Positions:
    """A person absent from the first frame loses all empty frames; the clip ends with its last person."""
    closed = np.zeros_like(persons)
    for target, person, seen in zip(closed, persons, _seen(persons), strict=True):
        kept = person if seen[0] else person[seen]
        target[: len(kept)] = kept
    return closed[:, : _last(_seen(closed)).max() + 1]


def _repeat_tails(persons: Positions, layout: Layout) -> Positions:
    """The frames after a person's last are filled with that person's from the start, over and over."""
    lengths = _last(_seen(persons)) + 1
    if (lengths == persons.shape[1]).all():
        return persons
    frames = np.arange(persons.shape[1]) % lengths[:, None]
    return np.take_along_axis(persons, frames[:, :, None, None], axis=1)


def _last(seen: Bool[np.ndarray, "persons frames"]) -> np.ndarray:
    return seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)


def _centre_each_frame(persons: Positions, layout: Layout) -> Positions:
    """The first person's centre joint is the origin of every frame; missing joints stay zero."""
    # The reference implementation takes a joint for missing if its coordinates sum to zero.
    present = _summed(persons) != 0
    return (persons - persons[:1, :, layout.centre, None]) * present


def _stand_along_z(persons: Positions, layout: Layout) -> Positions:
    return _align(persons, layout.spine, np.array([0.0, 0.0, 1.0]))


def _shoulders_along_x(persons: Positions, layout: Layout) -> Positions:
    return _align(persons, layout.across, np.array([1.0, 0.0, 0.0]))


def _align(persons: Positions, ends: tuple[int, int], target: Float[np.ndarray, " 3"]) -> Positions:
    """All turned as it takes to bring the first person's first bone between `ends` along `target`."""
    bone = persons[0, 0, ends[1]] - persons[0, 0, ends[0]]
    axis = np.cross(bone, target)
    sine = np.linalg.norm(axis)
    # As in the published program a bone without direction, or right opposite, is left where it is.
    if sine < 1e-6:
        return persons
    return _turned(persons, axis / sine, np.arctan2(sine, bone @ target))


def _turned(persons: Positions, axis: Float[np.ndarray, " 3"], angle: float) -> Positions:
    """Rodrigues' rotation by `angle` radians about the unit vector `axis`."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    # Sums written out: what a matrix product gives depends, in its last bit, on how many threads share it.
    px, py, pz = persons[..., 0], persons[..., 1], persons[..., 2]
    return np.stack([px * to_x + py * to_y + pz * to_z for to_x, to_y, to_z in turn], axis=-1)


def _summed(persons: Positions) -> Positions:
    return persons[..., 0:1] + persons[..., 1:2] + persons[..., 2:3]


def _fill_gaps(persons: Positions, layout: Layout, max_gap: int = MAX_GAP) -> Positions:
    """Cut frames without any person at either end; interpolate a single person over short gaps inside.

    With several persons an absence may be intended, so it stays. A joint that is missing on one side of a gap stays so.
    """
    occupied = np.flatnonzero(_seen(persons).any(axis=0))
    persons = persons[:, occupied[0] : occupied[-1] + 1]
    held = occupied - occupied[0]
    lost = np.setdiff1d(np.arange(persons.shape[1]), held)
    if len(persons) > 1 or not len(lost):
        return persons
    after = np.searchsorted(held, lost)
    short = held[after] - held[after - 1] - 1 <= max_gap
    lost, after = lost[short], after[short]
    known = persons[0].any(axis=-1)
    known[:, layout.centre] = True
    between = (known[held[after - 1]] & known[held[after]])[..., None]
    filled = persons.copy()
    filled[0, lost] = interpolated(lost, held, persons[0, held]) * between
    return filled


def _face(persons: Positions, layout: Layout) -> Positions:
    present = _summed(np.abs(persons)) > 0
    first = present[0, :, layout.centre, 0].argmax()
    moved = (persons - persons[0, first, layout.centre]) * present
    up = np.asarray(layout.up) / np.linalg.norm(layout.up)
    across = _first_across(moved[0], layout, up)
    axis = np.eye(3)[0] if abs(up[0]) < 0.9 else np.eye(3)[1]
    ahead = axis - (axis @ up) * up
    return _turned(moved, up, np.arctan2(up @ np.cross(across, ahead), across @ ahead))


def _centre(persons: Positions, layout: Layout) -> Positions:
    """The first person's centre, or the mean of the joints seen, in the first frame with the person, is the origin."""
    present = np.any(persons != 0, axis=-1, keepdims=True)
    first = present[0].any(axis=(1, 2)).argmax()
    seen = present[0, first, :, 0]
    body = persons[0, first]
    centre = body[layout.centre] if seen[layout.centre] else body[seen].mean(axis=0)
    return (persons - centre) * present


def _first_across(
    person: Float[np.ndarray, "frames joints 3"], layout: Layout, up: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"]:
    """Left to right of the body, from above: in the first frames, or over the whole clip if those do not show it."""
    left, right = person[:, layout.across[0]], person[:, layout.across[1]]
    across = (right - left)[left.any(axis=-1) & right.any(axis=-1)]
    if not len(across):
        return np.zeros(3)
    level = across - _summed(across * up) * up
    first = level[:FIRST_FRAMES].mean(axis=0)
    width = np.median(np.linalg.norm(across, axis=-1))
    return first if np.linalg.norm(first) > MIN_SHOULDER_RATIO * width else level.mean(axis=0)


_PRESETS: dict[str, tuple[Step, ...]] = {
    "ntu": (_close_up, _repeat_tails, _centre_each_frame, _stand_along_z, _shoulders_along_x),
    "facing": (_fill_gaps, _face),
    "facing-scaled": (_fill_gaps, _face, to_unit_trunk),
    "facing-rigid": (_fill_gaps, _face, to_rigid_bodies),
    "centred-scaled": (_fill_gaps, _centre, to_unit_trunk),
    "denoised": (start_at_first,),
    "none": (),
}
