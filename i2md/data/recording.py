"""What a reader yields: one recording, in memory, before preparation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from i2md.data.splits import Split
from i2md.skeletons import Layout

UNKNOWN = -1


class Interval(NamedTuple):
    """An action inside a longer recording: frames from `start` to before `end`, and its label."""

    start: int
    end: int
    label: int


@dataclass(frozen=True)
class Recording:
    """One clip as its file holds it; a person absent from a frame is all zeros there.

    `positions` are in the source's units; `label` is 0-based into the source's class names. A number
    that the format does not tell is `UNKNOWN`, an unknown rate is 0. An untrimmed recording has no label
    of its own but the `intervals` that are labelled in it. `actors` is how many people act in what the label
    names.
    """

    name: str
    positions: Float32[np.ndarray, "persons frames joints channels"]
    label: int = UNKNOWN
    subject: int = UNKNOWN
    camera: int = UNKNOWN
    setup: int = UNKNOWN
    trial: int = UNKNOWN
    fps: float = 0.0
    source: str = ""
    intervals: tuple[Interval, ...] = ()
    actors: int = UNKNOWN


@dataclass(frozen=True)
class Unreadable:
    """A file that yields no clip, and why (one line, with the file's name)."""

    source: str
    reason: str


@runtime_checkable
class Divisible(Protocol):
    """A `read` of which parts can be read on their own: several processes share it, and one that stopped goes on.

    `len` counts its pieces (files, rows); `part(a, b)` reads pieces a to b - 1, and pickles. Beginning a part
    should cost little beside reading it.
    """

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Callable[[], Iterator[Recording | Unreadable]]:
        """The pass over pieces `start` to `stop` - 1."""


@dataclass(frozen=True)
class Source:
    """A folder or file of recordings, opened by a reader.

    `read()` starts a fresh pass that holds one recording at a time (where it can, a Divisible one); `count` is
    the number of recordings where it is known beforehand. `preset` is the preparation that suits the format
    (i2md.data.presets).
    `left_out` counts recordings that are there and not read, by reason, such as those on a publisher's list.
    `untrimmed` are the whole recordings that the clips were cut from, with their intervals, where there are any.
    `prepared` is the preparation that the recordings have had already; no other can follow it.
    `read_everybody` is a pass like `read` that yields all bodies that were tracked, where `read` chooses among them.
    """

    name: str
    layout: Layout
    class_names: tuple[str, ...]
    units: str
    preset: str
    read: Callable[[], Iterator[Recording | Unreadable]]
    count: int | None = None
    splits: Mapping[str, Split] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    untrimmed: Source | None = None
    prepared: str | None = None
    read_everybody: Callable[[], Iterator[Recording | Unreadable]] | None = None
