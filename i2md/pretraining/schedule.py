"""The optimizer, and its learning rate over the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from i2md.pretraining.settings import OptimizerSettings


def build_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> torch.optim.Optimizer:
    """SGD with momentum 0.9, or AdamW."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        # Not fused: that one fails where some parameters join later, as the cluster heads do after the warm-up.
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay, foreach=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def learning_rate(settings: OptimizerSettings, epoch: float, epochs: int) -> float:
    """The rate after `epoch` passes (0 at the start, fractions within an epoch) of `epochs`.

    >>> [learning_rate(OptimiserSettings(drops=(350,)), epoch, 450) for epoch in (0, 349.9, 350)]
    [0.01, 0.01, 0.001]
    """
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * epoch / settings.warmup_epochs
    if settings.schedule == "cosine":
        done = (epoch - settings.warmup_epochs) / max(epochs - settings.warmup_epochs, 1e-9)
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate / 10 ** sum(epoch >= drop for drop in settings.milestones)
