"""A long take of one person at one action after another, now and then with a second person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from i2md.synthetic.actors import act, body_of, turned
from i2md.synthetic.kinematics import Motion
from i2md.synthetic.performers import draw_performer

ACTION_FRAMES, LONG_FRAMES, PAUSE_FRAMES = (40, 240), (301, 450), (60, 200)
# Frames in which a pose is left or taken up.
_EASING = 15
# How far the second person stands from the first, metres.
_APART = 1.1


@dataclass(frozen=True)
class Timed:
    """Action `number` from frame `start` to before `end`; `long` where it was meant to be too long."""

    number: int
    start: int
    end: int
    long: bool


@dataclass(frozen=True)
class Take:
    """Two people, the second there at times only, around the origin, metres, y up; and what they do."""

    persons: Float[np.ndarray, "2 frames 25 3"]
    present: Bool[np.ndarray, "2 frames"]
    actions: tuple[Timed, ...]


def draw_take(
    seed: int,
    subject: int,
    classes: Sequence[int],
    of_two: Collection[int],
    actions: int,
    long_share: float,
    chance: np.random.Generator,
) -> Take:
    """A take of `subject` at `actions` actions drawn from `classes`, a pause before each and after the last."""
    timed, motions, at = [], [], 0
    for _ in range(actions):
        at += int(chance.integers(PAUSE_FRAMES[0], PAUSE_FRAMES[1] + 1))
        number, long = int(chance.choice(classes)), bool(chance.random() < long_share)
        shortest, longest = LONG_FRAMES if long else ACTION_FRAMES
        length = int(chance.integers(shortest, longest + 1))
        timed.append(Timed(number, at, at + length, long))
        motions.append(act(seed, subject, number - 1, length, chance))
        at += length
    frames = at + PAUSE_FRAMES[0]
    posture = draw_performer(np.random.default_rng((seed, subject))).posture
    first = body_of(seed, subject, _in_turn(timed, motions, posture, frames))
    persons, present = np.stack([first, np.zeros_like(first)]), np.zeros((2, frames), dtype=bool)
    present[0] = True
    for action in timed:
        if action.number in of_two:
            other = subject + 1 + int(chance.integers(5))
            motion = act(seed, other, action.number - 1, action.end - action.start, chance)
            persons[1, action.start : action.end] = _beside(body_of(seed, other, motion), first[action.start])
            present[1, action.start : action.end] = True
    return Take(persons, present, tuple(timed))


def _in_turn(
    timed: Sequence[Timed], motions: Sequence[Motion], posture: dict[str, float], frames: int
) -> dict[str, np.ndarray]:
    """The motions at their times; between them every angle eases to the posture and from it to the next."""
    joined = {}
    for channel in sorted(set(posture).union(*motions)):
        at, values = [0.0], [posture.get(channel, 0.0)]
        for action, motion in zip(timed, motions, strict=True):
            angles = motion.get(channel, np.zeros(action.end - action.start))
            at += [action.start - _EASING, *range(action.start, action.end), action.end + _EASING]
            values += [posture.get(channel, 0.0), *angles, posture.get(channel, 0.0)]
        joined[channel] = np.interp(np.arange(frames), at, values)
    return joined


def _beside(
    body: Float[np.ndarray, "frames 25 3"], first: Float[np.ndarray, "25 3"]
) -> Float[np.ndarray, "frames 25 3"]:
    """To the right of where the first person then stands, turned towards them."""
    beside = np.array([first[0, 0] + _APART, 0.0, first[0, 2]])
    return turned(body, 90.0) + beside
