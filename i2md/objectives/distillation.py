"""Mutual distillation of neighbouring similarity distributions, across streams and across levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def nearest(
    similarity: Float[Tensor, "batch bank"], count: int, excluded: Bool[Tensor, "batch bank"] | None = None
) -> Int64[Tensor, "batch count"]:
    """Bank positions of the `count` most similar entries, as a set: in no particular order.

    Excluded entries come last: they are taken only where nothing else is left.
    """
    if excluded is not None:
        similarity = similarity.masked_fill(excluded, -torch.inf)
    return similarity.topk(count, dim=1, sorted=False).indices


def distil(
    teacher: Float[Tensor, "batch bank"],
    student: Float[Tensor, "batch bank"],
    neighbours: Int64[Tensor, "batch count"],
    teacher_temperature: float = 0.05,
    student_temperature: float = 0.1,
    excluded: Bool[Tensor, "batch bank"] | None = None,
) -> Float[Tensor, ""]:
    """KL(p || q) over the teacher's neighbours, summed over them and averaged over the batch.

    p = softmax(teacher / teacher_temperature) and q = softmax(student / student_temperature), both over the
    same bank positions `neighbours` (`nearest` of the teacher), each in its own bank. No gradient reaches the
    teacher. Excluded entries among the neighbours weigh nothing. A teacher temperature of 0 is a one-hot teacher:
    positive mining. Source: docs/method.md section 4.

    >>> distil(torch.ones(1, 3), torch.ones(1, 3), torch.tensor([[0, 2]])).item()
    0.0
    """
    near, seen = teacher.detach().gather(1, neighbours), student.gather(1, neighbours)
    if excluded is not None:
        # Finite, so that 0 log 0 stays 0; far below any cosine.
        out = excluded.gather(1, neighbours)
        near, seen = near.masked_fill(out, -1e3), seen.masked_fill(out, -1e3)
    log_q = F.log_softmax(seen / student_temperature, dim=1)
    if teacher_temperature == 0:
        return F.nll_loss(log_q, near.argmax(dim=1))
    p = F.softmax(near / teacher_temperature, dim=1)
    return F.kl_div(log_q, p, reduction="batchmean")
