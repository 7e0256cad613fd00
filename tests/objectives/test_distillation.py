"""Distillation of neighbouring similarity distributions: explicit loops, closed forms, and who learns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2md.objectives.distillation import distil, neighbour_mask, teach


def taught(teacher, student, neighbours, teacher_temperature=0.05, student_temperature=0.1):
    """What one teacher's distillation costs one student."""
    (loss,) = distil(student, [teach(teacher, neighbours, teacher_temperature)], student_temperature)
    return loss


def slowly(teacher, student, neighbours, teacher_temperature, student_temperature):
    """Sum over the neighbours of p log(p / q), averaged over the clips."""
    total = 0.0
    for b, inside in enumerate(neighbours.tolist()):
        places = [j for j, near in enumerate(inside) if near]
        p = [math.exp(teacher[b, j] / teacher_temperature) for j in places]
        q = [math.exp(student[b, j] / student_temperature) for j in places]
        p, q = [v / sum(p) for v in p], [v / sum(q) for v in q]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(neighbours)


@pytest.mark.parametrize(("count", "temperatures"), [(1, (0.05, 0.1)), (5, (0.05, 0.1)), (12, (0.3, 0.2))])
def test_it_matches_plain_loops(count, temperatures):
    torch.manual_seed(count)
    teacher, student = torch.rand(4, 12).double() * 2 - 1, torch.rand(4, 12).double() * 2 - 1
    neighbours = neighbour_mask(teacher, count)
    expected = slowly(teacher, student, neighbours, *temperatures)
    assert taught(teacher, student, neighbours, *temperatures).item() == pytest.approx(expected, abs=1e-10)


def test_several_teachers_at_once_equal_one_after_another():
    torch.manual_seed(0)
    student = (torch.rand(4, 12).double() * 2 - 1).requires_grad_()
    teachers = [teach(t, neighbour_mask(t, 5), 0.05) for t in torch.rand(3, 4, 12).double() * 2 - 1]
    together = distil(student, teachers)
    alone = [distil(student, [teacher])[0] for teacher in teachers]
    assert [loss.item() for loss in together] == pytest.approx([loss.item() for loss in alone], abs=1e-12)
    weights = (1.0, 0.5, -2.0)
    grad, expected = (
        torch.autograd.grad(sum(w * loss for w, loss in zip(weights, losses, strict=True)), student)[0]
        for losses in (together, alone)
    )
    torch.testing.assert_close(grad, expected)


def test_the_explicit_gradient_is_the_numerical_one():
    torch.manual_seed(1)
    student = (torch.rand(3, 8).double() * 2 - 1).requires_grad_()
    teachers = [teach(t, neighbour_mask(t, k), 0.2) for t, k in zip(torch.rand(2, 3, 8).double(), (3, 8), strict=True)]
    assert torch.autograd.gradcheck(lambda x: tuple(distil(x, teachers, 0.3)), student)


def test_divergence_of_equal_distributions_is_zero():
    same = torch.rand(3, 20).double()
    assert taught(same, same.clone(), neighbour_mask(same, 8), 0.1, 0.1).item() == pytest.approx(0, abs=1e-12)
    assert taught(same, same.clone(), neighbour_mask(same, 8), 0.05, 0.1).item() > 1e-3


def test_a_one_hot_teacher_against_a_uniform_student():
    """KL of a certainty from K equal choices is log K."""
    teacher = torch.zeros(2, 10)
    teacher[:, 3] = 1.0
    neighbours = torch.arange(10).expand(2, -1) < 6
    student = torch.full((2, 10), 0.4)
    assert taught(teacher, student, neighbours, 0.0).item() == pytest.approx(math.log(6), abs=1e-6)


def test_positive_mining_is_the_limit_of_teacher_temperature_zero():
    torch.manual_seed(0)
    teacher = torch.stack([torch.randperm(30) for _ in range(6)]).double() / 30
    student = torch.rand(6, 30).double()
    neighbours = neighbour_mask(teacher, 10)
    hot, cold = (taught(teacher, student, neighbours, t).item() for t in (0.05, 1e-4))
    mined = taught(teacher, student, neighbours, 0.0).item()
    assert mined == pytest.approx(cold, abs=1e-6)
    assert mined != pytest.approx(hot, abs=1e-2)


@pytest.mark.parametrize("temperature", [0.05, 0.0])
def test_only_the_student_gets_a_gradient_and_only_at_the_neighbours(temperature):
    teacher, student = (torch.rand(3, 9, requires_grad=True) for _ in range(2))
    neighbours = neighbour_mask(teacher, 4)
    taught(teacher, student, neighbours, temperature).backward()
    assert teacher.grad is None
    assert ((student.grad != 0) == neighbours).all()


@given(st.integers(1, 40), st.data())
def test_nearest_is_the_exact_set(queue, data):
    count = data.draw(st.integers(1, queue))
    rows = [data.draw(st.permutations(range(queue))) for _ in range(2)]
    found = neighbour_mask(torch.tensor(rows).float() / queue, count)
    for row, inside in zip(rows, found.tolist(), strict=True):
        assert {rank for rank, near in zip(row, inside, strict=True) if near} == set(range(queue - count, queue))


def test_ties_at_the_kth_neighbour_are_all_included():
    assert neighbour_mask(torch.tensor([[0.5, 0.9, 0.5, 0.1]]), 2).tolist() == [[True, True, True, False]]


@given(st.integers(2, 30), st.data())
def test_excluded_entries_are_never_among_the_nearest(queue, data):
    count = data.draw(st.integers(1, queue))
    row = data.draw(st.permutations(range(queue)))
    excluded = data.draw(st.lists(st.booleans(), min_size=queue, max_size=queue))
    (inside,) = neighbour_mask(torch.tensor([row]).float(), count, torch.tensor([excluded])).tolist()
    allowed = sorted((j for j in range(queue) if not excluded[j]), key=lambda j: -row[j])
    assert {j for j, near in enumerate(inside) if near} == set(allowed[:count])


def test_excluded_neighbours_have_zero_weight():
    torch.manual_seed(0)
    teacher, student = torch.rand(2, 3, 10).double() * 2 - 1
    excluded = torch.zeros(3, 10, dtype=torch.bool)
    excluded[:, :4] = True
    neighbours = neighbour_mask(teacher, 10, excluded)
    expected = slowly(teacher, student, ~excluded, 0.05, 0.1)
    assert taught(teacher, student, neighbours).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("temperature", [0.05, 0.0])
def test_a_clip_whose_entries_are_all_excluded_has_no_loss(temperature):
    teacher, student = torch.rand(2, 5), torch.rand(2, 5, requires_grad=True)
    excluded = torch.tensor([[True] * 5, [False] * 5])
    loss = taught(teacher, student, neighbour_mask(teacher, 3, excluded), temperature)
    alone = taught(teacher[1:], student[1:], neighbour_mask(teacher[1:], 3), temperature)
    assert loss.item() == pytest.approx(alone.item() / 2, abs=1e-6)
    loss.backward()
    assert (student.grad[0] == 0).all()
