"""What can be measured of the bodies in clips, whatever their format: scale, joint order, the vertical, left and right.

The limits come from UTD-MHAD, MSR Action3D, NW-UCLA, UTKinect, SBU and NTU RGB+D as read by this package: bodies span
1.4 to 1.7 m, left and right limbs differ by 7 % at most, bone lengths vary by up to 18 % within a clip, the trunk is
within 26 degrees of the vertical, and hands are in front of the shoulders in at least 83 % of the clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from i2md.data.presets import SCALED
from i2md.data.store import Clips
from i2md.skeletons import Layout

# A person's height in metres lies well within these; a tenth or ten times of it is another unit.
PLAUSIBLE_EXTENT = (0.5, 4.0)
MAX_EXAMINED = 500
# Two sets of bodies differ less than this in size, two units of length more.
MAX_SCALE_RATIO = 2.0
MAX_SCALE_RATIO_IN_IMAGES = 3.0
_MAX_SIDE_RATIO = 1.25
# Of the extent: 20 cm of a person.
_MIN_BONE = 0.12
_MAX_WOBBLE = 0.4
_MIN_UPRIGHT = 0.5
# Of the deviation along the body: 1 cm of a person.
_MIN_DEPTH = 0.01
# Below this share of clips with hands and feet in front, left and right are exchanged.
_MIN_FACING = 0.3
_MIN_CLIPS = 4
# Presets that turn each body upright, so that the vertical of the file can no longer be measured.
_UPRIGHT = ("ntu",)


class Bodies(NamedTuple):
    """Measurements of the first person, medians over clips."""

    clips: int
    """How many clips were measured."""
    extent: float
    """Largest side of the box around a body."""
    bones: Float[np.ndarray, " joints"]
    """Length of the bone that ends in each joint; 0 of the root."""
    wobble: float
    """How much bone lengths vary within a clip, relative to their mean."""
    trunk: Float[np.ndarray, " 3"]
    """Direction from the lower to the upper end of the trunk, a unit vector."""
    hands_ahead: float
    """Share of the clips in which the hands are in front of the shoulders; NaN without hands."""
    toes_ahead: float
    """Share of the clips in which the feet point to the front; NaN without feet."""
    depth: float
    """Deviation of the joints along the direction in which they vary least, relative to that of the most."""


def spread_evenly(count: int, most: int) -> Int64[np.ndarray, " chosen"]:
    """Indices of at most `most` of `count` clips, spread evenly.

    Args:
        count: Number of clips.
        most: Number of clips to choose.

    >>> spread_evenly(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def measure_bodies(clips: Clips, most: int = MAX_EXAMINED) -> Bodies | None:
    """Measure the bodies of clips.

    Args:
        clips: Clips of any preparation.
        most: How many clips are examined at most.

    Returns:
        The measurements; None if the clips are 2-D or show nobody.
    """
    layout = clips.dataset.layout
    if layout.channels != 3:
        return None
    first = (clips.read(int(index))[0] for index in spread_evenly(len(clips), most))
    # Damaged clips, which `info` names, measure nothing.
    found = [_measure(person, layout) for person in first if np.isfinite(person).all()]
    rows = [row for row in found if row is not None]
    if not rows:
        return None
    extents, bones, wobbles, trunks, hands, toes, depths = (np.array(column) for column in zip(*rows, strict=True))
    trunk = np.median(trunks, axis=0)
    return Bodies(
        clips=len(rows),
        extent=float(np.median(extents)),
        bones=np.median(bones, axis=0),
        wobble=float(np.median(wobbles)),
        trunk=trunk / max(np.linalg.norm(trunk), 1e-12),
        hands_ahead=float(np.mean(hands > 0)) if np.isfinite(hands).all() else np.nan,
        toes_ahead=float(np.mean(toes > 0)) if np.isfinite(toes).all() else np.nan,
        depth=float(np.median(depths)),
    )


def body_warnings(clips: Clips) -> Iterator[str]:
    """Describe what cannot be right about the bodies of clips, one sentence each.

    Args:
        clips: Clips of any format and preparation.

    Yields:
        Warnings about the unit, the third coordinate, the order of the joints, the vertical axis, and left and right.
    """
    bodies, dataset = measure_bodies(clips), clips.dataset
    if bodies is None:
        return
    low, high = PLAUSIBLE_EXTENT
    if dataset.preparation not in SCALED and not low <= bodies.extent <= high:
        advice = "" if dataset.units == "m" else "; name the unit, for example --units mm"
        yield f"units: a body spans {bodies.extent:.3g} where metres would give {low} to {high}{advice}"
    if bodies.depth < _MIN_DEPTH:
        yield (
            f"flat: the third coordinate of bodies varies by {bodies.depth:.1%} of the first; if it is a confidence, or"
            " 0 throughout, give the first two alone"
        )
    ratio, joint = _side_ratio(bodies, dataset.layout)
    if ratio > _MAX_SIDE_RATIO:
        yield (
            f"joint order: the bones to {joint} and to its counterpart differ in length by a factor of {ratio:.3g};"
            " name the joints in the file's order by --joints"
        )
    if bodies.wobble > _MAX_WOBBLE:
        yield (
            f"bone lengths vary by {bodies.wobble:.0%} within a clip, where bodies are rigid; check the order of the"
            " axes and of the joints (--axes, --joints)"
        )
    yield from _direction_warnings(bodies, clips)


def _direction_warnings(bodies: Bodies, clips: Clips) -> Iterator[str]:
    layout = clips.dataset.layout
    up = np.asarray(layout.up, dtype=np.float64) / np.linalg.norm(layout.up)
    if clips.dataset.preparation not in _UPRIGHT and bodies.trunk @ up < _MIN_UPRIGHT:
        lower, upper = (layout.joints[j] for j in layout.spine)
        yield (
            f"vertical axis: the trunk ({lower} to {upper}) points along {_axis_name(bodies.trunk)}, layout"
            f" {layout.name} has {_axis_name(up)} upwards; describe the file's axes by --axes"
        )
    shares = [share for share in (bodies.hands_ahead, bodies.toes_ahead) if np.isfinite(share)]
    if bodies.clips >= _MIN_CLIPS and shares and max(shares) < _MIN_FACING:
        yield (
            "mirrored: hands or feet point backwards in most clips, so left and right seem to be exchanged; check the"
            " order of the joints (--joints) or the sign of an axis (--axes)"
        )


def clips_span(clips: Clips, most: int = MAX_EXAMINED) -> float | None:
    """Measure how far the bodies of clips span, in 2-D or 3-D.

    Args:
        clips: Clips of any preparation.
        most: How many clips are examined at most.

    Returns:
        As of `body_span`.
    """
    chosen = spread_evenly(len(clips), most)
    return body_span((clips.read(int(index)) for index in chosen), clips.dataset.layout)


def body_span(clips: Iterable[Float[np.ndarray, "persons frames joints channels"]], layout: Layout) -> float | None:
    """Measure how far bodies span: the largest side of the box around the first person, the median over clips.

    Args:
        clips: Positions of some clips.
        layout: Their joints.

    Returns:
        The span in the units of the positions; None if nobody is seen.
    """
    found = [_span(positions[0], layout) for positions in clips if np.isfinite(positions[0]).all()]
    spans = [span for span in found if span is not None]
    return float(np.median(spans)) if spans else None


def _span(person: Float[np.ndarray, "frames joints channels"], layout: Layout) -> float | None:
    seen = person[person.any(axis=(1, 2))].astype(np.float64)
    if not len(seen):
        return None
    # Zeros mark a joint that is missing, and would add the distance to the image's corner.
    held = np.asarray(seen.any(axis=-1, keepdims=True))
    held[:, layout.centre] |= layout.channels == 3
    low, high = np.where(held, seen, np.inf).min(axis=1), np.where(held, seen, -np.inf).max(axis=1)
    span = float(np.max(high - low))
    return span if np.isfinite(span) else None


def scale_difference(extent: float, other: float, channels: int = 3) -> str | None:
    """Describe how two sets of bodies differ in scale; None if they do not, or one is not known.

    Args:
        extent: Span of a body of the first set, in its units; 0 where it is not known.
        other: Span of a body of the second set.
        channels: 2 for positions in an image, where bodies are near or far.

    Returns:
        A phrase for a warning, or None.

    >>> scale_difference(1.7, 1600.0)
    'a body spans 1.6e+03, 941 times as much as 1.7'
    """
    most = MAX_SCALE_RATIO if channels == 3 else MAX_SCALE_RATIO_IN_IMAGES
    if extent <= 0 or other <= 0 or max(extent, other) / min(extent, other) <= most:
        return None
    return f"a body spans {other:.3g}, {other / extent:.3g} times as much as {extent:.3g}"


def _measure(person: Float[np.ndarray, "frames joints 3"], layout: Layout) -> tuple | None:
    """One clip: extent, bone lengths, their variation, trunk, hands ahead, toes ahead, depth."""
    seen = person[person.any(axis=(1, 2))].astype(np.float64)
    if not len(seen):
        return None
    extent = float(np.ptp(seen, axis=1).max())
    # All zeros mark a joint that is missing, except the one that preparation moves to the origin.
    missing: np.ndarray = np.all(seen == 0, axis=-1)
    missing[:, layout.centre] = False
    seen = np.where(missing[..., None], np.nan, seen)
    parents = np.array(layout.parents)
    with np.errstate(invalid="ignore"):
        lengths = np.ma.masked_invalid(np.linalg.norm(seen - seen[:, parents], axis=-1))
        bones = np.ma.median(lengths, axis=0).filled(0.0)
        mean = lengths.mean(axis=0).filled(0.0)
        wobble = float(lengths.std(axis=0).filled(0.0).sum() / max(mean.sum(), 1e-12))
        trunk = _median(seen[:, layout.spine[1]] - seen[:, layout.spine[0]])
        trunk = trunk / max(np.linalg.norm(trunk), 1e-12)
        left, right = seen[:, layout.across[0]], seen[:, layout.across[1]]
        ahead = np.cross(trunk, right - left)
        ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-12)
        hands = _mean_of(seen, _ends(layout, ("hand", "wrist")))
        hands_ahead = np.nan if hands is None else _along(hands - (left + right) / 2, ahead)
        toes = _ends(layout, ("foot", "toes", "toe"), ("ankle", "heel"))
        toes_ahead = _along((seen[:, toes] - seen[:, parents[toes]]).sum(axis=1), ahead) if toes else np.nan
    return extent, bones, wobble, trunk, hands_ahead, toes_ahead, _depth(seen)


def _depth(seen: Float[np.ndarray, "frames joints 3"]) -> float:
    held = np.ma.masked_invalid(seen)
    centred = (held - held.mean(axis=1, keepdims=True)).filled(0.0).reshape(-1, 3)
    least, _, most = np.linalg.eigvalsh(centred.T @ centred)
    return float(np.sqrt(max(least, 0.0) / max(most, 1e-24)))


def _ends(layout: Layout, names: tuple[str, ...], of: tuple[str, ...] = ()) -> list[int]:
    """The left and right joint of the first of these names, if their parents are named as `of` says."""
    for name in names:
        pair = [
            layout.joints.index(f"{side} {name}") for side in ("left", "right") if f"{side} {name}" in layout.joints
        ]
        if len(pair) == 2 and (not of or layout.joints[layout.parents[pair[0]]].endswith(of)):
            return pair
    return []


def _mean_of(seen: np.ndarray, joints: list[int]) -> np.ndarray | None:
    return seen[:, joints].mean(axis=1) if joints else None


def _median(vectors: Float[np.ndarray, "frames 3"]) -> Float[np.ndarray, " 3"]:
    return np.ma.median(np.ma.masked_invalid(vectors), axis=0).filled(0.0)


def _along(vectors: Float[np.ndarray, "frames 3"], ahead: Float[np.ndarray, "frames 3"]) -> float:
    """The median, over frames, of how far vectors reach to the front."""
    return float(np.ma.filled(np.ma.median(np.ma.masked_invalid((vectors * ahead).sum(axis=-1))), 0.0))


def _side_ratio(bodies: Bodies, layout: Layout) -> tuple[float, str]:
    """The largest ratio of two bones that mirror each other; short ones, such as hands, are noisy and do not count."""
    worst, joint = 1.0, ""
    for j, other in enumerate(layout.mirror):
        lengths = sorted((bodies.bones[j], bodies.bones[other]))
        if other != j and lengths[0] > 0 and lengths[1] > _MIN_BONE * bodies.extent and lengths[1] / lengths[0] > worst:
            worst, joint = float(lengths[1] / lengths[0]), layout.joints[min(j, other)]
    return worst, joint


def _axis_name(direction: Float[np.ndarray, " 3"]) -> str:
    """The axis that a direction is closest to: +y."""
    axis = int(np.abs(direction).argmax())
    return f"{'-' if direction[axis] < 0 else '+'}{'xyz'[axis]}"
