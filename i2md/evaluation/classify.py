"""Classifiers trained on some of the training clips, and judged on the test clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from i2md.distributed import collectives as ranks
from i2md.evaluation.features import Encoders, Features
from i2md.evaluation.finetuning import Classifiers, Finetuning
from i2md.evaluation.label_subsets import Chosen
from i2md.evaluation.linear_probe import LinearProbes, probe_logits, train_probes
from i2md.evaluation.metrics import Judged, judge_scores, top_accuracy
from i2md.evaluation.probe_data import Subject
from i2md.evaluation.settings import FinetuneSettings, LinearSettings
from i2md.evaluation.training import is_tested, train
from i2md.runtime.random import generator


@dataclass(frozen=True)
class Trained:
    """A classifier after its last epoch, and the official program's figure, which chooses the epoch on the test set."""

    judged: Judged
    best_test_epoch: dict[str, float]


@dataclass
class _Best:
    """The best accuracy over the epochs that were looked at, by stream."""

    labels: Tensor
    accuracy: dict[str, float] = field(default_factory=dict)

    def look(self, scores: Mapping[str, Tensor]) -> None:
        for name, value in scores.items():
            self.accuracy[name] = max(self.accuracy.get(name, 0.0), top_accuracy(value, self.labels, 1))


def train_linear(
    subject: Subject,
    settings: LinearSettings,
    rate: float,
    chosen: Chosen | None = None,
    draw: int = 0,
    title: str = "linear",
) -> Trained:
    """A linear layer a stream on frozen features of the chosen clips, by default of all."""
    clips = _places(subject, chosen)
    best = _Best(subject.test_labels)

    def features(epoch: int) -> Features:
        crops = subject.crops(epoch, settings)
        return crops if chosen is None else {name: value[clips] for name, value in crops.items()}

    def scores(probes: dict[str, LinearProbes]) -> dict[str, Tensor]:
        return {name: value[0] for name, value in probe_logits(probes, subject.test_features).items()}

    def after_epoch(epoch: int, probes: dict[str, LinearProbes]) -> None:
        if is_tested(epoch, settings):
            best.look(scores(probes))

    labels = subject.train_labels[clips]
    draws = generator(subject.seed, "classifier", draw, subject.device)
    probes = train_probes(features, labels, subject.classes, (rate,), settings, draws, after_epoch, title)
    return Trained(judge_scores(scores(probes), subject.test_labels, subject.classes), best.accuracy)


def train_finetuned(
    subject: Subject,
    encoders: Encoders,
    settings: FinetuneSettings,
    chosen: Chosen | None = None,
    draw: int = 0,
    title: str = "finetune",
) -> Trained:
    """Copies of the encoders, each with a linear layer, on the chosen clips, by default on all.

    Of several processes each does all of it: a batch is too small to share.
    """
    clips = _places(subject, chosen)
    best = _Best(subject.test_labels)
    draws = generator(subject.seed, "finetune", draw, subject.device)
    classifiers = Classifiers(encoders, subject.layout, subject.classes, settings, draws)
    learner = Finetuning(
        classifiers, clips, subject.train_labels[clips], lambda batch: subject.view(batch, settings.crop, draws)
    )

    def scores() -> dict[str, Tensor]:
        return classifiers.logits(subject.test, subject.frames, subject.persons)

    def after_epoch(epoch: int) -> None:
        if is_tested(epoch, settings):
            best.look(scores())

    with ranks.single_process():
        train(learner, len(clips), settings, draws, after_epoch, title)
        return Trained(judge_scores(scores(), subject.test_labels, subject.classes), best.accuracy)


def _places(subject: Subject, chosen: Chosen | None) -> Tensor:
    if chosen is None:
        return torch.arange(len(subject.train), device=subject.device)
    return torch.as_tensor(chosen, device=subject.device)
