"""Predictions for frames as they come: a prediction per stride, equal to that of the same window of a file.

A stream keeps the frames of one window, whatever comes in. Frames are placed by their number or their time: a frame
that is missing when a later one arrives is dropped (nobody is seen in it, so preparation interpolates it where the
preset does), one that comes after its place has passed is counted and left out. Persons are told apart by the keys of
the frames; one who is not there in a window does not take part in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from i2md.data.conversion import mapping_for
from i2md.data.windows import Windows
from i2md.errors import InputError
from i2md.evaluation.timeline import frames_of, prepared_window
from i2md.inference.classifier import Classifier
from i2md.inference.predictions import Prediction
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.skeletons import get_layout

# Joints by person: persons are told apart by their keys.
Persons = Mapping[str, Float[np.ndarray, "joints channels"]]
# Persons who may come in within one window.
MOST_PERSONS = 32
# A pause may last so long; a larger number is taken for a mistake.
MOST_MISSING_SECONDS = 3600


class StreamedWindow(NamedTuple):
    """What a stream says once a window is complete."""

    start: int
    """Number of the window's first frame."""
    end: int
    """Number of the frame after its last."""
    prediction: Prediction | None
    """None where nobody is seen in the window."""


@dataclass(frozen=True)
class StreamCounts:
    """What came in so far."""

    frames: int = 0
    """Frames that were taken in."""
    missing: int = 0
    """Frames that had not come when a later one did: nobody is seen in them."""
    late: int = 0
    """Frames that were left out, since they came after a later one, or a second time."""


class Stream:
    """A window that moves over frames as they come. One thread at a time may use it.

    Args:
        classifier: What predicts the windows.
        fps: Frames a second.
        windows: Length and stride; by default those that the classifier was fitted to.
        layout: Joint layout of the frames; by default the run's.

    Raises:
        InputError: No windows are known, or the layout has too few joints.
    """

    def __init__(
        self,
        classifier: Classifier,
        fps: float,
        windows: Windows | None = None,
        layout: str | None = None,
    ) -> None:
        windows = windows or classifier.info.windows
        if windows is None:
            raise InputError("stream: the classifier was fitted to clips; give the length of windows, such as 2s")
        if not 0 < fps <= 1000:
            raise InputError(f"stream: fps {fps:g} must be above 0 and at most 1000, the frames a second that come in")
        self.counts = StreamCounts()
        self.length, self.stride = frames_of(windows, fps)
        self.fps = fps
        self._classifier = classifier
        config = classifier.model.config
        own = config.layout
        given = own if layout is None else get_layout(layout).with_channels(own.channels)
        self._mapping = None if given.joints == own.joints else mapping_for(given, own, config.preparation)
        self._shape = (len(given.joints), given.channels)
        # The last frames of each person, by the number of the frame modulo the length.
        self._rows: dict[str, Float32[np.ndarray, "length joints channels"]] = {}
        self._seen: dict[str, int] = {}
        self._next = 0
        self._start = 0

    @property
    def delay(self) -> float:
        """Seconds from the middle of a window, where its prediction holds, to when it is complete."""
        return (self.length - self.length // 2) / self.fps

    def push(
        self,
        persons: Persons | Float[np.ndarray, "joints channels"] | Float[np.ndarray, "persons joints channels"],
        frame: int | None = None,
        time: float | None = None,
    ) -> list[StreamedWindow]:
        """Take in a frame.

        Args:
            persons: Joints by the name of the person; or an array (joints, channels) of one person, or (persons,
                joints, channels) of some who keep their order. NaN marks missing joints; no person is an empty mapping.
            frame: Number of the frame, from 0; by default the one after the last.
            time: Seconds of the frame since the first one, instead of its number.

        Returns:
            Windows that are complete now, mostly none or one.

        Raises:
            InputError: The joints have another shape, there are too many persons, or the number is invalid.
        """
        number = self._number(frame, time)
        named = self._named(persons)
        if number < self._next:
            self.counts = replace(self.counts, late=self.counts.late + 1)
            return []
        found: list[StreamedWindow] = []
        missing = number - self._next
        while self._next < number:
            # After a pause of more than a window nobody is left: windows without anybody need no computing.
            found += self._take({})
        self.counts = replace(self.counts, frames=self.counts.frames + 1, missing=self.counts.missing + missing)
        return found + self._take(named)

    def finish(self) -> list[StreamedWindow]:
        """The last window, which ends with the last frame, as that of a file does; none if it is complete already."""
        last = self._start - self.stride + self.length if self._start else 0
        if not self._next or last >= self._next:
            return []
        length = min(self.length, self._next)
        return [self._window(self._next - length, length)]

    def _number(self, frame: int | None, time: float | None) -> int:
        if frame is not None and time is not None:
            raise InputError("stream: give the number of a frame or its time, not both")
        if time is not None:
            if not np.isfinite(time):
                raise InputError("stream: the time of a frame is not a number; give seconds")
            number = round(time * self.fps)
        else:
            number = self._next if frame is None else frame
        if number < 0:
            raise InputError(f"stream: frame {number} is before the first one; count frames and seconds from 0")
        if number > self._next + MOST_MISSING_SECONDS * self.fps:
            hours = MOST_MISSING_SECONDS // 3600
            raise InputError(f"stream: frame {number} is more than {hours} h after frame {self._next - 1}; begin anew")
        return number

    def _named(self, persons: Persons | np.ndarray) -> dict[str, np.ndarray]:
        if not isinstance(persons, Mapping):
            array = np.asarray(persons)
            array = array[None] if array.ndim == 2 else array
            persons = {str(number): each for number, each in enumerate(array)}
        found = {}
        for name, joints in persons.items():
            found[str(name)] = array = np.asarray(joints, dtype=np.float32)
            if array.shape != self._shape:
                raise InputError(f"stream: person {name!s:.40}: shape {array.shape}, but the layout is {self._shape}")
            if np.isinf(array).any():
                raise InputError(
                    f"stream: person {name!s:.40}: a coordinate is infinite; write NaN for a missing joint"
                )
        if len(set(self._rows) | set(found)) > MOST_PERSONS:
            raise InputError(f"stream: more than {MOST_PERSONS} persons within a window; track fewer")
        return found

    def _take(self, persons: Mapping[str, np.ndarray]) -> list[StreamedWindow]:
        """One frame, the next one."""
        place = self._next % self.length
        for name, joints in persons.items():
            if name not in self._rows:
                self._rows[name] = np.zeros((self.length, *self._shape), dtype=np.float32)
            self._rows[name][place] = joints
            self._seen[name] = self._next
        for name in [name for name in self._rows if name not in persons]:
            self._rows[name][place] = 0
            if self._seen[name] <= self._next - self.length:
                del self._rows[name], self._seen[name]
        self._next += 1
        if self._next < self._start + self.length:
            return []
        found = [self._window(self._start, self.length)]
        self._start += self.stride
        return found

    def _window(self, start: int, length: int) -> StreamedWindow:
        order = np.arange(start, start + length) % self.length
        prediction = None
        if self._rows:
            # Persons in the order in which they came in.
            positions = np.stack([rows[order] for rows in self._rows.values()])
            config = self._classifier.model.config
            prepared = prepared_window(positions, config.layout, config.preparation, self._mapping)
            if prepared is not None:
                (prediction,) = self._classifier.decide(self._classifier.windows([prepared]))
        return StreamedWindow(start, start + length, prediction)


def json_lines(lines: Iterable[str]) -> Iterator[Mapping[str, object]]:
    """The values of JSON lines; empty ones are skipped.

    Args:
        lines: The lines.

    Raises:
        InputError: One is not a JSON object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except NotPlainData as error:
            raise InputError(f"stream: line {number} is {error}; write a JSON object a line") from None
        if not isinstance(value, dict):
            raise InputError(f"stream: line {number} is not a JSON object; write a frame a line")
        yield value


def prediction_lines(stream: Stream, frames: Iterable[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """Predictions for frames as JSON data.

    Args:
        stream: The stream.
        frames: Frames as JSON data: {"joints": [[x, y, z], ...]} of one person, or {"persons": {NAME: [[x, y, z], ...],
            ...}}; with "frame" (its number) or "time" (seconds) where some may be missing.

    Raises:
        InputError: A frame is none of these.
    """
    for number, data in enumerate(frames):
        for window in stream.push(_persons(data, number), *_place(data, number)):
            yield _line(stream, window)
    for window in stream.finish():
        yield _line(stream, window)


def _persons(data: Mapping[str, object], number: int) -> Persons | np.ndarray:
    try:
        # A number that float32 cannot hold becomes infinite, which is refused.
        with np.errstate(over="ignore"):
            if "joints" in data:
                return np.array(data["joints"], dtype=np.float32)
            persons = data["persons"]
            if isinstance(persons, Mapping):
                return {name: np.array(joints, dtype=np.float32) for name, joints in persons.items()}
    except (KeyError, TypeError, ValueError):
        pass
    raise InputError(
        f'stream: line {number + 1} is not a frame; write {{"joints": [[x, y, z], ...]}}, or {{"persons": {{NAME:'
        " [...]}}"
    )


def _place(data: Mapping[str, object], number: int) -> tuple[int | None, float | None]:
    """The number and the time of a frame, of which one may be given."""
    frame, time = data.get("frame"), data.get("time")
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int)):
        raise InputError(f"stream: line {number + 1}: frame is not a number; write one, or leave it out")
    if time is not None and (isinstance(time, bool) or not isinstance(time, int | float)):
        raise InputError(f"stream: line {number + 1}: time is not a number; write one, or leave it out")
    return frame, time


def _line(stream: Stream, window: StreamedWindow) -> dict[str, object]:
    place = {"start": round(window.start / stream.fps, 4), "end": round(window.end / stream.fps, 4)}
    frames = {"start_frame": window.start, "end_frame": window.end}
    if window.prediction is None:
        return {**place, **frames, "label": None, "class": None, "confidence": None, "rejected": False}
    p = window.prediction
    label = None if p.rejected else p.label
    return {**place, **frames, "label": label, "class": p.label, "confidence": p.confidence, "rejected": p.rejected}
