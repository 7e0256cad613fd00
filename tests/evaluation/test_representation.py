"""Measures of a representation against plain loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.evaluation.representation import alignment, effective_rank, total_variation, uniformity


def features(seed, clips=7, width=4):
    return torch.randn(clips, width, generator=torch.Generator().manual_seed(seed))


def unit(row):
    length = math.sqrt(sum(v * v for v in row))
    return [v / length for v in row]


def squared_distance(a, b):
    return sum((v - w) ** 2 for v, w in zip(unit(a), unit(b), strict=True))


def test_alignment_and_uniformity_match_plain_loops():
    x, y = features(0), features(1)
    rows, others = x.tolist(), y.tolist()
    distances = [squared_distance(a, b) for a, b in zip(rows, others, strict=True)]
    assert alignment(x, y) == pytest.approx(sum(distances) / 7, rel=1e-5)
    pairs = [math.exp(-2 * squared_distance(a, b)) for i, a in enumerate(rows) for b in rows[:i]]
    assert uniformity(x) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)


@given(st.floats(0.01, 100), st.integers(0, 50))
def test_lengths_of_features_do_not_matter_to_alignment_and_uniformity(scale, seed):
    x, y = features(seed), features(seed + 1)
    assert alignment(scale * x, y) == pytest.approx(alignment(x, y), rel=1e-4)
    assert uniformity(scale * x) == pytest.approx(uniformity(x), rel=1e-4)
    assert alignment(x, x) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_effective_rank_counts_directions_of_equal_size(rank):
    corners = torch.eye(6)[:rank]
    x = torch.cat([corners, -corners]) + 5.0
    assert effective_rank(x) == pytest.approx(rank, abs=1e-4)


def test_effective_rank_of_unequal_directions_and_of_a_single_point():
    x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    shares = [0.75, 0.25]
    assert effective_rank(x) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-5)
    assert effective_rank(torch.ones(5, 3)) == 0


def test_total_variation_is_the_mass_that_must_move():
    p = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    q = torch.tensor([[0.0, 0.5, 0.5], [0.2, 0.3, 0.5]])
    assert total_variation(p, q) == pytest.approx(0.25)
    assert total_variation(p, p) == 0
