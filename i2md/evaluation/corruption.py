"""Corruptions of test clips: what other sensors, poses of the camera and sizes of the body do to recordings.

Each is applied to the positions of a clip, put back before the camera. The clip is then prepared again by its own
preset, as a recording that was corrupted would be: joints that come and go are interpolated, a body that the noise has
turned is turned back wrongly. "turn" alone is applied after the preparation, as an error of it: a preset that turns
bodies undoes any turn of the camera about the vertical.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from i2md.data.checks import spread_evenly
from i2md.data.presets import SCALED, LeftOut, prepare_positions, preset_names
from i2md.data.store import Clips
from i2md.errors import InputError, suggestion
from i2md.evaluation.settings import CorruptionSettings
from i2md.skeletons import Layout

Positions = Float[np.ndarray, "persons frames joints channels"]

# How much a body spans in centimetres where the clips' unit is not known: i2md.data.checks measured 140 to 170.
BODY_SPAN = 160.0
_UNITS = {"m": 0.01, "cm": 1.0, "mm": 10.0}
# Presets that stand bodies along z.
_ALONG_Z = frozenset({"ntu"})
_MAX_EXAMINED = 100


@dataclass(frozen=True)
class Context:
    """What a corruption needs to know of the clips."""

    layout: Layout
    centimetre: float
    """A centimetre in the unit of the positions."""
    up: tuple[float, float, float]
    """The vertical of the prepared positions."""


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption, at levels that are settings of the same name in `CorruptionSettings`."""

    title: str
    """What tables call it, with the level as {level:g} or {percent:g}."""
    apply: Callable[[Positions, float, np.random.Generator, Context], Positions]
    random: bool = False
    """Whether it depends on random numbers, so that there are several draws."""
    needs_depth: bool = False
    """Whether it cannot be computed from positions in the image."""
    after_preparation: bool = False
    neutral: float = 0.0
    """The level at which nothing is corrupted."""

    def name_level(self, level: float) -> str:
        """What tables call the corruption at a level."""
        return self.title.format(level=level, percent=100 * level)


def _seen(positions: Positions) -> Bool[np.ndarray, "persons frames"]:
    return np.asarray(positions.any(axis=(2, 3)))


def _held(positions: Positions, layout: Layout) -> Bool[np.ndarray, "persons frames joints"]:
    """Which joints have a value: zeros are missing ones, but the centre joint may lie at the origin."""
    held = np.asarray(positions.any(axis=-1))
    held[..., layout.centre] |= _seen(positions)
    return held


def _joints(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    """Some joints are missing throughout: never those by which preparation centres, turns and scales a body."""
    layout = context.layout
    needed = {layout.centre, *layout.across, *layout.spine}
    others = rng.permutation([joint for joint in range(len(layout.joints)) if joint not in needed])
    count = round(level * len(layout.joints))
    if count > len(others):
        raise InputError(
            f"corruption.joints {level:g}: preparation needs {len(needed)} of the {len(layout.joints)} joints; at most"
            f" {len(others) / len(layout.joints):.2f} can be missing"
        )
    x = x.copy()
    x[:, :, others[:count]] = 0.0
    return x


def _noise(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    """Every coordinate of every frame is moved by a normal number; joints that are missing stay so."""
    moved = x + context.centimetre * level * rng.standard_normal(x.shape)
    return np.where(_held(x, context.layout)[..., None], moved, x)


def _frames(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    """Frames are lost, each with this probability, and the others follow one another; two at least remain."""
    chance = rng.random(x.shape[1])
    kept = np.asarray(chance >= level)
    kept[np.argsort(chance)[-2:]] = True
    return x[:, kept]


def _rate(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    """Sampled at another rate, between two frames in which a joint is seen linearly, else at the earlier one."""
    at = np.arange(max(2, round(x.shape[1] * level))) / level
    at = np.minimum(at, x.shape[1] - 1)
    lower = at.astype(int)
    upper = np.minimum(lower + 1, x.shape[1] - 1)
    held = _held(x, context.layout)
    both = (held[:, lower] & held[:, upper])[..., None]
    weight = (at - lower)[:, None, None]
    return np.where(both, x[:, lower] * (1 - weight) + x[:, upper] * weight, x[:, lower])


def _scale(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    return x * level


def _about_vertical(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    return x @ _rotation(np.asarray(context.up, dtype=np.float64), level).T


def _tilt(x: Positions, level: float, rng: np.random.Generator, context: Context) -> Positions:
    """3-D: about the horizontal axis nearest to x, so that bodies lean; 2-D: within the image."""
    if context.layout.channels == 2:
        return x @ _rotation(np.array([0.0, 0.0, 1.0]), level)[:2, :2].T
    up = np.asarray(context.up, dtype=np.float64) / np.linalg.norm(context.up)
    axis = np.eye(3)[0] if abs(up[0]) < 0.9 else np.eye(3)[1]
    return x @ _rotation(axis - (axis @ up) * up, level).T


def _rotation(axis: Float[np.ndarray, " 3"], degrees: float) -> Float[np.ndarray, "3 3"]:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


CORRUPTIONS: dict[str, Corruption] = {
    "joints": Corruption("{percent:g} % of the joints missing", _joints, random=True),
    "noise": Corruption("noise of {level:g} cm", _noise, random=True),
    "frames": Corruption("{percent:g} % of the frames lost", _frames, random=True),
    "rate": Corruption("frame rate times {level:g}", _rate, neutral=1.0),
    "scale": Corruption("body size times {level:g}", _scale, neutral=1.0),
    "camera": Corruption("camera turned by {level:g}°", _about_vertical, needs_depth=True),
    "tilt": Corruption("camera tilted by {level:g}°", _tilt),
    "turn": Corruption(
        "body turned by {level:g}° after preparation", _about_vertical, needs_depth=True, after_preparation=True
    ),
}
"""All kinds by name, in the order of tables."""


def choose_corruptions(names: Sequence[str], layout: Layout) -> tuple[tuple[str, ...], list[str]]:
    """The corruptions to evaluate.

    Args:
        names: Those asked for; "all" for all that the layout allows.
        layout: Of the clips.

    Returns:
        Names in the order of tables, and a line for each that "all" leaves out.

    Raises:
        InputError: A name is unknown, or needs depth, which the layout does not have.
    """
    for name in names:
        if name not in CORRUPTIONS and name != "all":
            raise InputError(f"unknown corruption {name!r}: {suggestion(name, [*CORRUPTIONS, 'all'])}")
    flat = [name for name, kind in CORRUPTIONS.items() if kind.needs_depth and layout.channels == 2]
    reason = f"layout {layout.name} is 2-D, and what another side of a body looks like needs depth"
    for name in names:
        if name in flat:
            raise InputError(f"corruption {name!r}: {reason}; leave it out, or use tilt, a turn within the image")
    chosen = set(CORRUPTIONS) - set(flat) if "all" in names else set(names)
    notes = [f"i2md: note: corruption {name} is left out: {reason}" for name in flat if "all" in names]
    return tuple(name for name in CORRUPTIONS if name in chosen), notes


def levels_of(settings: CorruptionSettings, name: str) -> tuple[float, ...]:
    """The levels of a corruption in increasing order, without the one at which nothing is corrupted."""
    neutral = CORRUPTIONS[name].neutral
    return tuple(sorted({float(level) for level in getattr(settings, name)} - {neutral}))


def context_of(clips: Clips) -> Context:
    """What the corruptions need to know of clips.

    Args:
        clips: Clips of any format and preparation. A centimetre is one in their unit; where that is not known, in the
            image, and where preparation has divided by the body's size, it is the 160th part of a body's span.
    """
    dataset = clips.dataset
    known = dataset.units in _UNITS and dataset.preparation not in SCALED
    centimetre = _UNITS[dataset.units] if known else _span(clips) / BODY_SPAN
    up = (0.0, 0.0, 1.0) if dataset.preparation in _ALONG_Z else dataset.layout.up
    return Context(dataset.layout, centimetre, up)


def _span(clips: Clips) -> float:
    """Median, over clips, of the largest side of the box around the first person."""
    spans = []
    for index in spread_evenly(len(clips), _MAX_EXAMINED):
        person = clips.read(int(index))[0].astype(np.float64)
        held = _held(person[None], clips.dataset.layout)[0]
        boxes = [np.ptp(frame[seen], axis=0).max() for frame, seen in zip(person, held, strict=True) if seen.any()]
        spans += [max(boxes)] if boxes else []
    return float(np.median(spans)) if spans else 1.0


def _before_the_camera(x: Positions, context: Context) -> Positions:
    """Bodies some metres away from the origin, where preparation would take its centre for a missing joint."""
    away = 100.0 * context.centimetre * np.array([0.3, 0.2, 2.5][: context.layout.channels])
    return np.where(_held(x, context.layout)[..., None], x + away, x)


def corrupt_clips(
    clips: Clips, name: str, level: float, seed: int, draw: int, context: Context
) -> list[Float32[np.ndarray, "_ _ joints channels"]]:
    """Corrupt clips, and prepare them again by their preset.

    Args:
        clips: The clips.
        name: A name of CORRUPTIONS.
        level: How much.
        seed: The random numbers of a clip follow from seed, draw, kind and the clip's name alone: every encoder and
            every run meets the same clips, and at a higher level the same joints and frames are lost, and more.
        draw: Number of the draw.
        context: What `context_of` gave.

    Returns:
        The clips as arrays (persons, frames, joints, channels).

    Raises:
        InputError: Nothing is left of a clip, or the level is impossible.
    """
    kind, preset = CORRUPTIONS[name], clips.dataset.preparation
    corrupted = []
    for clip, positions in zip(clips.columns["name"].tolist(), clips, strict=True):
        digest = hashlib.sha256(f"{seed} {draw} {name} {clip}".encode("utf-8", "surrogateescape")).digest()
        rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
        again = not kind.after_preparation and preset in preset_names() and preset != "none"
        x = positions.astype(np.float64)
        x = kind.apply(_before_the_camera(x, context) if again else x, level, rng, context).astype(np.float32)
        if again:
            prepared = prepare_positions(x, context.layout, preset)
            if isinstance(prepared, LeftOut):
                raise InputError(f"{clip}: {kind.name_level(level)}: {prepared.reason}; choose a lower level")
            x = prepared.positions
        corrupted.append(x)
    return corrupted
