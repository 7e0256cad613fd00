"""The outcome of reading and preparing each recording, and the counts of all of them that `prepare` reports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from i2md.data.presets import LeftOut, prepare_positions
from i2md.data.readers.name_tables import shown
from i2md.data.recording import MAX_GAP, Interval, Recording, Unreadable
from i2md.skeletons import Layout

# dataset.json lists as many recordings that were left out; left_out.txt lists all.
MAX_LISTED = 1000
_MAX_REASONS = 100
# What differs between two files that are invalid for the same reason.
_FILE_DETAILS = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")


class PreparedClip(NamedTuple):
    """A clip, and what preparation changed in it: frames cut or filled, persons never seen, joints without a value."""

    clip: Recording
    frames_cut: int
    frames_filled: int
    persons_absent: int
    joints_interpolated: int = 0
    joints_missing: int = 0


class SkippedRecording(NamedTuple):
    """A recording that yields no clip, and why; `unreadable` if its file could not be read."""

    source: str
    reason: str
    unreadable: bool


Outcome = PreparedClip | SkippedRecording


def prepare_each(
    recordings: Iterable[Recording | Unreadable], layout: Layout, preset: str, max_gap: int = MAX_GAP
) -> Iterator[Outcome]:
    """Prepare recordings one by one.

    Args:
        recordings: what a reader yields.
        layout: their joints.
        preset: a name of `i2md.data.presets`.
        max_gap: as in `prepare_positions`.

    Yields:
        A PreparedClip or a SkippedRecording for each.
    """
    for recording in recordings:
        if isinstance(recording, Unreadable):
            yield SkippedRecording(recording.source, recording.reason, unreadable=True)
            continue
        prepared = prepare_positions(recording.positions, layout, preset, recording.actors, max_gap=max_gap)
        if isinstance(prepared, LeftOut):
            yield SkippedRecording(recording.source, prepared.reason, unreadable=False)
        else:
            clip = replace(recording, positions=prepared.positions)
            yield PreparedClip(_with_moved_intervals(clip, recording), *prepared[1:])


def _with_moved_intervals(clip: Recording, recording: Recording) -> Recording:
    """Intervals in frames of the prepared recording, which may lack frames without anybody at either end."""
    frames = clip.positions.shape[1]
    if not recording.intervals or frames == recording.positions.shape[1]:
        return clip
    seen = np.nan_to_num(recording.positions).any(axis=(0, 2, 3))
    first = int(seen.argmax())
    kept, lost = list[Interval](), list[Interval]()
    for start, end, label in recording.intervals:
        moved = Interval(max(start - first, 0), min(end - first, frames), label)
        (kept if moved.start < moved.end else lost).append(moved)
    why = ("labelled intervals in which nobody is seen",) if lost else ()
    return replace(clip, intervals=tuple(kept), not_read=(*clip.not_read, *why))


@dataclass
class Report:
    """Counts over recordings: how many were read, what was changed, and which were left out for which reasons."""

    recordings: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    reasons: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Number of recordings left out, by `reason_kind`, and the line of the first."""
    not_read: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Number of recordings of which a part was not read, by what it is, and the name of the first."""

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count further outcomes."""
        for outcome in outcomes:
            self.recordings += 1
            if isinstance(outcome, SkippedRecording):
                self._add_skipped(outcome)
            else:
                self.counts["frames_cut"] += outcome.frames_cut
                self.counts["frames_filled"] += outcome.frames_filled
                self.counts["persons_absent"] += outcome.persons_absent
                for part in outcome.clip.not_read:
                    _count(self.not_read, part, 1, outcome.clip.name)
                self.counts.update({name: count for name, count in outcome.clip.counts.items() if count})
                for reason in ("joints_interpolated", "joints_missing"):
                    if count := getattr(outcome, reason):
                        self.counts[reason] += count

    def _add_skipped(self, skipped: SkippedRecording) -> None:
        text = skipped.reason if skipped.source in skipped.reason else f"{skipped.source}: {skipped.reason}"
        self.counts["left_out"] += 1
        self.left_out.append(text.encode("utf-8", "backslashreplace").decode())
        _count(self.reasons, reason_kind(skipped.reason), 1, self.left_out[-1])

    def to_note(self) -> dict[str, Any]:
        """The counts as plain data, for the journal of a checkpoint."""
        return {
            "recordings": self.recordings,
            "counts": self.counts,
            "left_out": self.left_out,
            "reasons": self.reasons,
            "not_read": self.not_read,
        }

    def add_note(self, note: dict[str, Any]) -> None:
        """Add another report's `to_note`, of later recordings; the lists of reasons and names are limited."""
        self.recordings += note["recordings"]
        self.counts.update(note["counts"])
        self.left_out += note["left_out"][: MAX_LISTED - len(self.left_out)]
        for counts, added in ((self.not_read, note["not_read"]), (self.reasons, note["reasons"])):
            for what, (count, example) in added.items():
                _count(counts, what if what in counts or len(counts) < _MAX_REASONS else "other", count, example)

    def to_dict(self) -> dict[str, Any]:
        """The report of dataset.json; `left_out_reasons` counts the recordings left out for the same kind of reason."""
        frequent = sorted(self.reasons.values(), key=lambda found: -found[0])
        by_reason = {"left_out_reasons": {line: count for count, line in frequent}} if frequent else {}
        not_read = {f"{part}, such as {shown(name)}": count for part, (count, name) in self.not_read.items()}
        return {**self.counts, **by_reason, "not_read": not_read, "left_out_files": self.left_out}


def _count(counts: dict[str, tuple[int, str]], what: str, number: int, example: str) -> None:
    """Add to a count; the first example of each stays."""
    before, first = counts.get(what, (0, example))
    counts[what] = (before + number, first)


def reason_kind(reason: str) -> str:
    """A reason without what is particular to one file, to count equal reasons.

    >>> reason_kind("S001C001P001R001A001.skeleton: line 6: 13 fields, not 12")
    'line _ _ fields, not _'
    """
    return _FILE_DETAILS.sub("_", reason.split(": ", 1)[-1])
