"""Distillation of neighbouring similarity distributions: explicit loops, closed forms, and who learns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.objectives.distillation import distil, nearest


def slowly(teacher, student, neighbours, teacher_temperature, student_temperature):
    """Sum over the neighbours of p log(p / q), averaged over the clips."""
    total = 0.0
    for b, places in enumerate(neighbours.tolist()):
        p = [math.exp(teacher[b, j] / teacher_temperature) for j in places]
        q = [math.exp(student[b, j] / student_temperature) for j in places]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(neighbours)


@pytest.mark.parametrize(("count", "temperatures"), [(1, (0.05, 0.1)), (5, (0.05, 0.1)), (12, (0.3, 0.2))])
def test_loops(count, temperatures):
    torch.manual_seed(count)
    teacher, student = torch.rand(4, 12).double() * 2 - 1, torch.rand(4, 12).double() * 2 - 1
    neighbours = nearest(teacher, count)
    expected = slowly(teacher, student, neighbours, *temperatures)
    assert distil(teacher, student, neighbours, *temperatures).item() == pytest.approx(expected, abs=1e-10)


def test_the_same_similarities_at_the_same_temperature_have_nothing_to_teach():
    same = torch.rand(3, 20).double()
    assert distil(same, same.clone(), nearest(same, 8), 0.1, 0.1).item() == pytest.approx(0, abs=1e-12)
    assert distil(same, same.clone(), nearest(same, 8), 0.05, 0.1).item() > 1e-3


def test_a_one_hot_teacher_against_a_uniform_student():
    """KL of a certainty from K equal choices is log K."""
    teacher = torch.zeros(2, 10)
    teacher[:, 3] = 1.0
    student = torch.full((2, 10), 0.4)
    assert distil(teacher, student, nearest(teacher, 6), 0.0).item() == pytest.approx(math.log(6), abs=1e-6)


def test_positive_mining_is_the_limit_of_a_cold_teacher():
    torch.manual_seed(0)
    teacher = torch.stack([torch.randperm(30) for _ in range(6)]).double() / 30
    student = torch.rand(6, 30).double()
    neighbours = nearest(teacher, 10)
    hot, cold = (distil(teacher, student, neighbours, t).item() for t in (0.05, 1e-4))
    mined = distil(teacher, student, neighbours, 0.0).item()
    assert mined == pytest.approx(cold, abs=1e-6)
    assert mined != pytest.approx(hot, abs=1e-2)


@pytest.mark.parametrize("temperature", [0.05, 0.0])
def test_the_student_alone_learns_and_at_the_neighbours_alone(temperature):
    teacher, student = (torch.rand(3, 9, requires_grad=True) for _ in range(2))
    neighbours = nearest(teacher, 4)
    distil(teacher, student, neighbours, temperature).backward()
    assert teacher.grad is None
    at_neighbours = torch.zeros(3, 9, dtype=torch.bool).scatter_(1, neighbours, True)
    assert ((student.grad != 0) == at_neighbours).all()


def test_the_order_of_the_neighbours_does_not_matter():
    teacher, student = torch.rand(3, 9).double(), torch.rand(3, 9).double()
    neighbours = nearest(teacher, 5)
    forward, backward = (distil(teacher, student, n).item() for n in (neighbours, neighbours.flip(1)))
    assert forward == pytest.approx(backward, abs=1e-12)


@given(st.integers(1, 40), st.data())
def test_the_nearest_are_the_exact_set(bank, data):
    count = data.draw(st.integers(1, bank))
    rows = [data.draw(st.permutations(range(bank))) for _ in range(2)]
    found = nearest(torch.tensor(rows).float() / bank, count)
    for row, places in zip(rows, found.tolist(), strict=True):
        assert len(places) == count
        assert {row[j] for j in places} == set(range(bank - count, bank))


@given(st.integers(2, 30), st.data())
def test_excluded_entries_are_taken_only_where_nothing_else_is_left(bank, data):
    count = data.draw(st.integers(1, bank))
    row = data.draw(st.permutations(range(bank)))
    excluded = data.draw(st.lists(st.booleans(), min_size=bank, max_size=bank))
    (places,) = nearest(torch.tensor([row]).float(), count, torch.tensor([excluded])).tolist()
    allowed = sorted((j for j in range(bank) if not excluded[j]), key=lambda j: -row[j])
    assert len(set(places)) == count
    assert set(allowed[:count]) <= set(places)
    assert sum(excluded[j] for j in places) == max(0, count - len(allowed))


def test_excluded_neighbours_weigh_nothing():
    torch.manual_seed(0)
    teacher, student = torch.rand(2, 3, 10).double() * 2 - 1
    excluded = torch.zeros(3, 10, dtype=torch.bool)
    excluded[:, :4] = True
    everywhere = torch.arange(10).expand(3, 10)
    kept = torch.arange(4, 10).expand(3, 6)
    expected = slowly(teacher, student, kept, 0.05, 0.1)
    assert distil(teacher, student, everywhere, 0.05, 0.1, excluded).item() == pytest.approx(expected, abs=1e-10)
