"""Which training clips keep their labels: draws that are the same on every machine, whatever order the clips are in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

# Places of clips in the training part.
Chosen = Int64[np.ndarray, " chosen"]


def draw_share(
    names: Sequence[str], labels: Int64[np.ndarray, " clips"], share: float, balanced: bool, seed: int, draw: int
) -> Chosen:
    """Places, ascending, of the clips that keep their labels.

    `balanced` takes the share of each class, to the nearest clip and at least one; otherwise it is taken of all clips
    alike and rounded down, as the official program does. Draws of one number are nested: 1 % is part of 5 %.
    """
    order = _shuffled(names, seed, draw)
    if not balanced:
        return np.sort(order[: max(1, int(len(names) * share))])
    counts = np.bincount(labels)
    return _first_of_each_class(order, labels, np.maximum(1, (counts * share + 0.5).astype(np.int64)))


def draw_few(names: Sequence[str], labels: Int64[np.ndarray, " clips"], few: int, seed: int, draw: int) -> Chosen:
    """Places, ascending, of `few` clips of each class, of all where a class has no more.

    >>> draw_few(["a", "b", "c", "d"], np.array([0, 0, 0, 1]), few=1, seed=0, draw=0)
    array([2, 3])
    """
    return _first_of_each_class(_shuffled(names, seed, draw), labels, np.full(labels.max() + 1, few))


def _first_of_each_class(
    order: Int64[np.ndarray, " clips"], labels: Int64[np.ndarray, " clips"], wanted: Int64[np.ndarray, " classes"]
) -> Chosen:
    return np.sort(np.concatenate([order[labels[order] == c][:count] for c, count in enumerate(wanted)]))


def _shuffled(names: Sequence[str], seed: int, draw: int) -> Int64[np.ndarray, " clips"]:
    """An order of the clips that their names decide: no generator, whose stream a later version might change."""
    keys = [hashlib.sha256(f"{seed}/{draw}/{name}".encode("utf-8", "surrogateescape")).digest() for name in names]
    return np.array(sorted(range(len(names)), key=keys.__getitem__), dtype=np.int64)
