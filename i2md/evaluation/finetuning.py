"""Fine-tuning: encoder and linear layer of each stream trained together on labelled clips."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2md.data.packed import PackedClips
from i2md.distributed.process_group import single_process
from i2md.evaluation.features import Encoders, clip_features, with_ensemble
from i2md.evaluation.linear_probe import is_tested, train_classifier
from i2md.evaluation.metrics import BestAccuracy, logit_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.results import Scores
from i2md.evaluation.settings import FinetuneSettings
from i2md.runtime.random import generator
from i2md.skeletons import Layout
from i2md.views.streams import stream

# Makes the views of a batch of clips, before they are split into streams.
Draw = Callable[[Int64[Tensor, " batch"]], Float[Tensor, "batch frames joints channels persons"]]


class Classifiers:
    """Copies of encoders with a linear layer each; every stream is trained by its own cross-entropy.

    The streams share nothing but the batch, so one step of SGD (momentum 0.9, no weight decay) on the sum of their
    losses is the step of each alone. Layers start as published: weights from N(0, 0.01), zero bias.
    """

    def __init__(
        self,
        encoders: Encoders,
        layout: Layout,
        num_classes: int,
        settings: FinetuneSettings,
        generator: torch.Generator,
    ) -> None:
        self.encoders = {name: copy.deepcopy(encoder).requires_grad_(True) for name, encoder in encoders.items()}
        self.heads = {name: _head(encoder.width, num_classes, generator) for name, encoder in encoders.items()}
        self._layout, self._settings = layout, settings
        modules = [*self.encoders.values(), *self.heads.values()]
        weights = [weight for module in modules for weight in module.parameters()]
        self._optimizer = torch.optim.SGD(weights, lr=settings.learning_rate, momentum=0.9)

    def step(
        self,
        x: Float[Tensor, "batch frames joints channels persons"],
        labels: Int64[Tensor, " batch"],
        factor: float,
    ) -> None:
        """Take one step on a batch, in training mode.

        Args:
            x: Views of the batch's clips.
            labels: Their classes.
            factor: Multiplies the learning rate.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * factor
        encoders = [encoder.train() for encoder in self.encoders.values()]
        streams = [stream(x, name, self._layout) for name in self.encoders]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._settings.precision == "bf16"):
            features = type(encoders[0]).forward_parallel(encoders, streams)
        losses = [F.cross_entropy(h(f.float()), labels) for h, f in zip(self.heads.values(), features, strict=True)]
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        self._optimizer.step()

    @torch.no_grad()
    def logits(self, clips: PackedClips, frames: int, persons: int) -> dict[str, Float[Tensor, "clips classes"]]:
        """Logits of the evaluation crop of each clip by stream and, under `ENSEMBLE`, the average of the streams'."""
        features = clip_features(self.encoders, self._layout, clips, frames, persons)
        return with_ensemble({name: self.heads[name](f) for name, f in features.items()})


class Finetuning:
    """Classifiers that are trained on some of the training clips.

    Args:
        classifiers: What is trained.
        labelled: Indices of the clips among the training clips.
        labels: Their classes.
        draw: Makes the views of a batch of them.
    """

    def __init__(
        self,
        classifiers: Classifiers,
        labelled: Int64[Tensor, " labelled"],
        labels: Int64[Tensor, " labelled"],
        draw: Draw,
    ) -> None:
        self.classifiers = classifiers
        self._labelled, self._labels, self._draw = labelled, labels, draw

    def begin(self, epoch: int) -> None:
        """Do nothing: each step draws its own views."""

    def step(self, clips: Int64[Tensor, " batch"], factor: float) -> None:
        """Take one step on a batch of indices among the labelled clips."""
        self.classifiers.step(self._draw(self._labelled[clips]), self._labels[clips], factor)


def finetuning_scores(
    data: ProbeData,
    encoders: Encoders,
    settings: FinetuneSettings,
    labelled: Int64[Tensor, " labelled"] | None = None,
    draw: int = 0,
    title: str = "finetune",
) -> dict[str, Scores]:
    """Fine-tune copies of the encoders, each with a linear layer, and test them.

    Every process of a group does all of it: the batches are too small to share.

    Args:
        data: Training and test clips.
        encoders: By stream; they stay as they are.
        settings: Epochs, batch size, learning rate, milestones and crops.
        labelled: Indices of the training clips that keep their labels; by default all.
        draw: Number of the draw of those clips, which seeds the classifiers.
        title: Of the progress bar.

    Returns:
        Scores by stream and of the ensemble.
    """
    clips = torch.arange(len(data.train), device=data.device) if labelled is None else labelled
    best = BestAccuracy(data.test_labels)
    draws = generator(data.seed, "finetune", draw, data.device)
    classifiers = Classifiers(encoders, data.layout, data.num_classes, settings, draws)
    learner = Finetuning(
        classifiers, clips, data.train_labels[clips], lambda batch: data.random_views(batch, settings.crop, draws)
    )

    def logits() -> dict[str, Tensor]:
        return classifiers.logits(data.test, data.frames, data.persons)

    def after_epoch(epoch: int) -> None:
        if is_tested(epoch, settings):
            best.update(logits())

    with single_process():
        train_classifier(learner, len(clips), settings, draws, after_epoch, title)
        return logit_scores(logits(), data.test_labels, data.num_classes, best.by_stream)


def _head(width: int, num_classes: int, generator: torch.Generator) -> nn.Linear:
    head = nn.Linear(width, num_classes, device=generator.device)
    with torch.no_grad():
        head.weight.copy_(torch.randn(num_classes, width, generator=generator, device=generator.device) * 0.01)
        head.bias.zero_()
    return head
