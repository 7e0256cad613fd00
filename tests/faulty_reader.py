"""Passes over recordings that fail on purpose, importable by worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i2md.data.recording import Interval, Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v1")


class Unpicklable(Exception):
    """An error that pickles, and can't be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@dataclass(frozen=True)
class FaultyPass:
    """`count` units; unit `at` fails as `fault` says, the others are recordings of `frames` frames.

    Fault `waits` reads from `pipe`, to which the third unit after it writes.
    """

    count: int
    at: int = -1
    fault: str = ""
    pipe: str = ""
    frames: int = 4
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def part(self, start: int, stop: int) -> FaultyPass:
        """Units `start` to `stop` - 1, which keep their numbers."""
        return replace(self, count=stop - start, first=self.first + start)

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """Unit after unit."""
        for index in range(self.first, self.first + self.count):
            if index == self.at:
                self._fail()
            if index == self.at + 3 and self.fault == "waits":
                Path(self.pipe).write_text("")
            if index == self.at and self.fault == "unreadable":
                yield Unreadable(f"{index}.txt", f"{index}.txt: line {index}: no number")
                continue
            # 0 to 3 clips, by the unit's number.
            for part in range(index % 4):
                positions = np.random.default_rng([index, part]).normal(size=(1, self.frames, 20, 3))
                intervals = tuple(Interval(2 * k, 2 * k + 1, k) for k in range(part))
                name = f"{index}-{part}"
                yield Recording(name, positions.astype(np.float32), source=f"{index}.txt", intervals=intervals)

    def _fail(self) -> None:
        print("a line of the reader")
        if self.fault == "waits":
            Path(self.pipe).read_text()
        if self.fault == "cannot be pickled":
            raise Unpicklable("one", "two")
        if self.fault == "refuses":
            raise InputError("mine.txt: nothing to be done; give another")
        if self.fault == "bug":
            raise ZeroDivisionError("by zero")
        if self.fault == "dies" and "I2MD_TEST_MAIN" not in os.environ:
            os._exit(9)


def faulty_source(count: int = 40, **how: object) -> Source:
    """A source of such units."""
    read = FaultyPass(count, **how)  # type: ignore[arg-type]
    return Source("odd", LAYOUT, ("a", "b"), "m", "none", read)
