"""Linear probes: a linear layer on the frozen features of each stream, and the loop that trains classifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.evaluation.features import Features, with_ensemble
from i2md.evaluation.metrics import BestAccuracy, logit_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.results import Scores
from i2md.evaluation.settings import LinearSettings, TrainingSettings
from i2md.runtime.cluster_environment import cluster_environment
from i2md.runtime.progress import progress
from i2md.runtime.random import generator


@runtime_checkable
class Learner(Protocol):
    """What `train_classifier` trains; clips are known by their indices among the labelled clips."""

    def begin(self, epoch: int) -> None:
        """Prepare an epoch."""

    def step(self, clips: Int64[Tensor, " batch"], factor: float) -> None:
        """Take one optimizer step on a batch, at `factor` times the learning rate."""


def train_classifier(
    learner: Learner,
    count: int,
    settings: TrainingSettings,
    draws: torch.Generator,
    after_epoch: Callable[[int], None] = lambda epoch: None,
    title: str = "training",
) -> None:
    """Train on clips 0 to count - 1, shuffled in each epoch; the last batch of an epoch may be smaller.

    Args:
        learner: What is trained.
        count: Number of labelled clips.
        settings: Epochs, batch size and milestones.
        draws: Draws the order of the clips.
        after_epoch: Called with the number of each epoch that ends, from 0.
        title: Of the progress bar.

    Source: docs/method.md section 8.
    """
    steps = -(-count // settings.batch_size)
    with progress(settings.epochs * steps, title, "step", show=cluster_environment().rank == 0) as bar:
        for epoch in range(settings.epochs):
            learner.begin(epoch)
            factor = 0.1 ** sum(epoch >= milestone for milestone in settings.milestones)
            order = torch.randperm(count, generator=draws, device=draws.device)
            for batch in order.split(settings.batch_size):
                learner.step(batch, factor)
                bar.update()
            after_epoch(epoch)


def is_tested(epoch: int, settings: TrainingSettings) -> bool:
    """Whether the test clips are classified after this epoch, for the best test accuracy.

    >>> [epoch for epoch in range(12) if is_tested(epoch, TrainingSettings(epochs=12))]
    [4, 9, 11]
    """
    return (epoch + 1) % settings.test_every == 0 or epoch == settings.epochs - 1


class LinearProbes:
    """Linear layers on one stream's features, one for each learning rate, trained at once on the same batches.

    `weight` is (rates, width, classes). A rate only scales the updates, so one pass over the features serves all.
    """

    def __init__(self, width: int, num_classes: int, rates: Sequence[float], generator: torch.Generator) -> None:
        start = torch.randn(width, num_classes, generator=generator, device=generator.device) * 0.01
        self.weight = start.repeat(len(rates), 1, 1)
        self.bias = torch.zeros(len(rates), 1, num_classes, device=start.device)
        self.rates = torch.tensor(rates, device=start.device)[:, None, None]
        self._velocity = [torch.zeros_like(self.weight), torch.zeros_like(self.bias)]

    def logits(self, features: Float[Tensor, "clips width"]) -> Float[Tensor, "rates clips classes"]:
        """Logits of each layer."""
        return torch.baddbmm(self.bias, features.expand(len(self.weight), -1, -1), self.weight)

    def step(self, features: Float[Tensor, "batch width"], labels: Int64[Tensor, " batch"], factor: float) -> None:
        """Take one step of SGD with momentum 0.9 on the cross-entropy, by its closed-form gradient.

        Args:
            features: Of a batch of clips.
            labels: Their classes.
            factor: Multiplies every learning rate.
        """
        error = F.softmax(self.logits(features), dim=2)
        error[:, torch.arange(len(labels), device=labels.device), labels] -= 1
        error /= len(labels)
        gradients = [features.T @ error, error.sum(dim=1, keepdim=True)]
        for parameter, velocity, gradient in zip((self.weight, self.bias), self._velocity, gradients, strict=True):
            velocity.mul_(0.9).add_(gradient)
            parameter -= self.rates * factor * velocity


class _ProbeLearner:
    """Probes of all streams, trained on the features of each epoch's crops."""

    def __init__(
        self,
        epoch_features: Callable[[int], Features],
        labels: Int64[Tensor, " train"],
        new_probes: Callable[[int], LinearProbes],
    ) -> None:
        self.probes: dict[str, LinearProbes] = {}
        self._epoch_features, self._labels, self._new_probes = epoch_features, labels, new_probes

    def begin(self, epoch: int) -> None:
        self._features = self._epoch_features(epoch)
        if not self.probes:
            self.probes = {name: self._new_probes(value.shape[1]) for name, value in self._features.items()}

    def step(self, clips: Tensor, factor: float) -> None:
        for name, probe in self.probes.items():
            probe.step(self._features[name][clips], self._labels[clips], factor)


def train_probes(
    epoch_features: Callable[[int], Features],
    labels: Int64[Tensor, " train"],
    num_classes: int,
    rates: Sequence[float],
    settings: TrainingSettings,
    generator: torch.Generator,
    after_epoch: Callable[[int, dict[str, LinearProbes]], None] = lambda epoch, probes: None,
    title: str = "linear",
) -> dict[str, LinearProbes]:
    """Train linear probes of every stream at every rate.

    Args:
        epoch_features: Gives the labelled clips' features by stream in an epoch.
        labels: Classes of the labelled clips.
        num_classes: Number of classes.
        rates: Learning rates.
        settings: Epochs, batch size and milestones.
        generator: Draws the initial weights and the order of the clips.
        after_epoch: Called with each epoch's number and the probes.
        title: Of the progress bar.

    Returns:
        Probes by stream.
    """
    learner = _ProbeLearner(epoch_features, labels, lambda width: LinearProbes(width, num_classes, rates, generator))
    train_classifier(learner, len(labels), settings, generator, lambda epoch: after_epoch(epoch, learner.probes), title)
    return learner.probes


def probe_logits(probes: dict[str, LinearProbes], test: Features) -> dict[str, Float[Tensor, "rates test classes"]]:
    """Logits of each stream's probes and, under `ENSEMBLE`, the average of the streams'."""
    return with_ensemble({name: probe.logits(test[name]) for name, probe in probes.items()})


def linear_probe_scores(
    data: ProbeData,
    settings: LinearSettings,
    rate: float,
    labelled: Int64[Tensor, " labelled"] | None = None,
    draw: int = 0,
    title: str = "linear",
) -> dict[str, Scores]:
    """Train a linear probe of each stream on frozen features, and test it.

    Args:
        data: Features of the training and test clips.
        settings: Epochs, batch size, milestones and crops.
        rate: Learning rate.
        labelled: Indices of the training clips that keep their labels; by default all.
        draw: Number of the draw of those clips, which seeds the classifier.
        title: Of the progress bar.

    Returns:
        Scores by stream and of the ensemble.
    """
    clips = torch.arange(len(data.train), device=data.device) if labelled is None else labelled
    best = BestAccuracy(data.test_labels)

    def features(epoch: int) -> Features:
        crops = data.crop_features(epoch, settings)
        return crops if labelled is None else {name: value[clips] for name, value in crops.items()}

    def logits(probes: dict[str, LinearProbes]) -> dict[str, Tensor]:
        return {name: value[0] for name, value in probe_logits(probes, data.test_features).items()}

    def after_epoch(epoch: int, probes: dict[str, LinearProbes]) -> None:
        if is_tested(epoch, settings):
            best.update(logits(probes))

    draws = generator(data.seed, "classifier", draw, data.device)
    probes = train_probes(
        features, data.train_labels[clips], data.num_classes, (rate,), settings, draws, after_epoch, title
    )
    return logit_scores(logits(probes), data.test_labels, data.num_classes, best.by_stream)
