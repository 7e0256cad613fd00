"""Several numbers after one option, as they are typed: --semi.label_fractions 0.05 0.1."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import takewhile

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def with_number_lists(words: list[str], options: Collection[str]) -> list[str]:
    """The words, the numbers after each of these options taken together, as the parser takes them.

    >>> with_number_lists(["run", "--knn.k", "1", "5", "--seed", "3"], {"--knn.k"})
    ['run', '--knn.k', '[1,5]', '--seed', '3']
    """
    joined: list[str] = []
    at = 0
    while at < len(words):
        joined.append(words[at])
        numbers = list(takewhile(_NUMBER.fullmatch, words[at + 1 :])) if words[at] in options else []
        if numbers:
            joined.append(f"[{','.join(numbers)}]")
        at += 1 + len(numbers)
    return joined
