"""Frame rates and smoothing: recordings resampled by time, and filtered, before preparation.

Both are off by default. Short gaps of joints (NaN) are interpolated before, as preparation would do. Joints that still
have no value (NaN, or all zeros while the person's other joints are not) stay without one: a new frame has a value only
where the frames on both sides of it have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from i2md.data.gaps import with_gaps_filled
from i2md.data.recording import Divisible, Interval, Recording, Source, Unreadable
from i2md.data.smoothing import parse_smoothing
from i2md.errors import InputError

_Read = Callable[[], Iterator[Recording | Unreadable]]


@dataclass(frozen=True)
class Timing:
    """What is changed about the frames of each recording."""

    resample: float | None = None
    """Frames per second that recordings are resampled to, by linear interpolation in time."""
    smooth: float | str | None = None
    """The filter applied before resampling, as of i2md.data.smoothing: seconds of a Savitzky-Golay window, one-euro."""

    def __post_init__(self) -> None:
        if self.resample is not None and not 0 < self.resample <= 1000:
            raise InputError(f"resample {self.resample:g}: give frames per second, for example --resample 30")
        if self.smooth is not None:
            # As it is recorded: with the values that were left to their defaults.
            object.__setattr__(self, "smooth", parse_smoothing(self.smooth).option)


def retime(source: Source, timing: Timing) -> Source:
    """Smooth and resample the recordings of a source.

    Args:
        source: Recordings as their reader yields them.
        timing: What to do.

    Returns:
        The source. A recording whose frame rate is not known is Unreadable.
    """
    if timing == Timing():
        return source

    def wrapped(read: _Read) -> _Read:
        kind = _DivisiblePass if isinstance(read, Divisible) else _Pass
        return kind(read, timing, source.layout.centre, source.max_gap)

    return replace(
        source,
        read=wrapped(source.read),
        read_all_bodies=None if source.read_all_bodies is None else wrapped(source.read_all_bodies),
        untrimmed=None if source.untrimmed is None else retime(source.untrimmed, timing),
    )


@dataclass(frozen=True)
class _Pass:
    """A pass over recordings with another timing."""

    read: _Read
    timing: Timing
    centre: int
    max_gap: int

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for each in self.read():
            yield _retimed(each, self.timing, self.centre, self.max_gap) if isinstance(each, Recording) else each


@dataclass(frozen=True)
class _DivisiblePass(_Pass):
    def __len__(self) -> int:
        assert isinstance(self.read, Divisible)
        return len(self.read)

    def part(self, start: int, stop: int) -> _Pass:
        assert isinstance(self.read, Divisible)
        return _Pass(self.read.part(start, stop), self.timing, self.centre, self.max_gap)


def _retimed(recording: Recording, timing: Timing, centre: int, max_gap: int) -> Recording | Unreadable:
    if not recording.fps > 0:
        return Unreadable(recording.source, f"{recording.source}: its frame rate is not known; give it by --fps")
    filled, count, _ = with_gaps_filled(recording.positions.astype(np.float64), centre, False, max_gap)
    counts = {**recording.counts, "joints_interpolated": recording.counts.get("joints_interpolated", 0) + count}
    recording = replace(recording, positions=filled.astype(np.float32), counts=counts)
    known = _without_missing(recording.positions)
    absent = ~np.isfinite(known).any(axis=(2, 3))
    if timing.smooth is not None:
        known = parse_smoothing(timing.smooth).apply(known, recording.fps)
    if timing.resample is None:
        return replace(recording, positions=_with_absent(known, absent))
    times = np.arange(known.shape[1]) / recording.fps
    frames = int(times[-1] * timing.resample + 1e-6) + 1
    at = np.arange(frames) / timing.resample
    known = resampled(known, times, at)
    absent = ~np.isfinite(known).any(axis=(2, 3))
    intervals = tuple(_moved(interval, timing.resample / recording.fps, frames) for interval in recording.intervals)
    return replace(recording, positions=_with_absent(known, absent), fps=timing.resample, intervals=intervals)


def _moved(interval: Interval, ratio: float, frames: int) -> Interval:
    start = min(round(interval.start * ratio), frames - 1)
    return Interval(start, max(start + 1, min(round(interval.end * ratio), frames)), interval.label)


def _without_missing(
    positions: Float32[np.ndarray, "persons frames joints channels"],
) -> Float64[np.ndarray, "persons frames joints channels"]:
    """The positions, NaN where a joint has no value and in frames without the person."""
    return np.where(positions.any(axis=-1, keepdims=True), positions, np.nan).astype(np.float64)


def _with_absent(
    positions: Float64[np.ndarray, "persons frames joints channels"], absent: Bool[np.ndarray, "persons frames"]
) -> Float32[np.ndarray, "persons frames joints channels"]:
    return np.where(absent[:, :, None, None], 0.0, positions).astype(np.float32)


def resampled(
    positions: Float[np.ndarray, "persons frames joints channels"],
    times: Float[np.ndarray, " frames"],
    at: Float[np.ndarray, " new"],
) -> Float[np.ndarray, "persons new joints channels"]:
    """Interpolate positions linearly in time.

    Args:
        positions: Positions, NaN where there is none.
        times: Time of each frame, ascending.
        at: Times wanted; before the first frame and after the last the positions are those of that frame.

    Returns:
        The positions at these times, NaN where a frame that they lie between has none.

    Example:
        >>> x = np.array([0.0, 2.0, np.nan, 3.0]).reshape(1, 4, 1, 1)
        >>> resampled(x, np.arange(4.0), np.array([0.5, 1.0, 1.5, 3.0])).ravel().tolist()
        [1.0, 2.0, nan, 3.0]
    """
    after = np.clip(np.searchsorted(times, at, side="left"), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    width = times[after] - times[before]
    share = np.clip(np.where(width > 0, (at - times[before]) / np.where(width > 0, width, 1), 1.0), 0.0, 1.0)
    share = share[:, None, None]
    # At a frame itself the other one does not count, even if it has no value.
    first = np.where(share < 1, positions[:, before], 0.0)
    second = np.where(share > 0, positions[:, after], 0.0)
    return first * (1 - share) + second * share
