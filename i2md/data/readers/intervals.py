"""Actions marked in a longer recording: its clips, one an action, and the whole of it with its intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from i2md.data.readers.files import BadFile
from i2md.data.readers.reading import without_absent_people
from i2md.data.recording import Interval, Recording, Unreadable


class Mark(NamedTuple):
    """An action as a label file marks it, right or wrong: frames from `start` to before `end`.

    `name` is the clip's name and `said` the label file's own words.
    """

    name: str
    said: str
    start: int
    end: int
    label: int


def interval_of(mark: Mark, frames: int) -> Interval:
    """The part of the mark that lies within a recording of so many frames; BadFile where none does.

    >>> interval_of(Mark("walk", "walk: 8 14", 8, 14, 0), frames=10)
    Interval(start=8, end=10, label=0)
    """
    if mark.start >= mark.end:
        raise BadFile("it ends before it starts" if mark.start > mark.end else "it holds no frame")
    if mark.start >= frames or mark.end <= 0:
        raise BadFile(f"it lies outside the recording's {frames} frames")
    return Interval(max(mark.start, 0), min(mark.end, frames), mark.label)


def clips_of(whole: Recording, marks: Sequence[Mark], most: int | None = None) -> Iterator[Recording | Unreadable]:
    """A clip for each mark, of its first `most` frames and the people seen in them, or why there is none."""
    for mark in marks:
        try:
            interval = interval_of(mark, whole.positions.shape[1])
        except BadFile as error:
            yield Unreadable(whole.source, f"{whole.source}: {mark.name} ({mark.said}): {error}")
            continue
        end = interval.end if most is None else min(interval.end, interval.start + most)
        positions = without_absent_people(whole.positions[:, interval.start : end])
        yield replace(whole, name=mark.name, positions=positions, label=interval.label)


def with_intervals(whole: Recording, marks: Sequence[Mark]) -> Recording:
    """The whole recording, of the people seen in it, with those of the marks that lie in it."""
    fitting = []
    for mark in marks:
        try:
            fitting.append(interval_of(mark, whole.positions.shape[1]))
        except BadFile:
            # Named and counted where the clips are cut.
            continue
    return replace(whole, positions=without_absent_people(whole.positions), intervals=tuple(fitting))
