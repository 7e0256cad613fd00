"""Decorrelation against plain loops, and what it does to embeddings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from i2md.errors import InputError
from i2md.objectives.decorrelation import Decorrelation, covariance_loss, variance_loss
from i2md.objectives.levels import BatchLevels, Level
from i2md.objectives.settings import TERMS, ObjectiveSettings


def batch_of(query, key):
    level = Level(query, key, key, query[:, :0], query[:, :0], None)
    return BatchLevels(ObjectiveSettings(), ("contrast",), True, {"joint": level}, {})


def slowly(query, key, term):
    """VICReg's three parts, a dimension and a clip at a time."""
    rows, width = [[v * len(row) ** 0.5 for v in row] for row in query], len(query[0])
    keys = [[v * len(row) ** 0.5 for v in row] for row in key]
    n = len(rows)
    means = [sum(row[d] for row in rows) / n for d in range(width)]

    def covariance(a, b):
        return sum((row[a] - means[a]) * (row[b] - means[b]) for row in rows) / (n - 1)

    variance = sum(max(0.0, 1 - (covariance(d, d) + 1e-4) ** 0.5) for d in range(width)) / width
    invariance = sum((v - w) ** 2 for a, b in zip(rows, keys, strict=True) for v, w in zip(a, b, strict=True))
    off = sum(covariance(a, b) ** 2 for a in range(width) for b in range(width) if a != b) / width
    return {
        "variance/joint": term.variance * variance,
        "invariance/joint": term.invariance * invariance / n / width,
        "covariance/joint": term.covariance * off,
    }


@pytest.mark.parametrize("term", [Decorrelation(), Decorrelation(variance=0.5, invariance=2.0, covariance=0.3)])
def test_it_matches_plain_loops(term):
    torch.manual_seed(0)
    query, key = (F.normalize(torch.randn(6, 4) + 1, dim=1) for _ in range(2))
    expected = slowly(query.tolist(), key.tolist(), term)
    assert {name: loss.item() for name, loss in term(batch_of(query, key)).items()} == pytest.approx(expected, rel=1e-4)


def test_evenly_spread_embeddings_cost_nothing_and_a_single_point_costs_the_whole_variance():
    corners = torch.cat([torch.eye(4), -torch.eye(4)]).repeat(50, 1) * 2
    assert variance_loss(corners).item() < 1e-2 and covariance_loss(corners).item() < 1e-6
    assert variance_loss(torch.ones(8, 4)).item() == pytest.approx(0.99, abs=1e-3)


def test_its_gradient_spreads_a_collapsed_batch():
    torch.manual_seed(0)
    x = (torch.randn(32, 8) * 0.01 + 1).requires_grad_()
    optimizer, term = torch.optim.Adam([x], lr=0.05), Decorrelation(invariance=0.0)
    spreads = []
    for _ in range(60):
        query = F.normalize(x, dim=1)
        spreads.append(query.detach().var(dim=0).sum().item())
        optimizer.zero_grad()
        sum(term(batch_of(query, query.detach())).values()).backward()
        optimizer.step()
    assert spreads[0] < 0.01 and spreads[-1] > 0.7


def test_it_is_a_term_by_its_name_and_its_weights_are_checked():
    assert TERMS["decorrelation"] is Decorrelation
    with pytest.raises(InputError, match="at least 0"):
        replace(Decorrelation(), covariance=-1.0)
