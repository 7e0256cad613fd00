"""Clips that are exact copies of one another: within a set, and across the parts of a split."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from i2md.data.store import Clips


class Copies(NamedTuple):
    """Clips of one part, and for each the clip of the other part that it is a copy of; indices."""

    clips: Int64[np.ndarray, " copies"]
    originals: Int64[np.ndarray, " copies"]


def find_originals(clips: Clips) -> Int64[np.ndarray, " clips"]:
    """For each clip the index of the first with the same content: its own, where there is none before it.

    Content is the number of people and frames and every coordinate, bit for bit; name and label don't count.
    Each clip is read once, and 16 bytes of it are kept.
    """
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(_digest(clips, index), index) for index in range(len(clips))], dtype=np.int64)


def copies_between(
    earlier: Int64[np.ndarray, " earlier"],
    later: Int64[np.ndarray, " later"],
    originals: Int64[np.ndarray, " clips"],
) -> Copies:
    """The clips `later` whose content is also among the clips `earlier`; `originals` as of `find_originals`.

    Of several equal clips in `earlier` the first is named.

    >>> copies_between(np.array([0, 1, 3]), np.array([2, 4]), np.array([0, 1, 1, 1, 4]))
    Copies(clips=array([2]), originals=array([1]))
    """
    holds = np.full(len(originals), -1)
    # Backwards, so that the first of several is what stays.
    holds[originals[earlier[::-1]]] = earlier[::-1]
    found = holds[originals[later]]
    return Copies(later[found >= 0], found[found >= 0])


def _digest(clips: Clips, index: int) -> bytes:
    clip = clips.read(index)
    content = blake2b(repr(clip.shape[:2]).encode(), digest_size=16)
    content.update(np.ascontiguousarray(clip).data)
    return content.digest()
