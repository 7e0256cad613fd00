"""Windows of recordings, each prepared on its own, and segments out of predictions for windows.

A window is prepared like a clip: it begins at the origin and faces the viewer whatever happened before it, as the clips
did that encoders were pretrained on. A window's prediction holds around its middle, up to halfway to its neighbours'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from i2md.data.conversion import map_positions, mapping_for
from i2md.data.presets import Prepared, prepare_positions
from i2md.data.recording import Interval
from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS, Windows
from i2md.skeletons import JointMapping, Layout

Positions = Float32[np.ndarray, "persons frames joints channels"]


class Bounds(NamedTuple):
    """Where the windows of a recording are."""

    begins: Int64[np.ndarray, " windows"]
    """First frame of each."""
    length: int
    """Frames of each."""
    frames: int
    """Frames of the recording."""

    @property
    def middles(self) -> Int64[np.ndarray, " windows"]:
        """The frame in the middle of each window."""
        return self.begins + self.length // 2

    def by_frame(self, values: Int64[np.ndarray, " windows"]) -> Int64[np.ndarray, " frames"]:
        """The value of the window whose middle is nearest to each frame.

        Args:
            values: One for each window.
        """
        middles = self.middles
        return values[np.searchsorted((middles[1:] + middles[:-1]) / 2, np.arange(self.frames), side="left")]


def window_bounds(frames: int, fps: float, windows: Windows) -> Bounds:
    """Divide a recording as i2md.data.windows does: equal steps, the last window ends with the recording.

    Args:
        frames: Frames of the recording.
        fps: Frames a second; ASSUMED_FPS where it is 0.
        windows: Length and stride.

    >>> window_bounds(75, 30.0, Windows(1.0, 0.5)).begins.tolist()
    [0, 15, 30, 45]
    """
    length, stride = frames_of(windows, fps)
    length = min(length, frames)
    count = 1 + -((length - frames) // stride)
    return Bounds(np.minimum(np.arange(count) * stride, frames - length), length, frames)


def frames_of(windows: Windows, fps: float) -> tuple[int, int]:
    """Frames of a window and of a stride.

    Args:
        windows: Length and stride in seconds.
        fps: Frames a second; ASSUMED_FPS where it is 0.
    """
    rate = fps if fps > 0 else ASSUMED_FPS
    return max(round(windows.length * rate), 1), max(round(windows.stride * rate), 1)


def prepared_window(
    positions: Positions, layout: Layout, preset: str, mapping: JointMapping | None = None, prepared: bool = False
) -> Positions | None:
    """One window, prepared like a clip.

    Args:
        positions: Of the window's frames; zeros where a person is not seen.
        layout: Layout wanted.
        preset: Preparation wanted.
        mapping: From the positions' layout, if that is another one.
        prepared: Whether the positions are of a prepared recording.

    Returns:
        The prepared positions; None if nobody is seen.
    """
    if mapping is not None:
        positions = map_positions(positions, mapping, prepared=prepared)
    done = prepare_positions(positions, layout, preset, choose=not prepared)
    return done.positions if isinstance(done, Prepared) else None


def layout_mapping(clips: Clips, layout: Layout, preset: str) -> JointMapping | None:
    """How clips are converted to a layout; None if they have it.

    Args:
        clips: Clips of any layout.
        layout: Layout wanted.
        preset: The clips' preparation.

    Raises:
        InputError: Too few joints can be had.
    """
    return None if clips.dataset.layout.joints == layout.joints else mapping_for(clips.dataset.layout, layout, preset)


def frame_labels(intervals: Sequence[Interval], frames: int, background: int) -> Int64[np.ndarray, " frames"]:
    """The label of each frame; of overlapping intervals that of the later one.

    Args:
        intervals: Labelled intervals.
        frames: Frames of the recording.
        background: Label of frames in no interval.

    >>> frame_labels([Interval(1, 3, 0)], frames=4, background=9).tolist()
    [9, 0, 0, 9]
    """
    labels = np.full(frames, background, dtype=np.int64)
    for start, end, label in intervals:
        labels[start:end] = label
    return labels


@dataclass(frozen=True)
class LabelledRecording:
    """A labelled recording, and where its windows are in a set of them."""

    bounds: Bounds
    frames: Int64[np.ndarray, " frames"]
    """Class of each frame."""
    rows: Int64[np.ndarray, " windows"]
    """Place of each window in the set; -1 for one that is not in it."""


class LabelledWindows(NamedTuple):
    """Windows of labelled recordings, each prepared on its own, with the class of the frame in its middle."""

    positions: list[Positions]
    labels: Int64[np.ndarray, " windows"]
    owners: Int64[np.ndarray, " windows"]
    """Position of each window's recording among the clips it is one of."""
    names: list[str]
    recordings: list[LabelledRecording]


def labelled_windows(
    recordings: Clips,
    chosen: Iterable[int],
    number: Mapping[int, int],
    background: int,
    bounds: Mapping[int, Bounds],
    layout: Layout,
    preset: str,
    every: int = 1,
) -> LabelledWindows:
    """Divide labelled recordings into windows; those in which nobody is seen are left out.

    Args:
        recordings: Whole recordings.
        chosen: Positions of those to divide.
        number: The class that each label of an interval stands for.
        background: Class of frames outside the intervals.
        bounds: Where the windows of each recording are.
        layout: Layout wanted.
        preset: Preparation wanted.
        every: Of how many windows one is used.
    """
    mapping = layout_mapping(recordings, layout, recordings.dataset.preparation)
    prepared = recordings.dataset.preparation != "none"
    found = LabelledWindows([], np.zeros(0, np.int64), np.zeros(0, np.int64), [], [])
    labels: list[int] = []
    owners: list[int] = []
    for index in chosen:
        of, positions = bounds[index], recordings.read(index)
        intervals = [each._replace(label=number[each.label]) for each in recordings.intervals_of(index)]
        frames, rows = frame_labels(intervals, of.frames, background), np.full(len(of.begins), -1)
        for place, begin in enumerate(of.begins.tolist()):
            if place % every:
                continue
            done = prepared_window(positions[:, begin : begin + of.length], layout, preset, mapping, prepared)
            if done is not None:
                rows[place] = len(found.positions)
                found.positions.append(done)
                labels.append(int(frames[of.middles[place]]))
                owners.append(index)
                found.names.append(f"{recordings.columns['name'][index]}[{begin}:{begin + of.length}]")
        found.recordings.append(LabelledRecording(of, frames, rows))
    return found._replace(labels=np.array(labels, dtype=np.int64), owners=np.array(owners, dtype=np.int64))
