"""Mutual distillation of neighbouring similarity distributions, across streams and across levels.

What is common to several pairs is computed once: a teacher's distribution serves all its students, a student's
exponentials all its teachers. Neighbours are a mask over the queue, since a sum over them needs no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


def neighbour_mask(
    similarity: Float[Tensor, "batch queue"], count: int, excluded: Bool[Tensor, "batch queue"] | None = None
) -> Bool[Tensor, "batch queue"]:
    """The most similar entries, as a mask; exact, without sorting.

    Args:
        similarity: Of each key with each queue entry.
        count: K, the number of neighbours; entries as similar as the K-th all count.
        excluded: True at entries that are no neighbours.

    Returns:
        True at the neighbours.
    """
    if excluded is not None:
        similarity = similarity.masked_fill(excluded, -torch.inf)
    inside = similarity >= _largest(similarity, count)[:, None]
    return inside if excluded is None else inside & ~excluded


def _largest(similarity: Tensor, count: int) -> Float[Tensor, " batch"]:
    """The `count`-th largest of each row."""
    if similarity.device.type != "cpu":
        return similarity.topk(count, dim=1, sorted=False).values.amin(dim=1)
    # On a CPU NumPy's partition takes a tenth of the time of topk or kthvalue.
    position = similarity.shape[1] - count
    return torch.from_numpy(np.partition(similarity.detach().numpy(), position, axis=1)[:, position])


class Teacher(NamedTuple):
    """The teacher's distributions: one over the nearest entries of each key of a batch."""

    p: Float[Tensor, "batch queue"]
    """Zero but at the neighbours."""
    inside: Float[Tensor, "batch queue"]
    """One at the neighbours, zero elsewhere."""
    negentropy: Float[Tensor, " batch"]
    """The sum of p log p."""


@torch.no_grad()
def teach(
    similarity: Float[Tensor, "batch queue"], neighbours: Bool[Tensor, "batch queue"], temperature: float = 0.05
) -> Teacher:
    """p = softmax(similarity / temperature) over the neighbours, without a gradient.

    Args:
        similarity: Of the teacher's keys with its queue.
        neighbours: `neighbour_mask` of the same similarity; a clip without neighbours adds nothing to the loss.
        temperature: 0 is a one-hot teacher: positive mining.

    Returns:
        What `distil` takes.

    Source: docs/method.md section 4.
    """
    inside = neighbours.to(similarity.dtype)
    if temperature == 0:
        best = similarity.masked_fill(~neighbours, -torch.inf).argmax(dim=1, keepdim=True)
        p = torch.zeros_like(inside).scatter_(1, best, 1.0).mul_(inside)
        return Teacher(p, inside, torch.zeros_like(p[:, 0]))
    exponentials, largest = _exponentials(similarity, temperature)
    p = exponentials.mul_(inside)
    total = _not_zero(p.sum(dim=1))
    p /= total[:, None]
    negentropy = _dot(p, similarity) / temperature - inside.amax(dim=1) * (largest / temperature + total.log())
    return Teacher(p, inside, negentropy)


def distil(
    student: Float[Tensor, "batch queue"], teachers: Sequence[Teacher], temperature: float = 0.1
) -> list[Float[Tensor, ""]]:
    """KL(p || q) of each teacher's p, summed over its neighbours and averaged over the batch.

    q = softmax(student / temperature) over the same queue positions, in the student's own queue. The gradient is
    written out: autograd would store a dozen tensors of this size.

    Args:
        student: Similarity of the student's queries with its queue.
        teachers: Distributions over the same queue positions.
        temperature: Of the student's distribution.

    Returns:
        One divergence a teacher.

    Source: docs/method.md section 4.

    >>> same = torch.tensor([[0.3, 0.1, 0.2]])
    >>> [loss.item() for loss in distil(same, [teach(same, neighbour_mask(same, 2), 0.1)], 0.1)]
    [0.0]
    """
    return list(_Distil.apply(student, temperature, *(tensor for teacher in teachers for tensor in teacher)))


class _Distil(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, temperature: float, *tensors: Tensor) -> tuple[Tensor, ...]:
        teachers = [Teacher(*tensors[i : i + 3]) for i in range(0, len(tensors), 3)]
        exponentials, largest = _exponentials(student, temperature)
        totals = [_not_zero(_dot(exponentials, teacher.inside)) for teacher in teachers]
        ctx.save_for_backward(exponentials, *totals, *(x for t in teachers for x in (t.p, t.inside)))
        ctx.temperature = temperature
        losses = []
        for teacher, total in zip(teachers, totals, strict=True):
            log_sum = teacher.inside.amax(dim=1) * (largest / temperature + total.log())
            losses.append((teacher.negentropy - _dot(teacher.p, student) / temperature + log_sum).mean())
        return tuple(losses)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        count = len(gradients)
        exponentials, totals, tensors = ctx.saved_tensors[0], *_split(ctx.saved_tensors[1:], count)
        scale = 1 / (len(exponentials) * ctx.temperature)
        grad_student = torch.zeros_like(exponentials)
        for gradient, total, inside in zip(gradients, totals, tensors[1::2], strict=True):
            grad_student.addcmul_(inside, (gradient * scale / total)[:, None])
        grad_student *= exponentials
        for gradient, p in zip(gradients, tensors[::2], strict=True):
            grad_student.addcmul_(p, -gradient * scale)
        return grad_student, None, *[None] * (3 * count)


def _split(tensors: Sequence[Tensor], count: int) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    return tensors[:count], tensors[count:]


def _exponentials(x: Tensor, temperature: float) -> tuple[Tensor, Float[Tensor, " batch"]]:
    """exp((x - m) / temperature), and m, the largest of each row."""
    largest = x.amax(dim=1)
    return (x - largest[:, None]).mul_(1 / temperature).exp_(), largest


def _dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    """Dot products of the rows; on a CPU, matrix products take eight times as long."""
    return (a * b).sum(dim=1)


def _not_zero(total: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """1 for a clip without neighbours, so that its logarithm is 0."""
    return torch.where(total == 0, 1.0, total)
