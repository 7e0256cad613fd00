"""Clusters of clips without labels: k-means, their number, their order and their examples."""

from __future__ import annotations

import numpy as np
import pytest
from made_report import made_clips
from sklearn.metrics import adjusted_rand_score

from i2md.errors import InputError
from i2md.evaluation.clustering import cluster
from i2md.evaluation.report.clip_map import map_clips


def blobs(sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    true = np.repeat(np.arange(len(sizes)), sizes)
    features = np.eye(len(sizes), 70)[true] * 5 + rng.normal(size=(len(true), 70)) * 0.2
    order = rng.permutation(len(true))
    return features[order].astype(np.float32), true[order]


def test_separate_groups_are_found_the_largest_first_and_their_number_is_chosen() -> None:
    features, true = blobs([9, 30, 17, 12])
    found = cluster(features)
    assert found.chosen and found.names == ["cluster 1", "cluster 2", "cluster 3", "cluster 4"]
    assert adjusted_rand_score(true, found.assigned) == 1 and found.silhouette > 0.6
    assert np.bincount(found.assigned).tolist() == [30, 17, 12, 9]


def test_examples_are_the_members_nearest_to_the_centre() -> None:
    features, _ = blobs([20, 10])
    found = cluster(features, 2)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    for number, examples in enumerate(found.examples):
        members = np.flatnonzero(found.assigned == number)
        distances = np.linalg.norm(rows[members] - rows[members].mean(axis=0), axis=1)
        nearest = members[np.argsort(distances)]
        # PCA to 50 dimensions changes distances little.
        assert examples[0] in nearest[:3] and set(examples) <= set(nearest[:6])


def test_the_number_of_clusters_is_taken_or_refused() -> None:
    features, _ = blobs([10, 10])
    assert len(cluster(features, 5).examples) == 5 and not cluster(features, 5).chosen
    for number in (0, 1, 20, 21):
        with pytest.raises(InputError, match="choose from 2 to 19"):
            cluster(features, number)


def test_two_different_clips_are_one_cluster() -> None:
    features = np.repeat(np.eye(2, 8, dtype=np.float32), 3, axis=0)
    assert cluster(features).assigned.tolist() == [0] * 6


def test_only_clips_without_labels_are_divided_unless_it_is_asked_for() -> None:
    clips = made_clips(12)
    assert map_clips(clips)["clusters"] is None  # type: ignore[index]
    for changed in ({"num_clusters": 3}, {"labels": np.full(12, -1)}):
        found = map_clips(type(clips)(**{**vars(clips), **changed}))
        assert isinstance(found, dict) and sum(found["clusters"]["sizes"]) == 12
