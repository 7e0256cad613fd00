"""Contrast: closed forms, a loop over clips, and entries that are no negatives."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from i2md.objectives.contrast import contrast, contrast_logits


@pytest.mark.parametrize("size", [1, 7, 96])
def test_identical_embeddings_give_the_log_of_the_number_of_choices(size):
    same = F.normalize(torch.ones(5, 16), dim=1)
    logits = contrast_logits((same * same).sum(1), same @ same[:1].expand(size, -1).T, 0.07)
    assert contrast(logits).item() == pytest.approx(math.log(size + 1), abs=1e-5)


def test_loss_of_a_perfectly_separated_clip_is_zero():
    logits = contrast_logits(torch.ones(3), -torch.ones(3, 50), 0.07)
    assert 0 <= contrast(logits).item() < 1e-9


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_it_matches_plain_loops(temperature):
    torch.manual_seed(0)
    positive, negatives = torch.rand(4).double() * 2 - 1, torch.rand(4, 9).double() * 2 - 1
    excluded = torch.rand(4, 9) < 0.4
    excluded[0] = True
    total = 0.0
    for b in range(4):
        others = sum(math.exp(negatives[b, j] / temperature) for j in range(9) if not excluded[b, j])
        own = math.exp(positive[b] / temperature)
        total -= math.log(own / (own + others))
    logits = contrast_logits(positive, negatives, temperature, excluded)
    assert contrast(logits).item() == pytest.approx(total / 4, abs=1e-10)


def test_excluded_entries_get_no_gradient_and_the_others_are_pushed_away():
    positive = torch.zeros(2, requires_grad=True)
    negatives = torch.zeros(2, 3, requires_grad=True)
    excluded = torch.tensor([[True, False, False], [False, False, True]])
    contrast(contrast_logits(positive, negatives, 0.1, excluded)).backward()
    assert ((negatives.grad > 0) == ~excluded).all()
    assert (negatives.grad[excluded] == 0).all()
    assert (positive.grad < 0).all()
