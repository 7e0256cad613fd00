"""Attach labelled intervals to the recordings of any source: cut them into clips, or keep them whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i2md.data.labels import LabelledTime, class_names_of, read_labels
from i2md.data.readers.intervals import Annotation, clips_of, with_intervals
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import Recordings
from i2md.data.readers.reading import Reading
from i2md.data.recording import UNKNOWN, Divisible, Recording, Source, Unreadable
from i2md.errors import InputError

Read = Callable[[], Iterator[Recording | Unreadable]]


def with_labels(source: Source, path: Path) -> Source:
    """The clips of the labelled intervals of a source; the recordings as they are become its `untrimmed`.

    Args:
        source: Opened recordings.
        path: File or folder of labelled intervals.

    Returns:
        The source; labels of its own are replaced.

    Raises:
        InputError: The recordings have labelled intervals already, or the labels cannot be read.
    """
    if source.untrimmed is not None:
        raise InputError(f"{source.name} comes with labelled intervals; leave out --intervals")
    labels = read_labels(path)
    classes = class_names_of(labels)
    number = {name: label for label, name in enumerate(classes)}
    clips = _wrapped(source.read, _Cut(labels, number, str(path.name)))
    whole = _wrapped(source.read, _Attach(labels, number, str(path.name)))
    untrimmed = replace(source, class_names=classes, preset="none", read=whole, left_out={}, splits={})
    return replace(source, class_names=classes, read=clips, count=None, untrimmed=untrimmed)


def annotations_of(
    recording: Recording, labels: Mapping[str, Sequence[LabelledTime]], number: Mapping[str, int], file: str
) -> tuple[str | None, list[Annotation]]:
    """The labelled intervals of a recording, in frames.

    Args:
        recording: The recording.
        labels: Labelled intervals by the name of the recording.
        number: Label of each class.
        file: What messages call the file of labels.

    Returns:
        The name under which the labels know the recording, None if they do not; and its annotations.

    Raises:
        InputError: They are in seconds, and the recording does not say its frames a second.
    """
    base = recording.source.replace("\\", "/").rpartition("/")[2]
    names = (recording.name, base, base.rpartition(".")[0])
    known_as = next((name for name in names if name in labels), None)
    times = labels[known_as] if known_as is not None else ()
    if times and not recording.fps and not all(time.in_frames for time in times):
        raise InputError(
            f"{file}: is in seconds, and {recording.name} does not say its frames a second; give them, as by"
            " --options.fps, or label by start_frame and end_frame"
        )
    found = []
    for place, time in enumerate(times):
        rate = 1.0 if time.in_frames else recording.fps
        name = f"{recording.name}_{place:03}_{time.label}"
        text = f"{time.label}: {time.start:g} {time.end:g}"
        start, end = round(time.start * rate), round(time.end * rate)
        found.append(Annotation(name, text, start, max(end, start + 1), number[time.label]))
    return known_as, found


def unused_labels(path: Path, columns: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Count the recordings that labels are of and of which there is no clip.

    Args:
        path: File or folder of labelled intervals.
        columns: The index of the clips.

    Returns:
        The number by the reason, which names one; empty if there is none.
    """
    sources = [source.replace("\\", "/").rpartition("/")[2] for source in columns["source"].tolist()]
    present = {*sources, *(source.rpartition(".")[0] for source in sources), *columns["name"].tolist()}
    # The clips of a recording are named after it.
    present |= {name[: match.start()] for name in columns["name"].tolist() for match in re.finditer(r"_\d{3}_", name)}
    unused = sorted(set(read_labels(path)) - present)
    if not unused:
        return {}
    return {f"recordings in {path.name} of which there is no clip, such as {shown(unused[0])}": len(unused)}


def of_files(read: Read, names: Collection[str]) -> Read:
    """A pass over some files only, where that is known; else over all recordings.

    Args:
        read: The `read` of a source.
        names: Names of the files, as recordings state them.
    """
    if isinstance(read, Reading):
        return replace(read, files=tuple(file for file in read.files if file.name in names))
    if isinstance(read, Recordings):
        # Recordings name the first of their files.
        return replace(read, groups=tuple(group for group in read.groups if group[1][0].name in names))
    return replace(read, read=of_files(read.read, names)) if isinstance(read, _Labelled) else read


def _wrapped(read: Read, change: Callable[[Recording], Iterator[Recording | Unreadable]]) -> Read:
    return _LabelledParts(read, change) if isinstance(read, Divisible) else _Labelled(read, change)


@dataclass(frozen=True)
class _Labelled:
    read: Read
    change: Callable[[Recording], Iterator[Recording | Unreadable]]

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for recording in self.read():
            if isinstance(recording, Unreadable):
                yield recording
            else:
                yield from self.change(recording)


@dataclass(frozen=True)
class _LabelledParts(_Labelled):
    """One whose parts can be read on their own, like those of the source."""

    def __len__(self) -> int:
        assert isinstance(self.read, Divisible)
        return len(self.read)

    def part(self, start: int, stop: int) -> _Labelled:
        assert isinstance(self.read, Divisible)
        return _Labelled(self.read.part(start, stop), self.change)


@dataclass(frozen=True)
class _Attach:
    """Keeps a recording whole, with its intervals."""

    labels: Mapping[str, Sequence[LabelledTime]]
    number: Mapping[str, int]
    file: str

    def annotations(self, recording: Recording) -> list[Annotation]:
        return annotations_of(recording, self.labels, self.number, self.file)[1]

    def __call__(self, recording: Recording) -> Iterator[Recording | Unreadable]:
        yield with_intervals(replace(recording, label=UNKNOWN), self.annotations(recording))


@dataclass(frozen=True)
class _Cut(_Attach):
    """Cuts a recording into the clips of its intervals."""

    def __call__(self, recording: Recording) -> Iterator[Recording | Unreadable]:
        yield from clips_of(recording, self.annotations(recording))
