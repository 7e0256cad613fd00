"""The most probable sequence against all sequences, and what smoothing is for."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from i2md.evaluation.smoothing import fit_markov, median_classes, viterbi


@pytest.mark.parametrize("seed", range(5))
def test_viterbi_finds_the_best_of_all_sequences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    emissions, start, transitions = (rng.normal(size=shape) for shape in ((5, 3), 3, (3, 3)))

    def probability(states: tuple[int, ...]) -> float:
        moves = sum(transitions[a, b] for a, b in pairwise(states))
        return start[states[0]] + moves + sum(emissions[t, s] for t, s in enumerate(states))

    best = max(product(range(3), repeat=5), key=probability)
    assert viterbi(emissions, start, transitions).tolist() == list(best)


def test_durations_are_learned_and_orders_are_not() -> None:
    model = fit_markov([np.repeat([0, 1, 2, 0], [30, 5, 10, 30])], 3, weight=1.0, prior=1.0)
    probabilities = np.exp(model.transitions)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    stays = np.diag(probabilities)
    assert stays[0] > stays[2] > stays[1]
    for label in range(3):
        others = np.delete(probabilities[label], label)
        assert others[0] == pytest.approx(others[1])
    np.testing.assert_allclose(np.exp(model.prior), np.array([60, 5, 10]) / 75, atol=0.01)


def test_a_single_deviating_window_is_smoothed_away() -> None:
    true = np.repeat([0, 1], 20)
    seen = true.copy()
    seen[[5, 30]] = 1 - seen[[5, 30]]
    log_probabilities = np.log(np.where(np.eye(2)[seen] > 0, 0.8, 0.2))
    model = fit_markov([true], 2, weight=1.0, prior=0.5)
    np.testing.assert_array_equal(model.decode(log_probabilities), true)
    np.testing.assert_array_equal(median_classes(log_probabilities), true)


def test_the_median_is_that_of_each_neighbourhood() -> None:
    values = np.random.default_rng(0).normal(size=(9, 3))
    expected = []
    for t in range(9):
        around = [values[min(max(t + shift, 0), 8)] for shift in range(-2, 3)]
        expected.append(int(np.median(around, axis=0).argmax()))
    assert median_classes(values).tolist() == expected
