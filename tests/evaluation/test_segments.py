"""Metrics of temporal segmentation against slow formulations by frames."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from i2md.evaluation.segments import edit_score, overlap_counts, segment_scores, segments_of

timelines = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=8).map(
    lambda runs: np.repeat([label for label, _ in runs], [length for _, length in runs])
)


def sets_of_frames(labels: np.ndarray, background: int) -> list[tuple[int, set[int]]]:
    found: list[tuple[int, set[int]]] = []
    for frame, label in enumerate(labels.tolist()):
        if not frame or labels[frame - 1] != label:
            found.append((label, set()))
        found[-1][1].add(frame)
    return [each for each in found if each[0] != background]


@given(timelines, timelines)
def test_overlaps_are_those_of_sets_of_frames(one: np.ndarray, other: np.ndarray) -> None:
    true, predicted = sets_of_frames(one, 0), sets_of_frames(other, 0)
    for overlap in (0.1, 0.25, 0.5):
        found = set()
        for label, frames in predicted:
            shares = [len(frames & t) / len(frames | t) if label == wanted else 0.0 for wanted, t in true]
            if shares and max(shares) >= overlap:
                found.add(shares.index(max(shares)))
        hits = len(found)
        expected = hits, len(predicted) - hits, len(true) - hits
        assert overlap_counts(segments_of(one, 0), segments_of(other, 0), overlap) == expected


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_edit_score_is_that_of_the_recursive_distance(one: list[int], other: list[int]) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        return min(
            distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        )

    longest = max(len(one), len(other))
    assert edit_score(one, other) == (1 - distance(len(one), len(other)) / longest if longest else 1)


@given(timelines)
def test_a_perfect_prediction_has_all_scores(labels: np.ndarray) -> None:
    scores = segment_scores([labels], [labels])
    assert scores.frame_accuracy == scores.edit == 1
    assert set(scores.f1.values()) == {1.0}


def test_counts_are_summed_over_recordings() -> None:
    true = [np.array([0, 1, 1, 1]), np.array([0, 2, 2, 0])]
    predicted = [np.array([0, 1, 1, 1]), np.array([0, 0, 0, 0])]
    scores = segment_scores(true, predicted, background=0)
    assert scores.frame_accuracy == 6 / 8
    assert scores.f1[0.5] == 2 / 3  # one found, one missed
    assert scores.edit == 0.5
