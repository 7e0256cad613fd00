"""Attach labelled intervals to the recordings of any source: cut them into clips, or keep them whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from i2md.data.labels import LabelledTime, class_names_of, read_labels
from i2md.data.readers.intervals import Annotation, clips_of, with_intervals
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
        The source; labels of its own are replaced. Intervals of recordings that are not there are counted.

    Raises:
        InputError: The recordings have labelled intervals already, or the labels cannot be read.
    """
    if source.untrimmed is not None:
        raise InputError(f"{source.name} comes with labelled intervals; leave out --intervals")
    labels = read_labels(path)
    classes = class_names_of(labels)
    left_out = dict(source.left_out)
    if isinstance(source.read, Reading):
        present = {file.stem for file in source.read.files}
        unused = sorted(set(labels) - present)
        # A file may hold several recordings, which have names of their own.
        if unused and set(labels) & present:
            left_out[f"recordings named in {path.name} that are not there, such as {unused[0][:60]}"] = len(unused)
    number = {name: label for label, name in enumerate(classes)}
    clips = _wrapped(source.read, _Cut(labels, number, str(path.name)))
    whole = _wrapped(source.read, _Attach(labels, number, str(path.name)))
    untrimmed = replace(source, class_names=classes, preset="none", read=whole, left_out={}, splits={})
    return replace(source, class_names=classes, read=clips, count=None, left_out=left_out, untrimmed=untrimmed)


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
        base = recording.source.replace("\\", "/").rpartition("/")[2]
        names = (recording.name, base, base.rpartition(".")[0])
        times = next((self.labels[name] for name in names if name in self.labels), ())
        if times and not recording.fps and not all(time.in_frames for time in times):
            raise InputError(
                f"{self.file}: is in seconds, and {recording.name} does not say its frames a second; give them, as by"
                " --options.fps, or label by start_frame and end_frame"
            )
        found = []
        for place, time in enumerate(times):
            rate = 1.0 if time.in_frames else recording.fps
            name = f"{recording.name}_{place:03}_{time.label}"
            text = f"{time.label}: {time.start:g} {time.end:g}"
            start, end = round(time.start * rate), round(time.end * rate)
            found.append(Annotation(name, text, start, max(end, start + 1), self.number[time.label]))
        return found

    def __call__(self, recording: Recording) -> Iterator[Recording | Unreadable]:
        yield with_intervals(replace(recording, label=UNKNOWN), self.annotations(recording))


@dataclass(frozen=True)
class _Cut(_Attach):
    """Cuts a recording into the clips of its intervals."""

    def __call__(self, recording: Recording) -> Iterator[Recording | Unreadable]:
        yield from clips_of(recording, self.annotations(recording))
