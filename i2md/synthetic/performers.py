"""Who performs the generated actions, and how: no two do the same alike, and no one does so twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from i2md.synthetic.actions import Action, follow, mirror
from i2md.synthetic.kinematics import Body, Motion

FPS = 30.0
LEFT_HANDED = 0.35
# Degrees that every angle drifts by.
SWAY = 6.0


@dataclass(frozen=True)
class Performer:
    """Someone's build and habits: `posture` is in degrees, `tempo` and `reach` are multiples of the common."""

    body: Body
    tempo: float
    reach: float
    left_handed: bool
    posture: dict[str, float]


def draw_performer(rng: np.random.Generator) -> Performer:
    """Somebody, from 15 % shorter to 15 % taller than usual."""
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
    who: Performer,
    habit: np.random.Generator,
    chance: np.random.Generator,
    shortest: int = 40,
    longest: int = 120,
) -> Motion:
    """Angles of one performance: the score with this performer's habits, and what no one does twice alike.

    It takes `shortest` to `longest` frames: the rest of it is cut, the last pose is held.
    """
    seconds = action.seconds / (who.tempo * habit.uniform(0.85, 1.15) * chance.uniform(0.9, 1.1))
    before, after = chance.uniform(0.0, 0.8, size=2)
    frames = int(np.clip(round((before + seconds + after) * FPS), shortest, longest))
    at = (np.arange(frames) / FPS - before) / seconds
    score = follow(action, at, _key_times(action, habit, chance))
    for channel in score:
        share = who.reach * habit.uniform(0.6, 1.25) * chance.uniform(0.9, 1.1)
        score[channel] = score[channel] * (share if channel != "turn" else 1.0)
    if who.left_handed and not action.sided:
        score = mirror(score)
    idle = {c: v + _drift(frames, chance, SWAY) for c, v in who.posture.items()}
    idle |= {c: _drift(frames, chance, SWAY) for c in ("turn", "left arm forward", "right arm forward")}
    still = np.zeros(frames)
    return {c: score.get(c, still) + idle.get(c, still) for c in sorted({*score, *idle})}


def _key_times(action: Action, habit: np.random.Generator, chance: np.random.Generator) -> Float[np.ndarray, " keys"]:
    """When the key poses are reached: each pause between them a little longer or shorter, 1 at the last."""
    pauses = np.diff([time for time, _ in action.keys])
    pauses = pauses * habit.uniform(0.7, 1.3, pauses.shape) * chance.uniform(0.85, 1.15, pauses.shape)
    times = np.concatenate([[0.0], np.cumsum(pauses)])
    return times / times[-1]


def _drift(frames: int, rng: np.random.Generator, size: float) -> Float[np.ndarray, " frames"]:
    """Slow swaying about zero: three sinusoids of less than one cycle a second."""
    rate, phase = rng.uniform(0.1, 0.9, size=(3, 1)), rng.uniform(0, 2 * np.pi, size=(3, 1))
    waves = np.sin(2 * np.pi * rate * np.arange(frames) / FPS + phase)
    return size * (rng.normal(size=(1, 3)) @ waves)[0] / np.sqrt(3)
