"""Nearest-neighbour retrieval, against scikit-learn and a plain loop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from i2md.evaluation.knn import cosine, knn_predictions, vote


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
    similarity = cosine(test, train)
    for row, found in zip(similarity, vote(similarity, labels, k).tolist(), strict=True):
        order = row.argsort(descending=True)[:k]
        near = labels[order].tolist()
        count = Counter(near)
        assert found == next(label for label in near if count[label] == max(count.values()))


def test_cosine_heeds_directions_alone():
    train, test, _ = random_clips(0)
    by_hand = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in train.numpy()] for a in test.numpy()])
    np.testing.assert_allclose(cosine(test, train).numpy(), by_hand, atol=1e-6)
    torch.testing.assert_close(cosine(test * 7, train / 3), cosine(test, train))


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
        "2-stream": [1],
    }


def test_one_stream_is_no_ensemble_and_three_are_called_so():
    train, test, labels = random_clips(1)
    assert list(knn_predictions({"joint": train}, {"joint": test}, labels)) == ["joint"]
    names = ("joint", "motion", "bone")
    three = knn_predictions(dict.fromkeys(names, train), dict.fromkeys(names, test), labels)
    assert list(three) == [*names, "3-stream"]
    assert torch.equal(three["3-stream"], three["joint"])
