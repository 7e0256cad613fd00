"""What a classifier predicts: of clips a class each, of recordings the actions over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from i2md.data.recording import Interval
from i2md.data.store import Clips
from i2md.evaluation.timeline import Bounds

# What a clip is that is rejected.
NONE_OF_THESE = "none of these"


class Evidence(NamedTuple):
    """What is computed of clips or windows, before any decision."""

    log_probabilities: Float64[np.ndarray, "clips classes"]
    known: Float64[np.ndarray, " clips"]
    """How well each is known (i2md.evaluation.open_set)."""


@dataclass(frozen=True)
class Prediction:
    """The class of a clip.

    Attributes:
        label: The most probable class.
        confidence: Its calibrated probability.
        rejected: Whether the clip is none of the classes.
        known: The score by which that is decided.
        probabilities: Of each class.
    """

    label: str
    confidence: float
    rejected: bool
    known: float
    probabilities: Float64[np.ndarray, " classes"]


@dataclass(frozen=True)
class PredictedInterval:
    """An action found in a recording: frames from `start` to before `end`.

    Attributes:
        start: First frame.
        end: Frame after the last.
        label: Class.
        confidence: Mean calibrated probability of the class over the windows of the interval.
        rejected: Whether it is none of the classes.
        known: Mean of the score by which that is decided.
    """

    start: int
    end: int
    label: str
    confidence: float
    rejected: bool
    known: float


@dataclass(frozen=True)
class Timeline:
    """The predictions for a recording.

    Attributes:
        name: Of the recording.
        source: The file that it is from.
        frames: Its number of frames.
        fps: Frames a second; 0 where unknown.
        intervals: Actions in order of time; what lies between them is background, or nobody is seen there.
        labels: Class of each frame; -1 where nobody is seen.
        empty_windows: Windows in which nobody is seen.
    """

    name: str
    source: str
    frames: int
    fps: float
    intervals: tuple[PredictedInterval, ...]
    labels: Int64[np.ndarray, " frames"]
    empty_windows: int


def runs(bounds: Bounds, labels: Int64[np.ndarray, " windows"]) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Runs of windows with equal labels.

    Args:
        bounds: Where the windows are.
        labels: One for each.

    Yields:
        First frame and frame after the last of each run, and its first window and the one after its last.
    """
    window_of = bounds.by_frame(np.arange(len(labels)))
    starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    for first, last in pairwise(starts):
        frames = np.flatnonzero((window_of >= first) & (window_of < last))
        if len(frames):
            yield int(frames[0]), int(frames[-1]) + 1, (first, last)


def true_intervals(recordings: Clips, index: int, class_names: Sequence[str]) -> tuple[Interval, ...]:
    """The labelled intervals of a recording, by the classes of a classifier; those of other classes are left out.

    Args:
        recordings: Whole recordings.
        index: Position of the recording.
        class_names: Classes of the classifier.
    """
    own = recordings.dataset.class_names
    return tuple(
        each._replace(label=class_names.index(own[each.label]))
        for each in recordings.intervals_of(index)
        if own[each.label] in class_names
    )
