"""Metrics of temporal segmentation: frame accuracy, segmental F1 at an overlap, and the edit score.

A segment is a run of frames with one label. The metrics of segments leave out those of the background, as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

Frames = Int64[np.ndarray, " frames"]

# Overlaps (intersection over union) at which a predicted segment counts as found.
OVERLAPS = (0.10, 0.25, 0.50)


class Segment(NamedTuple):
    """Frames from `start` to before `end` with one label."""

    start: int
    end: int
    label: int


class SegmentScores(NamedTuple):
    """Metrics of all recordings together, as fractions."""

    frame_accuracy: float
    """Over all frames, those of the background included."""
    f1: dict[float, float]
    """Segmental F1 by overlap; true and false positives are counted over all recordings."""
    edit: float
    """Mean over recordings of 1 - (edit distance of the sequences of labels) / (length of the longer one)."""


def segments_of(labels: Frames, background: int | None = None) -> list[Segment]:
    """The runs of equal labels.

    Args:
        labels: Label of each frame.
        background: Label whose runs are left out; None leaves out none.

    >>> segments_of(np.array([2, 2, 0, 1]), background=0)
    [Segment(start=0, end=2, label=2), Segment(start=3, end=4, label=1)]
    """
    bounds = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = [0, *bounds.tolist()], [*bounds.tolist(), len(labels)]
    found = (Segment(start, end, int(labels[start])) for start, end in zip(starts, ends, strict=True) if end > start)
    return [segment for segment in found if segment.label != background]


def overlap_counts(true: Sequence[Segment], predicted: Sequence[Segment], overlap: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives among the segments of one recording.

    Each predicted segment is compared with the true segment of its label that it overlaps most, in the order of time;
    a true segment is found once.

    Args:
        true: The labelled segments.
        predicted: The predicted ones.
        overlap: Least intersection over union of a segment that counts as found.

    Source: Lea et al., Temporal Convolutional Networks for Action Segmentation and Detection (CVPR 2017).

    >>> overlap_counts([Segment(0, 10, 1)], [Segment(0, 6, 1), Segment(6, 10, 1)], 0.5)
    (1, 1, 0)
    """
    found: set[int] = set()
    for segment in predicted:
        best, at = 0.0, -1
        for place, other in enumerate(true):
            common = min(segment.end, other.end) - max(segment.start, other.start)
            share = common / (max(segment.end, other.end) - min(segment.start, other.start))
            if other.label == segment.label and share > best:
                best, at = share, place
        if best >= overlap:
            found.add(at)
    hits = len(found)
    return hits, len(predicted) - hits, len(true) - hits


def edit_score(true: Sequence[int], predicted: Sequence[int]) -> float:
    """1 - Levenshtein distance / length of the longer sequence; 1 for two empty ones.

    Args:
        true: Labels of the segments in their order.
        predicted: The same of the prediction.

    >>> edit_score([1, 2, 3, 4], [1, 3, 4])
    0.75
    """
    row = list(range(len(predicted) + 1))
    for i, wanted in enumerate(true, 1):
        before, row[0] = row[0], i
        for j, label in enumerate(predicted, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (wanted != label))
    return 1 - row[-1] / max(len(true), len(predicted), 1)


def segment_scores(
    true: Sequence[Frames],
    predicted: Sequence[Frames],
    background: int | None = None,
    overlaps: Sequence[float] = OVERLAPS,
) -> SegmentScores:
    """Score predictions over time.

    Args:
        true: Label of each frame of each recording.
        predicted: The same of the predictions.
        background: Label of frames without an action.
        overlaps: Overlaps to compute the segmental F1 at.

    Raises:
        ValueError: A recording and its prediction differ in length.
    """
    pairs = [(segments_of(t, background), segments_of(p, background)) for t, p in zip(true, predicted, strict=True)]
    right = sum(int((t == p).sum()) for t, p in zip(true, predicted, strict=True))
    f1 = {}
    for overlap in overlaps:
        hits, wrong, missed = np.sum([overlap_counts(t, p, overlap) for t, p in pairs], axis=0).tolist()
        f1[overlap] = 2 * hits / max(2 * hits + wrong + missed, 1)
    edits = [edit_score([s.label for s in t], [s.label for s in p]) for t, p in pairs]
    return SegmentScores(right / max(sum(map(len, true)), 1), f1, float(np.mean(edits)))
