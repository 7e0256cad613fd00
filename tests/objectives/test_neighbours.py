"""Dynamic neighbours aggregation, against a loop over clips and entries."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from i2md.objectives.neighbours import aggregate, nearest_positions, positions_mask


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def slowly(f, queue, places, temperature):
    """normalise(f + sum_i softmax_i(f.C_i / temperature) C_i) for one feature, on plain lists."""
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    weights = [math.exp(dot(f, queue[j]) / temperature) for j in places]
    drawn = list(f)
    for weight, j in zip(weights, places, strict=True):
        drawn = [d + weight / sum(weights) * c for d, c in zip(drawn, queue[j], strict=True)]
    length = math.sqrt(dot(drawn, drawn))
    return [d / length for d in drawn]


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("excluding", [False, True])
def test_it_matches_plain_loops(temperature, excluding):
    torch.manual_seed(0)
    features, queue = unit(5, 6), unit(11, 6)
    neighbours = torch.stack([torch.randperm(11)[:4] for _ in range(5)])
    excluded = torch.rand(5, 11) < 0.5 if excluding else torch.zeros(5, 11, dtype=torch.bool)
    expected = [
        slowly(f, queue.tolist(), [j for j in places if not left_out[j]], temperature)
        for f, places, left_out in zip(features.tolist(), neighbours.tolist(), excluded, strict=True)
    ]
    drawn = aggregate(features, queue, neighbours, temperature, excluded if excluding else None)
    torch.testing.assert_close(drawn, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=0)


def test_a_feature_whose_neighbours_are_all_excluded_is_unchanged():
    features, queue = unit(2, 4), unit(6, 4)
    excluded = torch.zeros(2, 6, dtype=torch.bool)
    excluded[0] = True
    drawn = aggregate(features, queue, torch.tensor([[1, 2], [1, 2]]), excluded=excluded)
    torch.testing.assert_close(drawn[0], features[0])
    assert not torch.allclose(drawn[1], features[1], atol=1e-3)


def test_low_temperature_uses_the_nearest_alone_and_high_temperature_all_equally():
    features, queue = unit(3, 8), unit(5, 8)
    all_of_them = torch.arange(5).expand(3, -1)
    cold = F.normalize(features + queue[(features @ queue.T).argmax(dim=1)], dim=1)
    hot = F.normalize(features + queue.mean(dim=0), dim=1)
    torch.testing.assert_close(aggregate(features, queue, all_of_them, 1e-5), cold)
    torch.testing.assert_close(aggregate(features, queue, all_of_them, 1e6), hot, atol=1e-5, rtol=0)


def test_an_aggregate_is_closer_to_its_neighbours():
    features, queue = unit(6, 8), unit(40, 8)
    neighbours = (features @ queue.T).topk(3, dim=1).indices
    drawn = aggregate(features, queue, neighbours)
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(6).double())
    before, after = ((f @ queue.T).gather(1, neighbours).mean() for f in (features, drawn))
    assert after > before


def test_the_mask_is_true_at_each_clips_own_neighbours():
    mask = positions_mask(torch.tensor([[0, 3], [3, 2]]), 5)
    assert mask.tolist() == [[True, False, False, True, False], [False, False, True, True, False]]


@given(st.integers(2, 30), st.data())
def test_excluded_entries_are_taken_only_where_nothing_else_is_left(queue, data):
    count = data.draw(st.integers(1, queue))
    row = data.draw(st.permutations(range(queue)))
    excluded = data.draw(st.lists(st.booleans(), min_size=queue, max_size=queue))
    (places,) = nearest_positions(torch.tensor([row]).float(), count, torch.tensor([excluded])).tolist()
    allowed = sorted((j for j in range(queue) if not excluded[j]), key=lambda j: -row[j])
    assert len(set(places)) == count
    assert set(allowed[:count]) <= set(places)
    assert sum(excluded[j] for j in places) == max(0, count - len(allowed))
