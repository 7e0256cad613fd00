"""Passes over rows of arrays, which several processes can share where a row can be reached without those before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from i2md.data.readers.arrays.rows import Rows
from i2md.data.recording import Recording, Unreadable


class Clips(Protocol):
    """Clips that are the rows of one array."""

    @property
    def rows(self) -> Rows:
        """The array."""

    def part(self, start: int, stop: int) -> Clips:
        """The clips from `start` to before `stop`."""

    def __iter__(self) -> Iterator[Recording | Unreadable]: ...


@dataclass(frozen=True)
class _Pass:
    arrays: tuple[Clips, ...]

    def __len__(self) -> int:
        return sum(clips.rows.shape[0] for clips in self.arrays)

    def part(self, start: int, stop: int) -> _Pass:
        pieces, first = [], 0
        for clips in self.arrays:
            size = clips.rows.shape[0]
            begin, end = max(start - first, 0), min(stop - first, size)
            if begin < end:
                pieces.append(clips.part(begin, end))
            first += size
        return _Pass(tuple(pieces))

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for clips in self.arrays:
            yield from clips


def pass_over(*arrays: Clips) -> Callable[[], Iterator[Recording | Unreadable]]:
    """A pass over one array after another; Divisible unless an array is compressed."""
    whole = _Pass(arrays)
    return whole if all(clips.rows.mapped for clips in arrays) else whole.__call__
