"""What a Kinect takes for a further person: someone passing, a coat on a chair, a heap that is no body."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from i2md.synthetic.actors import act, body_of, film

KINDS = ("passing", "still", "shapeless")
# Someone passing is seen for this many frames (both included).
PASSING_FRAMES = (3, 11)
# A coat on a chair is this much smaller than a person.
STILL_SIZE = 0.5
# Subjects of this number and above are nobody's.
_STRANGERS = 10_000


class Ghost(NamedTuple):
    """Something taken for a person from frame `start` on."""

    kind: str
    start: int
    positions: Float[np.ndarray, "frames 25 3"]


def draw_ghost(kind: str, frames: int, seed: int, chance: np.random.Generator) -> Ghost:
    """One of KINDS, in camera space, in a clip of `frames` frames: beside the people, metres."""
    stranger = _STRANGERS + int(chance.integers(100))
    length = (
        min(frames, int(chance.integers(PASSING_FRAMES[0], PASSING_FRAMES[1] + 1))) if kind == "passing" else frames
    )
    start = int(chance.integers(frames - length + 1))
    body = body_of(seed, stranger, act(seed, stranger, int(chance.integers(18)), length, chance))
    if kind == "still":
        body = np.repeat(body[:1], length, axis=0) * STILL_SIZE
    if kind == "shapeless":
        # Lying across: from head to foot it is as wide as a person is tall.
        body = body[..., [1, 0, 2]] + chance.normal(0, 0.05, body.shape)
    beside = np.array([chance.choice([-1, 1]) * chance.uniform(1.0, 1.8), 0.0, chance.uniform(0.0, 0.6)])
    seen, _ = film(body[None], 0.0 if kind == "shapeless" else chance.uniform(-60, 60), chance)
    return Ghost(kind, start, seen[0] + beside)
