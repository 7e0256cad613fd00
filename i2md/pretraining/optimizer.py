"""The optimizer: its learning rate over the epochs, and its state as named tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from i2md.pretraining.settings import OptimizerSettings


def build_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Build SGD with momentum 0.9, or AdamW.

    Args:
        parameters: The weights to train.
        settings: Which of the two, its learning rate and its weight decay.

    Returns:
        The optimizer; the loop sets its learning rate at every step.

    Source: docs/method.md section 7.
    """
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "sgd":
        # Not fused: that one fails where some parameters join later, as the cluster heads do after the warm-up.
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay, foreach=True)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)


def learning_rate(settings: OptimizerSettings, epoch: float, epochs: int) -> float:
    """The learning rate at a point of training.

    Args:
        settings: Schedule, milestones and warm-up.
        epoch: Passes over the clips so far: 0 at the start, fractions within an epoch.
        epochs: Passes in all.

    Returns:
        The learning rate of the next step.

    >>> [learning_rate(OptimizerSettings(milestones=(350,)), epoch, 450) for epoch in (0, 349.9, 350)]
    [0.01, 0.01, 0.001]
    """
    if epoch < settings.warmup_epochs:
        return settings.learning_rate * epoch / settings.warmup_epochs
    if settings.schedule == "cosine":
        done = (epoch - settings.warmup_epochs) / max(epochs - settings.warmup_epochs, 1e-9)
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate / 10 ** sum(epoch >= milestone for milestone in settings.milestones)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named "optimizer.<number of the parameter>.<name>"."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"optimizer.{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the state that `optimizer_tensors` returned.

    Args:
        optimizer: An optimizer of the same parameters.
        tensors: Named tensors; those of other names are ignored.

    Raises:
        ValueError: The state is not of these parameters.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
