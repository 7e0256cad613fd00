"""Choose the actors of a clip among the bodies that a sensor tracked, as later work on NTU RGB+D does.

Kinect v2 takes coats and furniture for persons, tracks persons who walk by, and gives a person that it lost and found
again a new number. The thresholds are those of the preparation that CTR-GCN (Chen et al., ICCV 2021) made common:
bodies seen in 11 frames or fewer, and bodies that are more than 0.8 times as wide as tall in 69.754 % of their frames
or more, are noise; of the others those that move most are the actors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from i2md.skeletons import Layout

MAX_NOISE_FRAMES = 11
MAX_WIDTH_RATIO = 0.8
WIDE_FRACTION = 0.69754
MAX_ACTORS = 2

Bodies = Float[np.ndarray, "bodies frames joints 3"]


def choose_actors(bodies: Bodies, layout: Layout, actors: int) -> Bodies:
    """Choose one or two actors among tracked bodies.

    A single body is always kept. Of several, those seen for too few frames are removed, then those without a human
    shape, unless none would be left. The others are taken in the order of their motion: a body seen only before or
    only after an actor is that actor, tracked again; else it is the next actor, or left out.

    Args:
        bodies: Positions of all bodies, zeros in frames in which a body is not seen.
        layout: Their joints.
        actors: 1 or 2.

    Returns:
        The actors, the one that moves most first; zeros in frames in which one is not seen.

    >>> from i2md.skeletons import get_layout
    >>> choose_actors(np.ones((1, 5, 25, 3)), get_layout("kinect-v2"), actors=2).shape
    (1, 5, 25, 3)
    """
    seen = _seen(bodies)
    wide = _wide(bodies, layout) & seen
    kept = [body for body in range(len(bodies)) if seen[body].any()]
    for noise in (seen.sum(axis=1) <= MAX_NOISE_FRAMES, wide.sum(axis=1) >= WIDE_FRACTION * seen.sum(axis=1)):
        kept = [body for body in kept if not noise[body]] or kept
    motion = {body: _motion(bodies[body], seen[body], wide[body]) for body in kept}
    chosen: list[Float[np.ndarray, "frames joints 3"]] = []
    for body in sorted(kept, key=lambda body: -motion[body]):
        _add_to(bodies[body], chosen, actors)
    return np.stack(chosen) if chosen else bodies[:0]


def start_at_first(persons: Bodies, layout: Layout) -> Bodies:
    """Remove frames without any person, and move the origin to the first person's centre joint.

    The joint is taken in the first frame in which that person is seen; a person who is not seen stays zero.

    Args:
        persons: Positions, zeros in frames in which a person is not seen.
        layout: Their joints.
    """
    persons = persons[:, _seen(persons).any(axis=0)]
    seen = _seen(persons)
    origin = persons[0, seen[0].argmax(), layout.centre]
    return (persons - origin) * seen[..., None, None]


def _seen(bodies: Bodies) -> Bool[np.ndarray, "bodies frames"]:
    return np.any(bodies, axis=(2, 3))


def _wide(bodies: Bodies, layout: Layout) -> Bool[np.ndarray, "bodies frames"]:
    """Where a body's joints lie further apart across the sensor's view than MAX_WIDTH_RATIO times their height."""
    return np.ptp(bodies[..., 0], axis=-1) > MAX_WIDTH_RATIO * np.ptp(bodies @ np.asarray(layout.up), axis=-1)


def _motion(
    body: Float[np.ndarray, "frames joints 3"], seen: Bool[np.ndarray, " frames"], wide: Bool[np.ndarray, " frames"]
) -> float:
    """The variance of x, y and z over joints and frames, summed; over the frames of human shape where it is less."""
    parts = [body[seen], body[seen & ~wide]]
    return min(float(part.reshape(-1, 3).var(axis=0).sum()) for part in parts if len(part))


def _add_to(
    body: Float[np.ndarray, "frames joints 3"], chosen: list[Float[np.ndarray, "frames joints 3"]], actors: int
) -> None:
    """Add the body to an actor that is never seen when it is, or as a further actor."""
    start, end = _first_and_last(body)
    for number, actor in enumerate(chosen):
        first, last = _first_and_last(actor)
        if end < first or last < start:
            chosen[number] = actor + body
            return
    if len(chosen) < actors:
        chosen.append(body)


def _first_and_last(body: Float[np.ndarray, "frames joints 3"]) -> Sequence[int]:
    seen = np.flatnonzero(body.any(axis=(1, 2)))
    return int(seen[0]), int(seen[-1])
