"""Long takes: one person performs one action after another, in some of them with a second person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from i2md.synthetic.actors import draw_motion, rotate, subject_positions
from i2md.synthetic.kinematics import Motion
from i2md.synthetic.performers import draw_performer

ACTION_FRAMES, LONG_FRAMES, PAUSE_FRAMES = (40, 240), (301, 450), (60, 200)
# Frames of the transition between an action and the neutral posture.
_EASING = 15
# Distance between the two persons in metres.
_APART = 1.1


@dataclass(frozen=True)
class TimedAction:
    """Class `number` from frame `start` to before `end`; `long` if it is longer than a benchmark sample."""

    number: int
    start: int
    end: int
    long: bool


@dataclass(frozen=True)
class Take:
    """Positions of two persons in metres, y up, around the origin; when each is present; and the actions."""

    persons: Float[np.ndarray, "2 frames 25 3"]
    present: Bool[np.ndarray, "2 frames"]
    actions: tuple[TimedAction, ...]


def draw_take(
    seed: int,
    subject: int,
    classes: Sequence[int],
    two_person_classes: Collection[int],
    actions: int,
    long_fraction: float,
    rng: np.random.Generator,
) -> Take:
    """Draw a take.

    Args:
        seed: Seed of the data set.
        subject: Number of the subject.
        classes: Class numbers, from 1, to draw from.
        two_person_classes: Those in which a second person takes part.
        actions: Number of actions; there is a pause before each and after the last.
        long_fraction: Fraction of actions that are longer than 300 frames.
        rng: Draws the rest.

    Returns:
        The take.
    """
    timed, motions, at = [], [], 0
    for _ in range(actions):
        at += int(rng.integers(PAUSE_FRAMES[0], PAUSE_FRAMES[1] + 1))
        number, long = int(rng.choice(classes)), bool(rng.random() < long_fraction)
        shortest, longest = LONG_FRAMES if long else ACTION_FRAMES
        length = int(rng.integers(shortest, longest + 1))
        timed.append(TimedAction(number, at, at + length, long))
        motions.append(draw_motion(seed, subject, number - 1, length, rng))
        at += length
    frames = at + PAUSE_FRAMES[0]
    posture = draw_performer(np.random.default_rng((seed, subject))).posture
    first = subject_positions(seed, subject, _sequence(timed, motions, posture, frames))
    persons, present = np.stack([first, np.zeros_like(first)]), np.zeros((2, frames), dtype=bool)
    present[0] = True
    for action in timed:
        if action.number in two_person_classes:
            other = subject + 1 + int(rng.integers(5))
            motion = draw_motion(seed, other, action.number - 1, action.end - action.start, rng)
            persons[1, action.start : action.end] = _facing(subject_positions(seed, other, motion), first[action.start])
            present[1, action.start : action.end] = True
    return Take(persons, present, tuple(timed))


def _sequence(
    timed: Sequence[TimedAction], motions: Sequence[Motion], posture: dict[str, float], frames: int
) -> dict[str, np.ndarray]:
    """The motions at their times, with transitions to the neutral posture between them."""
    joined = {}
    for channel in sorted(set(posture).union(*motions)):
        at, values = [0.0], [posture.get(channel, 0.0)]
        for action, motion in zip(timed, motions, strict=True):
            angles = motion.get(channel, np.zeros(action.end - action.start))
            at += [action.start - _EASING, *range(action.start, action.end), action.end + _EASING]
            values += [posture.get(channel, 0.0), *angles, posture.get(channel, 0.0)]
        joined[channel] = np.interp(np.arange(frames), at, values)
    return joined


def _facing(
    body: Float[np.ndarray, "frames 25 3"], first: Float[np.ndarray, "25 3"]
) -> Float[np.ndarray, "frames 25 3"]:
    """Place a body to the right of the first person and rotate it to face them."""
    beside = np.array([first[0, 0] + _APART, 0.0, first[0, 2]])
    return rotate(body, 90.0) + beside
