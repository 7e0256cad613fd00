"""Distinct sample names of NTU RGB+D in the publisher's ranges, in an order that a seed shuffles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from i2md.data.readers.ntu_rgbd_splits import NAME, missing_names

_GOLDEN_SECTION = 0.6180339887


class Range(NamedTuple):
    """The first and last number of each part of a name, both included."""

    setup: tuple[int, int]
    camera: tuple[int, int]
    subject: tuple[int, int]
    trial: tuple[int, int]
    action: tuple[int, int]

    def size(self) -> int:
        """How many names there are."""
        return math.prod(last - first + 1 for first, last in self)

    def name(self, index: int) -> str:
        """The name of that index."""
        numbers = []
        for first, last in self:
            index, number = divmod(index, last - first + 1)
            numbers.append(first + number)
        return "S{:03d}C{:03d}P{:03d}R{:03d}A{:03d}".format(*numbers)

    def holds(self, name: str) -> bool:
        """Whether a name is of this range."""
        numbers = map(int, NAME.fullmatch(name).groups())  # type: ignore[union-attr]
        return all(first <= number <= last for number, (first, last) in zip(numbers, self, strict=True))


# NTU-120 is NTU-60 and a second part.
_NTU_60 = Range((1, 17), (1, 3), (1, 40), (1, 2), (1, 60))
_ADDED_120 = Range((18, 32), (1, 3), (1, 106), (1, 2), (61, 120))
EDITIONS = {"ntu60": (_NTU_60,), "ntu120": (_NTU_60, _ADDED_120)}


def available_names(edition: str, seed: int) -> Iterator[str]:
    """Names that are not on the publisher's list of incomplete samples, each once, the two parts in turn."""
    parts = [_shuffled(part, seed) for part in EDITIONS[edition]]
    for names in zip(*parts, strict=False):
        yield from (name for name in names if name not in missing_names())


def most_names(edition: str) -> int:
    """How many names `available_names` surely yields."""
    parts = EDITIONS[edition]
    return len(parts) * (min(part.size() for part in parts) - len(missing_names()))


def listed_names(edition: str, seed: int) -> Iterator[str]:
    """The names on the publisher's list of incomplete samples, 302 of NTU-60 and 535 of NTU-120, shuffled."""
    listed = sorted(name for name in missing_names() if any(part.holds(name) for part in EDITIONS[edition]))
    yield from (listed[at] for at in np.random.default_rng((seed, len(listed))).permutation(len(listed)))


def _shuffled(part: Range, seed: int) -> Iterator[str]:
    """Every name once: steps of about the golden section of all, from a start that the seed draws."""
    size = part.size()
    step = round(size * _GOLDEN_SECTION)
    while math.gcd(step, size) > 1:
        step += 1
    start = int(np.random.default_rng((seed, size)).integers(size))
    return (part.name((start + at * step) % size) for at in range(size))
