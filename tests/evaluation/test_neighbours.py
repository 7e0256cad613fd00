"""Nearest neighbours, kNN evaluation and retrieval: against scikit-learn, float64 by hand and plain loops."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from i2md.evaluation import neighbours
from i2md.evaluation.neighbours import knn_predictions, nearest_neighbours, retrieval_metrics

WIDTH = 12


def clustered(
    seed: int, closeness: float, copies: int, train: int = 70, test: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Features in four clusters of radius about `closeness`; the last `copies` training clips repeat earlier ones."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, WIDTH))
    clips = centres[rng.integers(0, 4, train + test)] + closeness * rng.normal(size=(train + test, WIDTH))
    clips = (clips * rng.uniform(0.1, 10, (train + test, 1))).astype(np.float32)
    known = clips[:train]
    if copies:
        known[-copies:] = known[rng.integers(0, train - copies, copies)]
    return known, clips[train:]


def cosines(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Similarities in float64, one dot product at a time, so that copies get the same bits."""
    a, b = (x.astype(float) / np.linalg.norm(x.astype(float), axis=1)[:, None] for x in (test, train))
    return np.array([[np.sum(p * q) for q in b] for p in a])


def found_by(train: np.ndarray, test: np.ndarray, k: int) -> np.ndarray:
    return nearest_neighbours({"joint": torch.tensor(train)}, {"joint": torch.tensor(test)}, k)["joint"].numpy()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 1e-2, 1e-4, 1e-6, 1e-7]), st.integers(0, 40), st.integers(1, 6))
def test_neighbours_are_those_of_scikit_learn(seed, closeness, copies, k):
    train, test = clustered(seed, closeness, copies)
    search = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(train.astype(float))
    distances, indices = search.kneighbors(test.astype(float))
    ours = found_by(train, test, k)
    similarity = cosines(train, test)
    np.testing.assert_allclose(1 - np.take_along_axis(similarity, ours, axis=1), distances, atol=3e-15)
    # Where similarities differ by more than the float64 error there is one answer.
    in_order = -np.sort(-similarity, axis=1)
    clear = (in_order[:, :k] - in_order[:, 1 : k + 1] > 1e-14).all(axis=1)
    np.testing.assert_array_equal(ours[clear], indices[clear])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 20))
def test_the_first_of_equal_training_clips_is_the_nearest(seed, copies, k):
    train, test = clustered(seed, 1.0, copies)
    np.testing.assert_array_equal(
        found_by(train, test, k), np.argsort(-cosines(train, test), axis=1, kind="stable")[:, :k]
    )


def test_more_clips_than_candidates_within_the_float32_error():
    """40 training clips within 1e-9 of one another: float32 finds arbitrary ones, so all are compared in float64."""
    steps = np.random.default_rng(0).permutation(40)
    train = np.stack([np.full(40, 2.0**24), 1.0 + steps], axis=1).astype(np.float32)
    np.testing.assert_array_equal(found_by(train, np.array([[0.0, 1.0]], np.float32), 3)[0], np.argsort(-steps)[:3])


@pytest.mark.parametrize(("train_block", "test_block", "few"), [(1, 1, 1), (3, 7, 2), (70, 30, 5), (64, 29, 1000)])
@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_do_not_depend_on_the_block_sizes(monkeypatch, train_block, test_block, few, k):
    streams = ("joint", "motion", "bone")
    train, test = zip(*(clustered(seed, 1e-5, 10) for seed in range(3)), strict=True)
    features = [dict(zip(streams, map(torch.tensor, part), strict=True)) for part in (train, test)]
    at_once = nearest_neighbours(*features, k)
    monkeypatch.setattr("i2md.evaluation.neighbours.TRAIN_BLOCK", train_block)
    monkeypatch.setattr("i2md.evaluation.neighbours.TEST_BLOCK", test_block)
    monkeypatch.setattr("i2md.evaluation.neighbours.FEW", few)
    in_blocks = nearest_neighbours(*features, k)
    assert list(in_blocks) == [*streams, "ensemble"]
    assert all(torch.equal(in_blocks[name], at_once[name]) for name in at_once)


@pytest.mark.parametrize("closeness", [1.0, 1e-6])
def test_the_ensemble_is_the_nearest_by_the_mean_of_the_streams(closeness):
    parts = {name: clustered(seed, closeness, 0) for seed, name in enumerate(("joint", "bone"))}
    features = [{name: torch.tensor(part[side]) for name, part in parts.items()} for side in (0, 1)]
    mean = np.mean([cosines(*part) for part in parts.values()], axis=0)
    np.testing.assert_array_equal(
        nearest_neighbours(*features, 4)["ensemble"].numpy(), np.argsort(-mean, axis=1)[:, :4]
    )


def test_neighbours_do_not_depend_on_the_precision_of_products(monkeypatch):
    """bfloat16 products, as a GPU may be set to."""
    train, test = clustered(0, 3e-3, 0)
    exact = found_by(train, test, 3)
    whole = torch.Tensor.__matmul__

    def rounded(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        if left.dtype == torch.float32:
            return whole(left.bfloat16().float(), right.bfloat16().float())
        return whole(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    np.testing.assert_array_equal(found_by(train, test, 3), exact)


MEMORY = """
import resource, torch
from i2md.evaluation.neighbours import nearest_neighbours
torch.manual_seed(0)
train, test = ({"joint": torch.randn(count, 64)} for count in (40_091, 16_487))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
before = peak()
nearest_neighbours(train, test)
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pairs():
    """All similarities of NTU-60's cross-subject split together are 2.6 GB."""
    command = [sys.executable, "-c", MEMORY]
    assert float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) < 500


def random_clips(seed: int, classes: int = 4):
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(60, 8)).astype(np.float32), rng.normal(size=(200, 8)).astype(np.float32)
    return torch.tensor(train), torch.tensor(test), torch.tensor(rng.integers(0, classes, 60))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_predictions_are_those_of_scikit_learn(k):
    train, test, labels = random_clips(k)
    classifier = KNeighborsClassifier(n_neighbors=k, metric="cosine", algorithm="brute").fit(train, labels)
    ours = knn_predictions({"joint": train}, {"joint": test}, labels, k)["joint"].numpy()
    votes = classifier.predict_proba(test)
    # Of equal votes scikit-learn takes the lowest label, ours the nearest clip's.
    clear = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
    assert clear.sum() >= (200 if k == 1 else 100)
    np.testing.assert_array_equal(ours[clear], classifier.predict(test)[clear])
    tied = ~clear
    assert (votes[tied, ours[tied]] == votes[tied].max(axis=1)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 5))
def test_the_most_frequent_label_wins_and_ties_go_to_the_nearest(seed, k, classes):
    train, test, labels = random_clips(seed, classes)
    predicted = knn_predictions({"joint": train}, {"joint": test}, labels, k)["joint"].tolist()
    for row, found in zip(cosines(train.numpy(), test.numpy()), predicted, strict=True):
        near = labels[np.argsort(-row)[:k]].tolist()
        count = Counter(near)
        assert found == next(label for label in near if count[label] == max(count.values()))


def test_lengths_of_features_do_not_matter():
    train, test, labels = random_clips(0)
    scaled = knn_predictions({"joint": train * torch.rand(60, 1)}, {"joint": test * 7}, labels)
    assert torch.equal(scaled["joint"], knn_predictions({"joint": train}, {"joint": test}, labels)["joint"])


def test_the_ensemble_averages_the_streams_similarities():
    """In each stream alone another clip is the nearest."""
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


def test_one_stream_has_no_ensemble():
    train, test, labels = random_clips(1)
    assert list(knn_predictions({"joint": train}, {"joint": test}, labels)) == ["joint"]
    names = ("joint", "motion", "bone")
    three = knn_predictions(dict.fromkeys(names, train), dict.fromkeys(names, test), labels)
    assert list(three) == [*names, "ensemble"]
    assert torch.equal(three["ensemble"], three["joint"])


@pytest.fixture
def retrieval_clips():
    rng = np.random.default_rng(0)
    train = {name: torch.tensor(rng.normal(size=(40, 8)), dtype=torch.float32) for name in ("joint", "bone")}
    test = {name: torch.tensor(rng.normal(size=(30, 8)), dtype=torch.float32) for name in ("joint", "bone")}
    # Class 4 has test clips only: nothing can be retrieved for them.
    return train, test, torch.tensor(rng.integers(0, 4, 40)), torch.tensor(rng.integers(0, 5, 30))


def test_retrieval_metrics_are_those_of_scikit_learn_and_a_loop(retrieval_clips, monkeypatch):
    train, test, labels, queries = retrieval_clips
    monkeypatch.setattr(neighbours, "PAIRS", 7 * 40)
    found = retrieval_metrics(train, test, labels, queries, (1, 5))
    similarity = {name: cosine_similarity(test[name].double(), train[name].double()) for name in train}
    similarity["ensemble"] = (similarity["joint"] + similarity["bone"]) / 2
    for name, values in similarity.items():
        precisions, recalls = [], {1: [], 5: []}
        for row, label in zip(values, queries.tolist(), strict=True):
            relevant = labels.numpy() == label
            precisions.append(average_precision_score(relevant, row) if relevant.any() else 0.0)
            for k in recalls:
                recalls[k].append(relevant[np.argsort(-row)[:k]].any())
        assert found["mAP"][name] == pytest.approx(np.mean(precisions), abs=1e-6)
        for k, hits in recalls.items():
            assert found[f"recall@{k}"][name] == pytest.approx(np.mean(hits))


def test_recall_at_one_is_the_accuracy_of_1nn(retrieval_clips):
    train, test, labels, queries = retrieval_clips
    recall = retrieval_metrics(train, test, labels, queries, (1,))["recall@1"]
    nearest = knn_predictions(train, test, labels)
    assert recall == pytest.approx({name: float((p == queries).float().mean()) for name, p in nearest.items()})
