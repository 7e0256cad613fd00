"""Draws of labelled clips: their number by class, and that they depend on seed and names alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from i2md.evaluation.protocols.few_labels import draw_fraction, draw_per_class

labelled = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


def named(count):
    return [f"clip{i:03}" for i in range(count)]


@given(labelled, st.floats(0.01, 1.0), st.integers(0, 3), st.integers(0, 3))
def test_a_balanced_fraction_is_of_each_class(labels, fraction, seed, draw):
    chosen = draw_fraction(named(len(labels)), labels, fraction, True, seed, draw)
    assert (np.diff(chosen) > 0).all()
    for c in set(labels.tolist()):
        count, wanted = (labels[chosen] == c).sum(), (labels == c).sum() * fraction
        assert count == 1 or abs(count - wanted) <= 0.5
        assert count >= 1


@given(labelled, st.floats(0.01, 1.0))
def test_an_unbalanced_fraction_is_of_all_clips_and_rounded_down(labels, fraction):
    chosen = draw_fraction(named(len(labels)), labels, fraction, False, 0, 0)
    assert len(set(chosen.tolist())) == max(1, int(len(labels) * fraction))


@given(labelled, st.integers(1, 12))
def test_clips_of_each_class_or_all_of_a_small_class(labels, few):
    chosen = draw_per_class(named(len(labels)), labels, few, 0, 0)
    for c in set(labels.tolist()):
        assert (labels[chosen] == c).sum() == min(few, (labels == c).sum())


@given(labelled, st.randoms(use_true_random=False), st.booleans())
def test_draws_do_not_depend_on_the_order_of_the_clips_and_are_nested(labels, random, balanced):
    names = named(len(labels))
    order = list(range(len(labels)))
    random.shuffle(order)
    one = draw_fraction(names, labels, 0.3, balanced, 5, 1)
    other = draw_fraction([names[i] for i in order], labels[order], 0.3, balanced, 5, 1)
    assert {names[i] for i in one} == {names[order[i]] for i in other}
    assert set(one) <= set(draw_fraction(names, labels, 0.7, balanced, 5, 1))


def test_draws_never_change():
    """Written down once: another machine or another version must draw the same."""
    names, labels = [f"a{c}_s{i}" for c in range(3) for i in range(8)], np.repeat(np.arange(3), 8)
    drawn = [
        [names[i] for i in draw_fraction(names, labels, 0.25, True, *numbers)] for numbers in ((0, 0), (0, 1), (1, 0))
    ]
    assert drawn == DRAWN
    assert [names[i] for i in draw_fraction(names, labels, 0.25, False, 0, 0)] == UNIFORM


DRAWN = [
    ["a0_s2", "a0_s4", "a1_s2", "a1_s6", "a2_s0", "a2_s5"],
    ["a0_s2", "a0_s5", "a1_s0", "a1_s5", "a2_s2", "a2_s3"],
    ["a0_s0", "a0_s4", "a1_s2", "a1_s4", "a2_s2", "a2_s5"],
]
UNIFORM = ["a0_s4", "a1_s2", "a1_s6", "a2_s0", "a2_s5", "a2_s7"]
