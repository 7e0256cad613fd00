"""What becomes of recordings: each is read and prepared, or left out and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from i2md.data.presets import LeftOut, prepare_positions
from i2md.data.recording import Recording, Unreadable
from i2md.skeletons import Layout


class Made(NamedTuple):
    """A clip, and what was mended in it."""

    clip: Recording
    frames_cut: int
    frames_filled: int
    people_absent: int


class Left(NamedTuple):
    """A recording that yields no clip, and why; `unreadable` where already its file was at fault."""

    source: str
    reason: str
    unreadable: bool


Outcome = Made | Left


class Piece(NamedTuple):
    """A part of a source and what is to be done with it: all that a process of its own needs to know."""

    read: Callable[[], Iterator[Recording | Unreadable]]
    layout: Layout
    preset: str

    def outcomes(self) -> list[Outcome]:
        """Read it and prepare it."""
        return list(outcomes(self.read(), self.layout, self.preset))


def outcomes(recordings: Iterable[Recording | Unreadable], layout: Layout, preset: str) -> Iterator[Outcome]:
    """Of each recording what becomes of it."""
    for recording in recordings:
        if isinstance(recording, Unreadable):
            yield Left(recording.source, recording.reason, unreadable=True)
            continue
        prepared = prepare_positions(recording.positions, layout, preset, recording.actors)
        if isinstance(prepared, LeftOut):
            yield Left(recording.source, prepared.reason, unreadable=False)
        else:
            clip = replace(recording, positions=prepared.positions)
            yield Made(clip, prepared.frames_cut, prepared.frames_filled, prepared.people_absent)
