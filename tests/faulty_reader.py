"""Passes over recordings that go wrong on purpose, importable by the processes that share the work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from i2md.data.recording import Interval, Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v1")


@dataclass(frozen=True)
class FaultyPass:
    """`count` pieces; piece `at` does what `fault` says, the others are recordings of `frames` frames."""

    count: int
    at: int = -1
    fault: str = ""
    frames: int = 4
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, stop: int) -> FaultyPass:
        """Pieces `start` to `stop` - 1, each knowing its place in the whole."""
        return replace(self, count=stop - start, first=self.first + start)

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """Piece after piece."""
        for index in range(self.first, self.first + self.count):
            if index == self.at:
                self._go_wrong()
            if index == self.at and self.fault == "unreadable":
                yield Unreadable(f"{index}.txt", f"{index}.txt: line {index}: no number")
                continue
            # As many clips of a piece as its number says, none for every fourth.
            for part in range(index % 4):
                positions = np.random.default_rng([index, part]).normal(size=(1, self.frames, 20, 3))
                intervals = tuple(Interval(2 * k, 2 * k + 1, k) for k in range(part))
                name = f"{index}-{part}"
                yield Recording(name, positions.astype(np.float32), source=f"{index}.txt", intervals=intervals)

    def _go_wrong(self) -> None:
        print("a reader that talks")
        if self.fault == "refuses":
            raise InputError("mine.txt: nothing to be done; give another")
        if self.fault == "bug":
            raise ZeroDivisionError("by zero")
        if self.fault == "dies" and "I2MD_TEST_MAIN" not in os.environ:
            os._exit(9)


def faulty_source(count: int = 40, **how: object) -> Source:
    """A source of such pieces."""
    read = FaultyPass(count, **how)  # type: ignore[arg-type]
    return Source("odd", LAYOUT, ("a", "b"), "m", "none", read)
