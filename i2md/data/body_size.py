"""Bodies of one size: divided by the length of the trunk, or by the mean length of limbs that are made rigid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from i2md.skeletons import Layout

Positions = Float[np.ndarray, "persons frames joints channels"]

# A bone is not stretched to more than so many times what is seen of it in a frame: a joint that two sensors' glitches
# put on top of its parent has no direction.
MAX_STRETCH = 3.0
# A body spans about so many lengths of its trunk.
SPAN_OF_TRUNK = 3.5


def to_unit_trunk(persons: Positions, layout: Layout) -> Positions:
    """Divide positions by the length of the first person's trunk, its median over the frames.

    Args:
        persons: Positions; all-zero frames mean that a person is not seen.
        layout: The joints.

    Returns:
        Positions of the same shape. Where the trunk is never seen, its length is taken for 1 / SPAN_OF_TRUNK of what
        the body spans; where nothing is, positions are unchanged.
    """
    held = _held(persons, layout)[0]
    lower, upper = layout.spine
    both = held[:, lower] & held[:, upper]
    lengths = np.linalg.norm(persons[0, both, upper] - persons[0, both, lower], axis=-1)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        lengths = _spans(persons[0], held) / SPAN_OF_TRUNK
    return persons / np.median(lengths) if len(lengths) else persons


def _spans(person: Float[np.ndarray, "frames joints channels"], held: Bool[np.ndarray, "frames joints"]) -> np.ndarray:
    """The diagonal of the box around the joints seen, in frames where there are at least two."""
    several = held.sum(axis=1) > 1
    low, high = (np.where(held[several, :, None], person[several], beyond) for beyond in (np.inf, -np.inf))
    spans = np.linalg.norm(high.max(axis=1) - low.min(axis=1), axis=-1)
    return spans[spans > 0]


def to_rigid_bodies(persons: Positions, layout: Layout) -> Positions:
    """Give each bone of a person one length throughout the clip, and each person the same size.

    A bone's length is its median over the frames, averaged over the two sides of the body. A person's size is the mean
    of these lengths, so that the mean bone has length 1. Directions of bones and proportions of the body stay; joints
    that are missing stay zero, and joints below them keep their place relative to the last joint that is seen.

    Args:
        persons: Positions; all-zero frames mean that a person is not seen, all-zero joints that they are missing. The
            centre joint of a frame that is seen may lie at the origin.
        layout: The joints.

    Returns:
        Positions of the same shape: each body divided by its own size, its centre's path by that of the first person.
    """
    held = _held(persons, layout)
    parents = list(layout.parents)
    bones = persons - persons[:, :, parents]
    lengths = np.linalg.norm(bones, axis=-1)
    known = held & held[:, :, parents] & (lengths > 0)
    wanted, sizes = _lengths_and_sizes(lengths, known, layout)
    factors = np.divide(wanted[:, None], lengths, out=np.ones_like(lengths), where=known)
    moved = np.where(known, np.minimum(factors, MAX_STRETCH) - 1, 0.0)[..., None] * bones
    for joint in _from_root(layout):
        moved[:, :, joint] += moved[:, :, layout.parents[joint]]
    # The body is put together again around its centre.
    moved -= moved[:, :, layout.centre, None]
    centre = persons[:, :, layout.centre, None]
    body = (persons + moved - centre) / sizes[:, None, None, None]
    return np.where(held[..., None], centre / sizes[0] + body, 0.0)


def _held(persons: Positions, layout: Layout) -> Bool[np.ndarray, "persons frames joints"]:
    held = np.asarray(persons.any(axis=-1))
    held[..., layout.centre] |= held.any(axis=-1)
    return held


def _lengths_and_sizes(
    lengths: Float[np.ndarray, "persons frames joints"],
    known: Bool[np.ndarray, "persons frames joints"],
    layout: Layout,
) -> tuple[Float[np.ndarray, "persons joints"], Float[np.ndarray, " persons"]]:
    """The length that each bone is to have, 0 where it is never seen, and the size of each person.

    A person without any bone is as large as the first one with some.
    """
    medians = np.ma.median(np.ma.array(lengths, mask=~known), axis=1)
    sides = np.ma.stack([medians, medians[:, list(layout.mirror)]]).mean(axis=0)
    sizes = np.asarray(sides.mean(axis=1).filled(0.0))
    seen = sizes[sizes > 0]
    return np.asarray(sides.filled(0.0)), np.where(sizes > 0, sizes, seen[0] if len(seen) else 1.0)


def _from_root(layout: Layout) -> list[int]:
    """All joints but the root, each after its parent."""
    order = [layout.root]
    for joint in order:
        order += [child for child, parent in enumerate(layout.parents) if parent == joint and child != joint]
    return order[1:]
