"""The learning rate over the epochs, and what moves the weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.pretraining.optimizer import build_optimizer, learning_rate
from i2md.pretraining.settings import OptimizerSettings


def test_the_published_step_schedule():
    settings = OptimizerSettings()
    rates = [learning_rate(settings, epoch, 450) for epoch in range(450)]
    assert rates[:350] == [0.01] * 350
    assert rates[350:] == pytest.approx([0.001] * 100)


def test_each_milestone_divides_by_ten():
    settings = OptimizerSettings(learning_rate=1.0, milestones=(2, 4))
    rates = [learning_rate(settings, epoch, 6) for epoch in range(6)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_at_start_middle_and_end():
    settings = OptimizerSettings(learning_rate=0.2, schedule="cosine")
    quarters = [learning_rate(settings, epoch, 100) for epoch in (0, 25, 50, 75, 100)]
    halves = 2**-0.5
    assert quarters == pytest.approx([0.2, 0.1 * (1 + halves), 0.1, 0.1 * (1 - halves), 0.0], abs=1e-12)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_warmup_is_linear_from_zero_to_the_full_rate(schedule):
    settings = OptimizerSettings(learning_rate=0.3, schedule=schedule, warmup_epochs=4, milestones=(50,))
    assert [learning_rate(settings, e, 60) for e in (0, 1, 2, 3.5, 4)] == pytest.approx([0, 0.075, 0.15, 0.2625, 0.3])


def test_cosine_after_warmup_spans_the_remaining_epochs():
    settings = OptimizerSettings(learning_rate=1.0, schedule="cosine", warmup_epochs=10)
    assert learning_rate(settings, 60, 110) == pytest.approx(0.5)
    assert learning_rate(settings, 110, 110) == pytest.approx(0, abs=1e-12)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from(["step", "cosine"]), st.floats(0, 600))
def test_the_rate_stays_between_zero_and_learning_rate(epochs, done, schedule, warmup):
    settings = OptimizerSettings(learning_rate=0.5, schedule=schedule, warmup_epochs=warmup, milestones=(100, 200))
    assert 0 <= learning_rate(settings, done * epochs, epochs) <= 0.5


def moved(settings, steps):
    """Where a weight of 1 stands after steps on a gradient of 2."""
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = build_optimizer([weight], settings)
    for _ in range(steps):
        weight.grad = torch.full((), 2.0)
        optimizer.step()
    return weight.item()


def test_sgd_has_momentum_and_decay():
    first = 1 - 0.1 * (2 + 0.5 * 1)
    velocity = 0.9 * 2.5 + (2 + 0.5 * first)
    settings = OptimizerSettings(learning_rate=0.1, weight_decay=0.5)
    assert moved(settings, 1) == pytest.approx(first)
    assert moved(settings, 2) == pytest.approx(first - 0.1 * velocity)


def test_adamw_decouples_weight_decay_from_the_gradient():
    settings = OptimizerSettings(name="adamw", learning_rate=0.1, weight_decay=0.5)
    assert moved(settings, 1) == pytest.approx(1 - 0.1 * 0.5 - 0.1, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_parameter_that_gets_its_first_gradient_later_is_updated_like_a_new_one(name):
    settings = OptimizerSettings(name=name, learning_rate=0.1)
    early, late, alone = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    together, apart = build_optimizer([early, late], settings), build_optimizer([alone], settings)
    for step in range(4):
        early.grad = torch.ones(3)
        if step >= 2:
            late.grad = alone.grad = torch.tensor([0.5, -1.0, 2.0])
            apart.step()
        together.step()
    torch.testing.assert_close(late, alone)
