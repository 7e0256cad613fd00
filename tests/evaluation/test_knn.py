"""Nearest-neighbour retrieval, against scikit-learn and a plain loop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from i2md.evaluation.neighbours import knn_predictions


def random_clips(seed: int, classes: int = 4):
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(60, 8)).astype(np.float32), rng.normal(size=(200, 8)).astype(np.float32)
    return torch.tensor(train), torch.tensor(test), torch.tensor(rng.integers(0, classes, 60))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_scikit_learn(k):
    train, test, labels = random_clips(k)
    judge = KNeighborsClassifier(n_neighbors=k, metric="cosine", algorithm="brute").fit(train, labels)
    ours = knn_predictions({"joint": train}, {"joint": test}, labels, k)["joint"].numpy()
    votes = judge.predict_proba(test)
    # Of equal votes scikit-learn takes the lowest label, ours the nearest clip's.
    clear = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert clear.sum() >= (200 if k == 1 else 100)
    np.testing.assert_array_equal(ours[clear], judge.predict(test)[clear])
    tied = ~clear
    assert (votes[tied, ours[tied]] == votes[tied].max(axis=1)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 5))
def test_the_commonest_label_and_of_equals_the_nearest(seed, k, classes):
    train, test, labels = random_clips(seed, classes)
    predicted = knn_predictions({"joint": train}, {"joint": test}, labels, k)["joint"].tolist()
    for row, found in zip(cosines(test, train), predicted, strict=True):
        near = labels[np.argsort(-row)[:k]].tolist()
        count = Counter(near)
        assert found == next(label for label in near if count[label] == max(count.values()))


def cosines(test: torch.Tensor, train: torch.Tensor) -> np.ndarray:
    """By hand, in float64."""
    a, b = test.numpy().astype(float), train.numpy().astype(float)
    return a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def test_directions_alone_matter():
    train, test, labels = random_clips(0)
    scaled = knn_predictions({"joint": train * torch.rand(60, 1)}, {"joint": test * 7}, labels)
    assert torch.equal(scaled["joint"], knn_predictions({"joint": train}, {"joint": test}, labels)["joint"])


def test_the_ensemble_averages_the_streams_similarities():
    """Either stream alone is led astray by a clip that the other finds far away."""
    train = {
        "joint": torch.tensor([[1.0, 0.0], [0.9, 0.5], [0.0, 1.0]]),
        "bone": torch.tensor([[0.0, 1.0], [0.9, 0.5], [1.0, 0.0]]),
    }
    test = {name: torch.tensor([[1.0, 0.0]]) for name in train}
    predictions = knn_predictions(train, test, torch.tensor([0, 1, 2]))
    assert {name: value.tolist() for name, value in predictions.items()} == {
        "joint": [0],
        "bone": [2],
        "ensemble": [1],
    }


def test_one_stream_is_no_ensemble_and_three_are_called_so():
    train, test, labels = random_clips(1)
    assert list(knn_predictions({"joint": train}, {"joint": test}, labels)) == ["joint"]
    names = ("joint", "motion", "bone")
    three = knn_predictions(dict.fromkeys(names, train), dict.fromkeys(names, test), labels)
    assert list(three) == [*names, "ensemble"]
    assert torch.equal(three["ensemble"], three["joint"])
