"""Which of many clips a page shows: by name, or a few of each class, spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from jaxtyping import Int64

from i2md.data.missing import missing_joints
from i2md.data.store import Clips
from i2md.errors import InputError, suggestion
from i2md.pages.skeletons import even_steps

# Of more clips this many are examined for missing joints.
_EXAMINED = 300
# This part of the clips shown are those with the most missing joints.
_WORST = 0.25


def named_clips(clips: Clips, patterns: Sequence[str], most: int) -> Int64[np.ndarray, " chosen"]:
    """Choose clips by name.

    Args:
        clips: Opened clips.
        patterns: Names, in which * stands for any text and ? for any character.
        most: How many to choose at most, at even steps of those that match.

    Returns:
        Ascending indices.

    Raises:
        InputError: No clip matches one of the patterns; the message suggests a name.
    """
    names = [str(name) for name in clips.columns["name"]]
    found: set[int] = set()
    for pattern in patterns:
        matching = [index for index, name in enumerate(names) if name == pattern or fnmatchcase(name, pattern)]
        if not matching:
            hint = suggestion(pattern, names, otherwise=f"the first is {names[0]!r}") if names else "it has no clips"
            raise InputError(f"{clips.path}: no clip is named {pattern[:80]!r}; {hint}")
        found.update(matching)
    chosen = np.array(sorted(found), dtype=np.int64)
    return chosen[even_steps(len(chosen), most)]


def choose_clips(clips: Clips, most: int) -> tuple[Int64[np.ndarray, " chosen"], str]:
    """Choose clips to look at: about as many of each class, at even steps, and some with the most missing joints.

    Args:
        clips: Opened clips.
        most: How many to choose at most.

    Returns:
        Their indices, ordered by class, and how they were chosen, a phrase.
    """
    count = len(clips)
    if count <= most:
        return _by_class(clips, np.arange(count)), "all of them"
    shares = {int(index): _missing_share(clips, int(index)) for index in even_steps(count, _EXAMINED)}
    worst = sorted((index for index, share in shares.items() if share > 0), key=lambda index: (-shares[index], index))
    worst = worst[: int(_WORST * most)]
    labels = np.array(clips.labels)
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    evenly = [int(group[len(group) // 2]) for group in groups]
    evenly = [evenly[place] for place in even_steps(len(evenly), most - len(worst))]
    ranked = [group[even_steps(len(group), most)] for group in groups]
    for rank in range(most):
        evenly += [int(group[_spread(len(group))[rank]]) for group in ranked if rank < len(group)]
    chosen = list(dict.fromkeys([*worst, *evenly]))[:most]
    how = "about as many of each class" if len(groups) > 1 else "at even steps"
    how += f", {len(worst)} of them those with the most missing joints" if worst else ""
    return _by_class(clips, np.array(sorted(chosen))), how


def _spread(count: int) -> list[int]:
    """An order of `count` places of which any first ones are spread evenly: bits reversed."""
    bits = max(1, (count - 1).bit_length())
    reversed_bits = (int(f"{place:0{bits}b}"[::-1], 2) for place in range(1 << bits))
    return [place for place in reversed_bits if place < count]


def _by_class(clips: Clips, indices: Int64[np.ndarray, " chosen"]) -> Int64[np.ndarray, " chosen"]:
    labels = np.array(clips.labels)[indices]
    return indices[np.argsort(np.where(labels < 0, np.iinfo(np.int64).max, labels), kind="stable")]


def _missing_share(clips: Clips, index: int) -> float:
    return float(missing_joints(clips.read(index), clips.dataset.layout).mean())
