"""Linear evaluation: one linear layer a stream on frozen features, the streams' logits averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.evaluation.features import Features, ensemble_name


@dataclass(frozen=True)
class LinearSettings:
    """The published protocol (docs/method.md section 8)."""

    epochs: int = 80
    """Passes over the training clips."""
    batch: int = 64
    """Clips a step."""
    learning_rate: float = 0.1
    """Rate of SGD with momentum 0.9, multiplied by 0.1 after each of `drops`."""
    drops: tuple[int, ...] = (50, 70)
    """Epochs after which the rate drops."""
    crop: tuple[float, float] = (0.5, 1.0)
    """Share of a training clip's frames that a crop keeps."""
    sweep: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    """Rates tried by the protocol "linear-sweep", which chooses by cross-validation on the training clips."""


class LinearProbes:
    """Linear layers on one stream's features, one a learning rate, trained at once on the same batches.

    `weight` is (rates, width, classes). Rates only scale updates, so one pass over the features serves all.
    """

    def __init__(self, width: int, classes: int, rates: Sequence[float], generator: torch.Generator) -> None:
        start = torch.randn(width, classes, generator=generator, device=generator.device) * 0.01
        self.weight = start.repeat(len(rates), 1, 1)
        self.bias = torch.zeros(len(rates), 1, classes, device=start.device)
        self.rates = torch.tensor(rates, device=start.device)[:, None, None]
        self._velocity = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]

    def logits(self, features: Float[Tensor, "clips width"]) -> Float[Tensor, "rates clips classes"]:
        """Scores by each of the layers."""
        return torch.baddbmm(self.bias, features.expand(len(self.weight), -1, -1), self.weight)

    def step(self, features: Tensor, labels: Tensor, factor: float) -> None:
        """One step of SGD with momentum 0.9 on the cross-entropy, by its closed-form gradient."""
        error = F.softmax(self.logits(features), dim=2)
        error[:, torch.arange(len(labels), device=labels.device), labels] -= 1
        error /= len(labels)
        gradients = [features.T @ error, error.sum(dim=1, keepdim=True)]
        for parameter, velocity, gradient in zip((self.weight, self.bias), self._velocity, gradients, strict=True):
            velocity.mul_(0.9).add_(gradient)
            parameter -= self.rates * factor * velocity


def train_probes(
    epoch_features: Callable[[int], Features],
    labels: Int64[Tensor, " train"],
    classes: int,
    rates: Sequence[float],
    settings: LinearSettings,
    generator: torch.Generator,
    after_epoch: Callable[[dict[str, LinearProbes]], None] | None = None,
) -> dict[str, LinearProbes]:
    """Train a linear layer a stream and rate; `epoch_features(e)` gives the training clips' features in epoch e."""
    probes: dict[str, LinearProbes] = {}
    for epoch in range(settings.epochs):
        features = epoch_features(epoch)
        if not probes:
            probes = {n: LinearProbes(f.shape[1], classes, rates, generator) for n, f in features.items()}
        factor = 0.1 ** sum(epoch >= drop for drop in settings.drops)
        order = torch.randperm(len(labels), generator=generator, device=generator.device)
        for batch in order.split(settings.batch):
            for name, probe in probes.items():
                probe.step(features[name][batch], labels[batch], factor)
        if after_epoch is not None:
            after_epoch(probes)
    return probes


def probe_predictions(probes: dict[str, LinearProbes], test: Features) -> dict[str, Int64[Tensor, "rates test"]]:
    """Predicted labels by each stream's layer and rate, and by the average of the streams' logits."""
    logits = {name: probe.logits(test[name]) for name, probe in probes.items()}
    if len(logits) > 1:
        logits[ensemble_name(probes)] = torch.stack(list(logits.values())).mean(dim=0)
    return {name: value.argmax(dim=2) for name, value in logits.items()}
