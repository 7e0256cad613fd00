"""The timing of the benchmarks: alternation, ratios and rates, against values computed by hand."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from timing import machine, product_rate, product_rates, ratios, spread, time_interleaved, timed

SMALL = (64, 32, 48)


def test_implementations_alternate_and_the_first_round_is_not_counted():
    calls = []
    seconds = iter(range(1000))
    implementations = {name: lambda name=name: calls.append(name) for name in ("ours", "plain")}
    spent = time_interleaved(implementations, rounds=3, clock=lambda: float(next(seconds)))
    assert calls == ["ours", "plain"] * 4
    assert spent == {"ours": [1.0] * 3, "plain": [1.0] * 3}


def test_time_is_that_of_the_function_alone():
    """A clock that only the function advances."""
    seconds = [5.0]
    assert timed(lambda: seconds.append(seconds[-1] + 0.25), clock=lambda: seconds[-1]) == 0.25


def test_ratios_compare_times_of_the_same_round():
    """The machine slows down threefold, and the ratio stays."""
    results = ratios({"plain": [4.0, 6.0, 12.0], "ours": [2.0, 3.0, 6.0], "third": [1.0, 1.5, 6.0]})
    assert results["plain"] == {"median": 2.0, "from": 2.0, "to": 2.0}
    assert results["third"] == {"median": 0.5, "from": 0.5, "to": 1.0}
    assert set(results) == {"plain", "third"}


def test_small_values_keep_four_digits():
    assert spread([1.23456e-5, 2e-5, 1e-5]) == {"median": 1.235e-5, "from": 1e-5, "to": 2e-5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_product_rate_counts_two_operations_a_term(dtype, monkeypatch):
    """A clock that ticks a second a reading: the rate is the number of operations."""
    ticks = count()
    monkeypatch.setattr("timing.timed", lambda function: (function(), next(ticks), 1.0)[2])
    assert product_rate(dtype, seconds=3.0, shape=SMALL) == pytest.approx(2 * 64 * 32 * 48 / 1e9)
    assert next(ticks) == 3


def test_product_rates_have_a_value_for_each_precision():
    rates = product_rates(0.0, shape=(256, 256, 256))
    assert set(rates) == {"float32", "float32, oneDNN", "bfloat16"}
    assert all(rate > 0 for rate in rates.values())
    assert set(machine()) == {"device", "threads", "cores", "torch"}
