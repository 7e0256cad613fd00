"""Linear evaluation: one linear layer a stream on frozen features, the streams' logits averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.evaluation.features import Features, ensemble_name
from i2md.evaluation.settings import TrainingSettings
from i2md.evaluation.training import train


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


class _Probing:
    """Probes that learn from the features of each epoch's crops."""

    def __init__(
        self,
        epoch_features: Callable[[int], Features],
        labels: Int64[Tensor, " train"],
        start: Callable[[int], LinearProbes],
    ) -> None:
        self.probes: dict[str, LinearProbes] = {}
        self._epoch_features, self._labels, self._start = epoch_features, labels, start

    def begin(self, epoch: int) -> None:
        self._features = self._epoch_features(epoch)
        if not self.probes:
            self.probes = {name: self._start(f.shape[1]) for name, f in self._features.items()}

    def step(self, clips: Tensor, factor: float) -> None:
        for name, probe in self.probes.items():
            probe.step(self._features[name][clips], self._labels[clips], factor)


def train_probes(
    epoch_features: Callable[[int], Features],
    labels: Int64[Tensor, " train"],
    classes: int,
    rates: Sequence[float],
    settings: TrainingSettings,
    generator: torch.Generator,
    after_epoch: Callable[[int, dict[str, LinearProbes]], None] = lambda epoch, probes: None,
    title: str = "linear",
) -> dict[str, LinearProbes]:
    """Train a linear layer a stream and rate; `epoch_features(e)` gives the training clips' features in epoch e."""
    learner = _Probing(epoch_features, labels, lambda width: LinearProbes(width, classes, rates, generator))
    train(learner, len(labels), settings, generator, lambda epoch: after_epoch(epoch, learner.probes), title)
    return learner.probes


def probe_logits(probes: dict[str, LinearProbes], test: Features) -> dict[str, Float[Tensor, "rates test classes"]]:
    """Scores by each stream's layer and rate, and the average of the streams'."""
    return with_average({name: probe.logits(test[name]) for name, probe in probes.items()})


def with_average(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """The streams' scores and, where there are several, their average.

    >>> scores = with_average({"joint": torch.tensor([[1.0, 0.0]]), "bone": torch.tensor([[0.0, 3.0]])})
    >>> scores["2-stream"].tolist()
    [[0.5, 1.5]]
    """
    if len(logits) == 1:
        return logits
    return {**logits, ensemble_name(logits): torch.stack(list(logits.values())).mean(dim=0)}
