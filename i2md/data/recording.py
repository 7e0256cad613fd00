"""What readers return: a Source, which yields one Recording at a time, before preparation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from i2md.data.splits import Split
from i2md.errors import InputError
from i2md.skeletons import Layout

UNKNOWN = -1
# One second at 30 frames a second.
MAX_GAP = 30


class Interval(NamedTuple):
    """An action inside a longer recording: frames from `start` to before `end`, and its label."""

    start: int
    end: int
    label: int


@dataclass(frozen=True)
class Recording:
    """One recording as its file holds it; a person absent from a frame is all zeros there.

    Numbers that the format does not contain are UNKNOWN.

    Attributes:
        name: Name of the clip, unique in the source.
        positions: Joint positions in the source's units.
        label: Index into the source's class names. An untrimmed recording has none, but `intervals`.
        subject: Number of the subject.
        camera: Number of the camera.
        setup: Number of the setup.
        trial: Number of the repetition.
        fps: Frames per second; 0 if unknown.
        source: The file, as messages name it.
        intervals: The actions labelled in an untrimmed recording.
        actors: How many persons take part in the labelled action.
        not_read: What of its file or label is not in the recording, a phrase each; prepare counts them.
        counts: What the reader took for missing, put in order or left out within the recording; prepare adds them up.
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
    not_read: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unreadable:
    """A file that yields no clip, and why."""

    source: str
    """Name of the file."""
    reason: str
    """Why it can't be read, in one line with the file's name; a longer one than MAX_MESSAGE is cut."""

    def __post_init__(self) -> None:
        # As an InputError: names and values of damaged files may have any length and hold line breaks.
        object.__setattr__(self, "reason", str(InputError(self.reason)))


@runtime_checkable
class Divisible(Protocol):
    """A `read` of which parts can be read on their own, so that several processes share it, and it can be resumed.

    `len` counts its units (files, rows); `part(a, b)` reads units a to b - 1, and can be pickled. Starting a part
    should cost little compared with reading it.
    """

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Callable[[], Iterator[Recording | Unreadable]]:
        """The pass over units `start` to `stop` - 1."""


@dataclass(frozen=True)
class Source:
    """A folder or file of recordings, opened by a reader.

    Attributes:
        name: Name of the data set.
        layout: Joints of every frame.
        class_names: Names of the labels 0, 1, ...
        units: Unit of the coordinates, "m" or "unknown" for example.
        preset: The preparation that suits the format, a name of `i2md.data.presets`.
        read: Starts a new pass over the recordings, one at a time in memory; Divisible if possible.
        count: The number of recordings, if it is known beforehand.
        splits: The publisher's splits.
        left_out: Recordings that are there and not read, counted by reason, such as those on a publisher's list.
        untrimmed: The untrimmed recordings that the clips are cut from, with their intervals, if there are any.
        prepared: The preparation that the recordings have had already; no other can follow it.
        converted: How units, axes and joints of the file were described, where the recordings were converted.
        recognised: What the format was taken for and why, where it was recognised rather than given.
        options: Further options that decide what the recordings hold, by name.
        max_gap: A joint that has no value (NaN) for up to so many frames is interpolated in time.
        read_all_bodies: A pass like `read` that yields all bodies that were tracked, if `read` chooses among them.
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
    read_all_bodies: Callable[[], Iterator[Recording | Unreadable]] | None = None
    converted: Mapping[str, str] = field(default_factory=dict)
    recognised: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    max_gap: int = MAX_GAP
