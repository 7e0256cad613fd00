"""What the benchmarks measure with: whose turn it is, and rates and ratios that a sum by hand agrees with."""

from __future__ import annotations

import time
from itertools import count

import pytest
import torch
from timing import by_turns, machine, product_rate, product_rates, ratios, spread, timed

SMALL = (64, 32, 48)


def test_the_ways_take_turns_and_the_first_round_is_not_told():
    turns = []
    seconds = iter(range(1000))
    ways = {name: lambda name=name: turns.append(name) for name in ("ours", "plain")}
    spent = by_turns(ways, rounds=3, clock=lambda: float(next(seconds)))
    assert turns == ["ours", "plain"] * 4
    assert spent == {"ours": [1.0] * 3, "plain": [1.0] * 3}


def test_seconds_are_of_the_way_alone():
    assert 0.02 <= timed(lambda: time.sleep(0.02)) < 0.5
    assert timed(lambda: time.sleep(0.05), time.process_time) < 0.04


def test_ratios_are_of_one_round_each():
    """The machine slows down threefold: each round tells the same."""
    told = ratios({"plain": [4.0, 6.0, 12.0], "ours": [2.0, 3.0, 6.0], "third": [1.0, 1.5, 6.0]})
    assert told["plain"] == {"median": 2.0, "from": 2.0, "to": 2.0}
    assert told["third"] == {"median": 0.5, "from": 0.5, "to": 1.0}
    assert set(told) == {"plain", "third"}


def test_small_figures_keep_their_digits():
    assert spread([1.23456e-5, 2e-5, 1e-5]) == {"median": 1.235e-5, "from": 1e-5, "to": 2e-5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rate_counts_two_operations_a_term(dtype, monkeypatch):
    """A clock that ticks a second a reading: the rate is the number of operations."""
    ticks = count()
    monkeypatch.setattr("timing.timed", lambda way: (way(), next(ticks), 1.0)[2])
    assert product_rate(dtype, seconds=3.0, shape=SMALL) == pytest.approx(2 * 64 * 32 * 48 / 1e9)
    assert next(ticks) == 3


def test_this_machine_has_a_rate_at_each_precision():
    rates = product_rates(0.0, shape=(256, 256, 256))
    assert set(rates) == {"float32", "float32, quick products", "bfloat16"}
    assert all(rate > 0 for rate in rates.values())
    assert set(machine()) == {"device", "threads", "cores", "torch"}
