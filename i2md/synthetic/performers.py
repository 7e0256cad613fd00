"""The performers of synthetic actions: build and habits of a subject, and the variation between repetitions."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from i2md.synthetic.actions import Action, interpolate, mirror
from i2md.synthetic.kinematics import Body, Motion

FPS = 30.0
LEFT_HANDED = 0.35
# Amplitude in degrees of the slow drift of every angle.
SWAY = 6.0


@dataclass(frozen=True)
class Performer:
    """Build and habits of a subject: `posture` in degrees, `tempo` and `reach` relative to the average."""

    body: Body
    tempo: float
    reach: float
    left_handed: bool
    posture: dict[str, float]


def draw_performer(rng: np.random.Generator) -> Performer:
    """Draw a performer.

    Args:
        rng: Random numbers; the same state gives the same performer.

    Returns:
        A performer from 15 % shorter to 15 % taller than average.
    """
    height = rng.uniform(0.85, 1.15)
    body = Body(**{limb: length * height * rng.uniform(0.92, 1.08) for limb, length in asdict(Body()).items()})
    posture = {"lean": rng.uniform(-4, 10), "bend": rng.uniform(-4, 14), "nod": rng.uniform(-5, 20)}
    posture |= {"twist": rng.uniform(-8, 8), "side": rng.uniform(-4, 4)}
    stance, elbow = rng.uniform(1, 9), rng.uniform(5, 45)
    for side in ("left", "right"):
        posture |= {f"{side} arm out": rng.uniform(4, 22), f"{side} hip out": stance}
        posture |= {f"{side} elbow": elbow, f"{side} arm inward": rng.uniform(0, 40)}
    return Performer(body, rng.uniform(0.75, 1.35), rng.uniform(0.65, 1.1), rng.random() < LEFT_HANDED, posture)


def perform(
    action: Action,
    performer: Performer,
    habit_rng: np.random.Generator,
    rng: np.random.Generator,
    shortest: int = 40,
    longest: int = 120,
) -> Motion:
    """Draw one performance of an action.

    Args:
        action: The action.
        performer: Who performs it.
        habit_rng: Draws how this performer always does this action: give it the same seed for each repetition.
        rng: Draws what differs between repetitions.
        shortest: Minimum number of frames; the last pose is held.
        longest: Maximum number of frames; the rest is cut.

    Returns:
        Joint angles over time.
    """
    seconds = action.seconds / (performer.tempo * habit_rng.uniform(0.85, 1.15) * rng.uniform(0.9, 1.1))
    before, after = rng.uniform(0.0, 0.8, size=2)
    frames = int(np.clip(round((before + seconds + after) * FPS), shortest, longest))
    at = (np.arange(frames) / FPS - before) / seconds
    angles = interpolate(action, at, _key_times(action, habit_rng, rng))
    for channel in angles:
        scale = performer.reach * habit_rng.uniform(0.6, 1.25) * rng.uniform(0.9, 1.1)
        angles[channel] = angles[channel] * (scale if channel != "turn" else 1.0)
    if performer.left_handed and not action.sided:
        angles = mirror(angles)
    idle = {c: v + _drift(frames, rng, SWAY) for c, v in performer.posture.items()}
    idle |= {c: _drift(frames, rng, SWAY) for c in ("turn", "left arm forward", "right arm forward")}
    still = np.zeros(frames)
    return {c: angles.get(c, still) + idle.get(c, still) for c in sorted({*angles, *idle})}


def _key_times(action: Action, habit_rng: np.random.Generator, rng: np.random.Generator) -> Float[np.ndarray, " keys"]:
    """The times of the key poses, 1 at the last, with randomly scaled pauses between them."""
    pauses = np.diff([time for time, _ in action.keys])
    pauses = pauses * habit_rng.uniform(0.7, 1.3, pauses.shape) * rng.uniform(0.85, 1.15, pauses.shape)
    times = np.concatenate([[0.0], np.cumsum(pauses)])
    return times / times[-1]


def _drift(frames: int, rng: np.random.Generator, size: float) -> Float[np.ndarray, " frames"]:
    """Slow drift about zero: the sum of three sinusoids of less than 1 Hz."""
    rate, phase = rng.uniform(0.1, 0.9, size=(3, 1)), rng.uniform(0, 2 * np.pi, size=(3, 1))
    waves = np.sin(2 * np.pi * rate * np.arange(frames) / FPS + phase)
    return size * (rng.normal(size=(1, 3)) @ waves)[0] / np.sqrt(3)
