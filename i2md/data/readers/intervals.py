"""Recordings of several actions: the clip of each annotated interval, and the whole recording with its intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from i2md.data.readers.files import BadFile
from i2md.data.readers.reading import without_absent_persons
from i2md.data.recording import Interval, Recording, Unreadable


class Annotation(NamedTuple):
    """An action as a label file gives it, valid or not: frames from `start` to before `end`."""

    name: str
    """Name of the clip."""
    text: str
    """The line of the label file, for messages."""
    start: int
    end: int
    label: int
    line: int = 0
    """Number of that line, from 1."""


def interval_of(annotation: Annotation, frames: int) -> Interval:
    """Clip an annotation to a recording.

    Args:
        annotation: The annotation.
        frames: Number of frames of the recording.

    Returns:
        The part of the interval that lies within the recording.

    Raises:
        BadFile: If no frame of it does.

    Example:
        >>> interval_of(Annotation("walk", "walk: 8 14", 8, 14, 0), frames=10)
        Interval(start=8, end=10, label=0)
    """
    if annotation.start >= annotation.end:
        raise BadFile("it ends before it starts" if annotation.start > annotation.end else "it has no frame")
    if annotation.start >= frames or annotation.end <= 0:
        raise BadFile(f"it lies outside the recording's {frames} frames")
    return Interval(max(annotation.start, 0), min(annotation.end, frames), annotation.label)


def clips_of(
    whole: Recording, annotations: Sequence[Annotation], max_frames: int | None = None
) -> Iterator[Recording | Unreadable]:
    """Cut a recording into the clips of its annotations.

    Args:
        whole: The recording.
        annotations: Its annotations.
        max_frames: Keep only so many frames of each clip, the first ones; None keeps all.

    Yields:
        For each annotation its clip, without the persons absent from it, or an Unreadable that says why there is none.
    """
    for annotation in annotations:
        try:
            interval = interval_of(annotation, whole.positions.shape[1])
        except BadFile as error:
            reason = f"line {annotation.line} of its label file, {annotation.text!r}: {error}"
            yield Unreadable(whole.source, f"{whole.source}: {annotation.name}: {reason}")
            continue
        end = interval.end if max_frames is None else min(interval.end, interval.start + max_frames)
        positions = without_absent_persons(whole.positions[:, interval.start : end])
        outside = annotation.start < interval.start or annotation.end > interval.end
        cut = ["frames of intervals before or after their recording"] * outside
        cut += [f"frames of intervals after their first {max_frames}"] * (end < interval.end)
        yield replace(
            whole, name=annotation.name, positions=positions, label=interval.label, not_read=(*whole.not_read, *cut)
        )


def with_intervals(whole: Recording, annotations: Sequence[Annotation]) -> Recording:
    """Attach intervals to an untrimmed recording.

    Args:
        whole: The recording.
        annotations: Its annotations; those that do not lie within it are left out, as counted by `clips_of`.

    Returns:
        The recording with its intervals, without the persons absent from it.
    """
    intervals = []
    for annotation in annotations:
        try:
            intervals.append(interval_of(annotation, whole.positions.shape[1]))
        except BadFile:
            # Named and counted by clips_of.
            continue
    return replace(whole, positions=without_absent_persons(whole.positions), intervals=tuple(intervals))
