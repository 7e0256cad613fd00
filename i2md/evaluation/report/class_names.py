"""Names of classes as a page shows them: no two of them alike, also where there is little room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import combinations

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
# Letters by which names have to differ for a reader to see it at once, where a cut can bring it about.
_CLEARLY = 3


def full_names(names: Sequence[str], count: int) -> list[str]:
    """Name the classes 0 to `count` - 1; no two names are equal.

    Args:
        names: Names of the first classes; a later one is called "class" and its number.
        count: Number of classes.

    >>> full_names(["wave", "sit", "wave"], 4)
    ['wave (class 0)', 'sit', 'wave (class 2)', 'class 3']
    """
    named = [names[i] if i < len(names) and names[i].strip() else f"class {i}" for i in range(count)]
    # A class may be called like the replacement of another: then the names that are left alone give way, too.
    for _ in range(count):
        times = Counter(named)
        if len(times) == count:
            break
        named = [f"{name} (class {i})" if times[name] > 1 else name for i, name in enumerate(named)]
    return named


def shortened_names(names: Sequence[str], length: int) -> list[str]:
    """Cut the middle out of names that are too long, so that no two of them look alike.

    Args:
        names: Names, no two of them equal.
        length: Characters that a name may have. Where names would be equal wherever they are cut, they stay whole.

    >>> shortened_names(["wave", "draw a circle to the left", "draw a circle to the right"], 15)
    ['wave', 'draw a…he left', 'draw a…e right']
    >>> shortened_names(["draw circle (clockwise)", "draw circle (counter clockwise)"], 22)
    ['draw c…cle (clockwise)', 'draw c…nter clockwise)']
    """
    short = [_cut(name, length, (length - 1) // 2) for name in names]
    for members in _alike(short):
        cut = _cut_apart([names[i] for i in members], length)
        for i, name in zip(members, cut, strict=True):
            short[i] = name
    return short if len(set(short)) == len(names) else list(names)


def _alike(names: Sequence[str]) -> list[list[int]]:
    """Groups of names, by their indices, that differ from another of the group in fewer than three characters."""
    groups: list[list[int]] = []
    for i, name in enumerate(names):
        found = [group for group in groups if any(_difference(name, names[j]) < _CLEARLY for j in group)]
        groups = [group for group in groups if group not in found] + [[i, *(j for group in found for j in group)]]
    return [group for group in groups if len(group) > 1 and any(_ELLIPSIS in names[i] for i in group)]


def _cut_apart(names: Sequence[str], length: int) -> list[str]:
    """Names cut at the same place, the one by which they differ the most; whole where they would be equal."""
    middle = (length - 1) // 2
    cuts = [
        [_cut(name, length, head) for name in names] for head in sorted(range(length), key=lambda h: abs(h - middle))
    ]
    best = max(cuts, key=lambda cut: min(_CLEARLY, *(_difference(a, b) for a, b in combinations(cut, 2))))
    return best if len(set(best)) == len(best) else list(names)


def _difference(first: str, second: str) -> int:
    """Number of letters and digits of the longer of two names that have no counterpart in the other."""
    a, b = ("".join(filter(str.isalnum, name)).casefold() for name in (first, second))
    matches = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return max(len(a), len(b)) - sum(match.size for match in matches)


def _cut(name: str, length: int, head: int) -> str:
    """The first `head` characters of a name and its last ones, `length` with the ellipsis between them."""
    if len(name) <= length:
        return name
    tail = length - 1 - head
    return f"{name[:head].rstrip()}{_ELLIPSIS}{name[len(name) - tail :].lstrip()}"
