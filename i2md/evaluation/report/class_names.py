"""Names of classes as a page shows them: no two of them alike, also where there is little room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


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
        length: Characters that a name may have. Where names would look alike wherever they are cut, they stay whole.

    >>> shortened_names(["wave", "draw a circle to the left", "draw a circle to the right"], 15)
    ['wave', 'draw a…he left', 'draw a…e right']
    >>> shortened_names(["put on the left shoe", "put on the right shoe"], 12)
    ['put…ft shoe', 'put…ht shoe']
    """
    short = [_cut(name, length, (length - 1) // 2) for name in names]
    for alike in (name for name, times in Counter(short).items() if times > 1):
        members = [i for i, name in enumerate(short) if name == alike]
        others = {name for i, name in enumerate(short) if i not in members}
        for i, name in zip(members, _cut_apart([names[i] for i in members], others, length), strict=True):
            short[i] = name
    return short if len(set(short)) == len(names) else list(names)


def _cut_apart(names: Sequence[str], taken: set[str], length: int) -> list[str]:
    """Names cut at the same place, the one nearest to their middle by which all of them differ."""
    for head in sorted(range(length), key=lambda head: abs(head - length // 2)):
        cut = [_cut(name, length, head) for name in names]
        if len(set(cut)) == len(cut) and not taken & set(cut):
            return cut
    return list(names)


def _cut(name: str, length: int, head: int) -> str:
    """The first `head` characters of a name and its last ones, `length` with the ellipsis between them."""
    if len(name) <= length:
        return name
    tail = length - 1 - head
    return f"{name[:head].rstrip()}{_ELLIPSIS}{name[len(name) - tail :].lstrip()}"
