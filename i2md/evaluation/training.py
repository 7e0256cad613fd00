"""The one loop that trains classifiers, whether on frozen features or together with their encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm import tqdm

from i2md.distributed.launch import find_launch
from i2md.evaluation.settings import TrainingSettings


@runtime_checkable
class Learner(Protocol):
    """What the loop trains: it knows its clips by their numbers."""

    def begin(self, epoch: int) -> None:
        """Make ready for an epoch."""

    def step(self, clips: Int64[Tensor, " batch"], factor: float) -> None:
        """One step on these clips, at `factor` times the learning rate."""


def train(
    learner: Learner,
    clips: int,
    settings: TrainingSettings,
    draws: torch.Generator,
    after_epoch: Callable[[int], None] = lambda epoch: None,
    title: str = "training",
) -> None:
    """Train on clips 0 to clips - 1, in an order that `draws` decides anew in each epoch; the last batch may be small.

    Source: docs/method.md section 8.
    """
    steps = -(-clips // settings.batch_size)
    hidden = find_launch().rank > 0
    with tqdm(total=settings.epochs * steps, unit="step", desc=title, leave=False, disable=hidden) as bar:
        for epoch in range(settings.epochs):
            learner.begin(epoch)
            factor = 0.1 ** sum(epoch >= drop for drop in settings.milestones)
            order = torch.randperm(clips, generator=draws, device=draws.device)
            for batch in order.split(settings.batch_size):
                learner.step(batch, factor)
                bar.update()
            after_epoch(epoch)


def is_tested(epoch: int, settings: TrainingSettings) -> bool:
    """Whether the official figure, the best over epochs on the test clips, looks at this epoch.

    >>> [epoch for epoch in range(12) if is_tested(epoch, TrainingSettings(epochs=12))]
    [4, 9, 11]
    """
    return (epoch + 1) % settings.test_every == 0 or epoch == settings.epochs - 1
