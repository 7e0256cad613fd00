"""Clips of one layout as clips of another: joints by name, then the preparation that the clips have had, or another.

A joint that the clips' layout has not is NaN when it is prepared again, and ends as zeros, which mean missing, like any
joint that is not seen (i2md.data.presets). So does a mean of which one part is missing for longer than a gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from i2md.data.presets import LeftOut, Prepared, prepare_positions
from i2md.data.store import Clips
from i2md.data.windows import PERSON_STEP, RECORDING
from i2md.errors import InputError
from i2md.skeletons import JointMapping, Layout, Weights, map_joints

Positions = Float[np.ndarray, "persons frames joints channels"]

# What presets with steps need of a layout.
_NEEDED = ("centre", "across", "spine")

# Presets that clips of a preset can be prepared by again, with the result that the recordings would give.
_FACING = ("facing", "facing-scaled", "facing-rigid")
_AGAIN: dict[str, tuple[str, ...]] = {
    "none": ("ntu", "centred-scaled", *_FACING),
    "facing": ("facing-scaled", "facing-rigid"),
    "centred-scaled": ("facing-scaled", "facing-rigid"),
    "facing-scaled": ("facing-rigid",),
}


class Converted(NamedTuple):
    """Clips in another layout, in memory."""

    clips: Clips
    mapping: JointMapping
    counts: Mapping[str, int]
    """Joints that were interpolated or are missing though the layout has them, each once in every frame."""
    described: str
    """A phrase on what was changed, for messages; empty if nothing was."""


def mapping_for(source: Layout, target: Layout, preset: str) -> JointMapping:
    """The mapping between two layouts, checked against what a preset needs.

    Args:
        source: Layout of the clips.
        target: Layout wanted.
        preset: The clips' preparation.

    Returns:
        The mapping.

    Raises:
        InputError: Too few joints can be had, or one that the preset stands or turns bodies by.
    """
    mapping = map_joints(source, target)
    for name in _NEEDED if preset != "none" else ():
        found = getattr(mapping.target, name)
        for joint in (found,) if isinstance(found, int) else found:
            if not mapping.weights[joint]:
                raise InputError(
                    f"layout {source.name!r} has no {target.joints[joint]}, the {name} of layout {target.name!r}, by"
                    f" which preset {preset!r} aligns bodies; choose another layout, or prepare with --preset none"
                )
    return mapping


def map_positions(positions: Positions, mapping: JointMapping, prepared: bool = False) -> Positions:
    """Positions of the joints of another layout, its vertical upwards.

    Args:
        positions: Positions of the source's joints; zeros in frames in which a person is not seen, NaN or zeros where
            a joint is missing.
        mapping: How the target's joints follow.
        prepared: Whether they are of a prepared clip, whose origin is the source's centre joint, and will be prepared
            again: all are moved away from it.

    Returns:
        Positions of the target's joints, in double precision; NaN where a joint cannot be had.
    """
    values = np.asarray(positions, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.asarray(np.isfinite(values).all(axis=-1))
        held = np.asarray(finite & values.any(axis=-1))
    values = np.where(finite[..., None], values, 0.0)
    seen = np.asarray(held.any(axis=-1))
    held[..., mapping.source.centre] |= finite[..., mapping.source.centre] & seen
    joints = [_joint(values, held, of) for of in mapping.weights]
    mapped = np.stack([position for position, _ in joints], axis=2)
    present = np.stack([there for _, there in joints], axis=2)
    if mapping.source.channels == 3:
        mapped = mapped @ turn_between(mapping.source.up, mapping.target.up).T
    if prepared:
        # Zeros mark what is missing, so no joint that is there may stay at the origin; presets move it anew.
        mapped = (mapped + np.abs(mapped).max(initial=0) + 1) * present[..., None]
    never = [joint for joint, of in enumerate(mapping.weights) if not of]
    unknown = seen[..., None] & ~present
    # What is zeros in the file stays so: presets differ in what they make of it.
    zeros = np.stack([np.zeros_like(seen) if len(of) != 1 else finite[..., of[0][0]] for of in mapping.weights], axis=2)
    unknown &= ~zeros
    unknown[..., never] = seen[..., None]
    mapped[unknown] = np.nan
    mapped[~seen] = 0.0
    return mapped + 0.0


def _joint(
    values: Positions, held: Bool[np.ndarray, "persons frames joints"], of: Weights
) -> tuple[np.ndarray, np.ndarray]:
    """A weighted mean of joints, and where all of them are there."""
    if not of:
        return np.zeros_like(values[:, :, 0]), np.zeros(values.shape[:2], dtype=bool)
    joints, weights = [joint for joint, _ in of], np.array([weight for _, weight in of])
    there = np.asarray(held[..., joints].all(axis=-1))
    return np.einsum("pfjc,j->pfc", values[..., joints, :], weights) * there[..., None], there


def turn_between(one: tuple[float, float, float], other: tuple[float, float, float]) -> Float[np.ndarray, "3 3"]:
    """The rotation that brings one vertical to another; about the viewing axis z where they are opposite.

    Args:
        one: A vertical.
        other: Where it is to point.
    """
    a, b = (np.asarray(v, dtype=np.float64) / np.linalg.norm(v) for v in (one, other))
    axis, cosine = np.cross(a, b), float(a @ b)
    if cosine > 1 - 1e-12:
        return np.eye(3)
    if cosine < -1 + 1e-12:
        about = np.eye(3)[2] if abs(a[2]) < 0.9 else np.eye(3)[1]
        return 2 * np.outer(about, about) - np.eye(3)
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def convert_clip(clip: Positions, mapping: JointMapping, preset: str, before: str | None = None) -> Prepared | LeftOut:
    """One prepared clip in another layout, prepared by the same preset again, or by another.

    The clip is that of a recording in the other layout. In `ntu` it may be turned a little differently, since the
    published alignment depends on how the body stood before; in `facing-rigid` its size is that of bodies whose bones
    are rigid already.

    Args:
        clip: The prepared clip.
        mapping: From `mapping_for`.
        preset: The preparation wanted.
        before: That of the clip, if it is another.

    Returns:
        The clip, or why nothing of it is left.
    """
    mapped = map_positions(clip, mapping, prepared=(before or preset) != "none")
    done = prepare_positions(mapped, mapping.target, preset, choose=False)
    if isinstance(done, Prepared):
        # `denoised` moves zeros, as published.
        done.positions[:, :, [joint for joint, of in enumerate(mapping.weights) if not of]] = 0
    return done


def can_prepare_again(before: str, preset: str) -> bool:
    """Whether clips of one preset can be prepared by another, with the result that the recordings would give.

    They can where the first preset moves, turns about the vertical or scales a clip as a whole, which the second one
    undoes: `facing` clips can become `facing-rigid`, not the reverse, and clips of `ntu` nothing else.

    Args:
        before: Preparation of the clips.
        preset: Preparation wanted.

    >>> can_prepare_again("facing", "facing-rigid"), can_prepare_again("ntu", "facing-rigid")
    (True, False)
    """
    return preset == before or preset in _AGAIN.get(before, ())


def conversion_of(clips: Clips, layout: Layout, preset: str) -> tuple[JointMapping, str]:
    """What has to be done to clips that are to have a layout and a preparation.

    Args:
        clips: Clips of any layout.
        layout: Layout wanted.
        preset: Preparation wanted.

    Returns:
        The mapping of their joints, and a phrase on what is changed, for messages; empty if nothing is.

    Raises:
        InputError: Too few joints can be had, or the clips cannot be prepared by that preset any more.
    """
    before = clips.dataset.preparation
    if not can_prepare_again(before, preset):
        raise InputError(
            f"{clips.path}: prepared by {before!r}, which cannot be made {preset!r}; prepare the recordings with"
            f" --preset {preset}"
        )
    mapping = mapping_for(clips.dataset.layout, layout, preset)
    said = [] if mapping.is_identity else [mapping.describe()]
    said += [] if before == preset else [f"clips of preset {before} prepared again by {preset}"]
    return mapping, "; ".join(said)


def converted(clips: Clips, layout: Layout, preset: str | None = None) -> Converted:
    """Convert clips in memory.

    Args:
        clips: Clips of any layout.
        layout: Layout wanted.
        preset: Preparation wanted; by default that of the clips.

    Returns:
        The same clips, in the same order, in that layout and preparation.

    Raises:
        InputError: Too few joints can be had, the clips cannot be prepared by that preset any more, or nothing is left
            of a clip.
    """
    before = clips.dataset.preparation
    preset = preset or before
    mapping, described = conversion_of(clips, layout, preset)
    if not described:
        return Converted(clips, mapping, {}, "")
    counts = Counter[str]()
    rows, sizes = [np.zeros((0, len(layout.joints), mapping.target.channels), np.float32)], []
    for index in range(len(clips)):
        done = convert_clip(clips[index], mapping, preset, before)
        if isinstance(done, LeftOut):
            raise InputError(f"{clips.path}: clip {clips.columns['name'][index]}: {done.reason} in {layout.name}")
        counts.update(changed_joints(done, mapping))
        rows.append(done.positions.reshape(-1, *done.positions.shape[2:]))
        sizes.append(done.positions.shape[:2])
    persons, frames = np.array(sizes, dtype=np.int64).reshape(-1, 2).T
    lengths = persons * frames
    # Windows do not share frames any more.
    kept = {name: values for name, values in clips.columns.items() if name not in (PERSON_STEP, RECORDING)}
    columns = {**kept, "persons": persons, "frames": frames, "start": np.cumsum(lengths) - lengths}
    dataset = replace(clips.dataset, layout=mapping.target, preparation=preset)
    return Converted(Clips(clips.path, dataset, np.concatenate(rows), columns), mapping, dict(counts), described)


def in_layout(clips: Clips, layout: Layout, preset: str) -> Clips:
    """The clips themselves where their joints and preparation are those wanted, else converted in memory.

    Args:
        clips: Clips of any layout.
        layout: Layout wanted.
        preset: Preparation wanted.
    """
    return clips if has_layout(clips, layout, preset) else converted(clips, layout, preset).clips


def has_layout(clips: Clips, layout: Layout, preset: str) -> bool:
    """Whether clips have the joints of a layout, and a preparation.

    Args:
        clips: The clips.
        layout: Layout wanted.
        preset: Preparation wanted.
    """
    return clips.dataset.layout.joints == layout.joints and clips.dataset.preparation == preset


def changed_joints(done: Prepared, mapping: JointMapping | None) -> dict[str, int]:
    """How many joints were interpolated, and how many are missing beyond those that no clip can have.

    Args:
        done: A prepared clip.
        mapping: How it was converted, if it was.
    """
    never = len(mapping.missing) * int(np.any(done.positions, axis=(2, 3)).sum()) if mapping else 0
    found = {
        "joints_interpolated": done.joints_interpolated,
        "joints_missing": max(done.joints_missing - never, 0),
    }
    return {name: count for name, count in found.items() if count}
