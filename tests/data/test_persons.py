"""Persons told apart from frame to frame: identities, against an exhaustive assignment, and on real recordings."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.persons import MAX_LOST, Bodies, arrange, without_low_confidence
from i2md.data.readers import open_source

SEEDS = st.integers(0, 2**32 - 1)


def shuffled(persons: np.ndarray, rng: np.random.Generator) -> Bodies:
    """The bodies of persons (persons, frames, joints, channels), those of each frame in random order; NaN is absent."""
    seen = ~np.isnan(persons).all(axis=(2, 3))
    rows = [(frame, p) for frame in range(persons.shape[1]) for p in rng.permutation(len(persons)) if seen[p, frame]]
    return Bodies(np.array([frame for frame, _ in rows]), np.stack([persons[p, frame] for frame, p in rows]))


def share_right(found: np.ndarray, persons: np.ndarray) -> float:
    """The share of frames in which all persons have the right identity, under the best naming of them."""
    there = np.where(np.isnan(persons).all(axis=(2, 3), keepdims=True), 0.0, persons)
    best = 0
    for order in permutations(range(len(persons))):
        if len(found) == len(persons):
            same = np.isclose(found[list(order)], there, equal_nan=True).all(axis=(0, 2, 3))
            best = max(best, int(same.sum()))
    return best / persons.shape[1]


def walkers(rng: np.random.Generator, persons: int, frames: int, distance: float) -> np.ndarray:
    body = rng.normal(scale=0.3, size=(persons, 1, 12, 3)) + distance * np.arange(persons)[:, None, None, None]
    return body + np.cumsum(rng.normal(scale=0.02, size=(persons, frames, 1, 3)), axis=1)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 3))
def test_persons_apart_keep_their_identity_through_gaps(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    persons = walkers(rng, count, 60, 2.0)
    persons[0, 20 : 20 + int(rng.integers(0, MAX_LOST))] = np.nan
    persons[:, :, 3][rng.random((count, 60)) < 0.3] = np.nan
    found = arrange(shuffled(persons, rng), 60, count)
    assert share_right(found.positions, persons) == 1.0
    assert found.counts["bodies_left_out"] == 0


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_two_frames_are_assigned_as_an_exhaustive_search_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(3, 8, 2)) + 4 * rng.normal(size=(3, 1, 2))
    second = (first + 0.1 * rng.normal(size=first.shape))[rng.permutation(3)]
    costs = {
        o: sum(np.linalg.norm(first[i] - second[o[i]], axis=-1).mean() for i in range(3))
        for o in permutations((0, 1, 2))
    }
    best = min(costs, key=lambda order: costs[order])
    bodies = Bodies(np.repeat([0, 1], 3), np.concatenate([first, second]))
    found = arrange(bodies, 2, 3).positions
    assert {tuple(person[1].ravel()) for person in found} == {tuple(each.ravel()) for each in second}
    for person in found:
        (start,) = (i for i in range(3) if np.array_equal(first[i], person[0]))
        np.testing.assert_array_equal(person[1], second[best[start]])


def test_crossing_persons_are_followed_by_their_velocity() -> None:
    time = np.arange(40.0)[:, None, None]
    body = np.random.default_rng(0).normal(scale=0.2, size=(2, 1, 10, 2)) * [1, 2]
    paths = np.stack([np.broadcast_to([0.1, 0.0], (40, 1, 2)) * time, [3.9, 0.02] - np.array([0.1, 0.0]) * time])
    persons = body + paths
    found = arrange(shuffled(persons, np.random.default_rng(1)), 40, 2)
    assert share_right(found.positions, persons) == 1.0


def test_identities_of_the_source_are_kept_and_more_persons_are_counted() -> None:
    at = np.zeros((6, 2, 2)) + np.arange(6.0)[:, None, None]
    bodies = Bodies(np.array([0, 0, 0, 1, 1, 1]), at, None, np.array([7, 3, 9, 3, 7, 7]))
    found = arrange(bodies, 2, 2)
    # The second body with identity 7 in frame 1 and the person seen once are left out.
    assert found.positions[..., 0, 0].tolist() == [[0.0, 4.0], [1.0, 3.0]]
    assert found.counts == {"bodies_left_out": 2}


def test_a_track_after_a_long_absence_is_the_same_person_if_nobody_else_is_there() -> None:
    frames = np.concatenate([np.arange(10), np.arange(100, 120)])
    two = Bodies(np.append(frames, 119), np.ones((31, 4, 2)) * np.append(np.ones(30), 50.0)[:, None, None])
    found = arrange(two, 120, 2)
    assert found.positions.any(axis=(2, 3)).sum(axis=1).tolist() == [30, 1]


def test_low_confidence_is_missing_and_counted() -> None:
    bodies = Bodies(np.array([0, 1]), np.ones((2, 3, 2)), np.array([[0.9, 0.3, np.nan], [0.1, 0.2, 0.0]]))
    left, counts = without_low_confidence(bodies, 0.3)
    assert left.frames.tolist() == [0] and np.isnan(left.positions[0, :, 0]).tolist() == [False, True, True]
    assert counts["joints_of_low_confidence"] == 5


def test_real_pairs_in_random_order_keep_their_identity_in_99_5_percent_of_frames(real_data: Path) -> None:
    rng = np.random.default_rng(0)
    right, frames = 0.0, 0
    for recording in list(open_source("sbu-interaction", real_data / "sbu-interaction").read())[::6]:
        persons = recording.positions.astype(np.float64)
        persons = np.where(persons.any(axis=-1, keepdims=True), persons, np.nan)
        found = arrange(shuffled(persons, rng), persons.shape[1], 2)
        right += share_right(found.positions, persons) * persons.shape[1]
        frames += persons.shape[1]
    assert right / frames >= 0.995


@pytest.mark.parametrize("persons", [1, 2])
def test_one_body_a_frame_is_one_person(persons: int) -> None:
    at = np.random.default_rng(0).normal(scale=100, size=(5, 3, 2))
    assert arrange(Bodies(np.arange(5), at), 5, persons).positions.shape == (1, 5, 3, 2)
