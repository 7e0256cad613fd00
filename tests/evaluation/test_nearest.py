"""Exact neighbours: against scikit-learn and float64 by hand, where float32 can't tell, and block by block."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from i2md.evaluation.neighbours import nearest_neighbours

WIDTH = 12


def crowded(seed: int, closeness: float, copies: int, train: int = 70, test: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Features in crowds: within one they differ by about `closeness`; the last `copies` repeat earlier ones."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, WIDTH))
    clips = centres[rng.integers(0, 4, train + test)] + closeness * rng.normal(size=(train + test, WIDTH))
    clips = (clips * rng.uniform(0.1, 10, (train + test, 1))).astype(np.float32)
    learnt = clips[:train]
    if copies:
        learnt[-copies:] = learnt[rng.integers(0, train - copies, copies)]
    return learnt, clips[train:]


def cosines(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """In float64, a dot product at a time, so that copies are equally similar to the last bit."""
    a, b = (x.astype(float) / np.linalg.norm(x.astype(float), axis=1)[:, None] for x in (test, train))
    return np.array([[np.sum(p * q) for q in b] for p in a])


def found_by(train: np.ndarray, test: np.ndarray, k: int) -> np.ndarray:
    return nearest_neighbours({"joint": torch.tensor(train)}, {"joint": torch.tensor(test)}, k)["joint"].numpy()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 1e-2, 1e-4, 1e-6, 1e-7]), st.integers(0, 40), st.integers(1, 6))
def test_scikit_learns_neighbours_however_crowded(seed, closeness, copies, k):
    train, test = crowded(seed, closeness, copies)
    judge = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(train.astype(float))
    distances, indices = judge.kneighbors(test.astype(float))
    ours = found_by(train, test, k)
    similarity = cosines(train, test)
    np.testing.assert_allclose(1 - np.take_along_axis(similarity, ours, axis=1), distances, atol=3e-15)
    # Where the next one is further than float64 errs, there is but one answer.
    in_order = -np.sort(-similarity, axis=1)
    clear = (in_order[:, :k] - in_order[:, 1 : k + 1] > 1e-14).all(axis=1)
    np.testing.assert_array_equal(ours[clear], indices[clear])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 20))
def test_of_copies_the_first_is_the_nearest(seed, copies, k):
    train, test = crowded(seed, 1.0, copies)
    np.testing.assert_array_equal(
        found_by(train, test, k), np.argsort(-cosines(train, test), axis=1, kind="stable")[:, :k]
    )


def test_more_clips_than_candidates_that_float32_can_not_tell_apart():
    """40 training clips within 1e-9 of one another: what float32 finds is chance, and all of them are looked at."""
    steps = np.random.default_rng(0).permutation(40)
    train = np.stack([np.full(40, 2.0**24), 1.0 + steps], axis=1).astype(np.float32)
    np.testing.assert_array_equal(found_by(train, np.array([[0.0, 1.0]], np.float32), 3)[0], np.argsort(-steps)[:3])


@pytest.mark.parametrize(("train_block", "test_block", "few"), [(1, 1, 1), (3, 7, 2), (70, 30, 5), (64, 29, 1000)])
@pytest.mark.parametrize("k", [1, 5])
def test_the_blocks_do_not_matter(monkeypatch, train_block, test_block, few, k):
    streams = ("joint", "motion", "bone")
    train, test = zip(*(crowded(seed, 1e-5, 10) for seed in range(3)), strict=True)
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
    parts = {name: crowded(seed, closeness, 0) for seed, name in enumerate(("joint", "bone"))}
    features = [{name: torch.tensor(part[side]) for name, part in parts.items()} for side in (0, 1)]
    mean = np.mean([cosines(*part) for part in parts.values()], axis=0)
    np.testing.assert_array_equal(
        nearest_neighbours(*features, 4)["ensemble"].numpy(), np.argsort(-mean, axis=1)[:, :4]
    )


def test_products_less_exact_than_float32_change_no_answer(monkeypatch):
    """As a GPU may take them where it is told to."""
    train, test = crowded(0, 3e-3, 0)
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
