"""Encoders and linear layers trained together, a pair a stream, side by side."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from i2md.data.packed import PackedClips
from i2md.evaluation.features import Encoders, clip_features
from i2md.evaluation.linear_probe import with_average
from i2md.evaluation.settings import FinetuneSettings
from i2md.skeletons import Layout
from i2md.views.streams import stream

# A batch's views: what an encoder is shown before it is split into streams.
Draw = Callable[[Int64[Tensor, " batch"]], Float[Tensor, "batch frames joints channels persons"]]


class Classifiers:
    """Copies of encoders with a linear layer each, every stream learning by its own cross-entropy.

    The streams share nothing but the batch, so that one step of SGD (momentum 0.9, no decay) on the sum of their
    losses is a step of each alone. Layers start as published: weights from N(0, 0.01), no bias.
    """

    def __init__(
        self,
        encoders: Encoders,
        layout: Layout,
        classes: int,
        settings: FinetuneSettings,
        generator: torch.Generator,
    ) -> None:
        self.encoders = {name: copy.deepcopy(encoder).requires_grad_(True) for name, encoder in encoders.items()}
        self.heads = {name: _head(encoder.width, classes, generator) for name, encoder in encoders.items()}
        self._layout, self._settings = layout, settings
        modules = [*self.encoders.values(), *self.heads.values()]
        weights = [weight for module in modules for weight in module.parameters()]
        self._optimiser = torch.optim.SGD(weights, lr=settings.learning_rate, momentum=0.9)

    def step(
        self,
        x: Float[Tensor, "batch frames joints channels persons"],
        labels: Int64[Tensor, " batch"],
        factor: float,
    ) -> None:
        """One step on a batch, batch norm by the batch's own statistics."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.learning_rate * factor
        encoders = [encoder.train() for encoder in self.encoders.values()]
        streams = [stream(x, name, self._layout) for name in self.encoders]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._settings.precision == "bf16"):
            features = type(encoders[0]).forward_parallel(encoders, streams)
        losses = [F.cross_entropy(h(f.float()), labels) for h, f in zip(self.heads.values(), features, strict=True)]
        self._optimiser.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        self._optimiser.step()

    @torch.no_grad()
    def logits(self, clips: PackedClips, frames: int, persons: int) -> dict[str, Float[Tensor, "clips classes"]]:
        """Scores of the evaluation crop of each clip by each stream, and the average of the streams'."""
        features = clip_features(self.encoders, self._layout, clips, frames, persons)
        return with_average({name: self.heads[name](f) for name, f in features.items()})


class Finetuning:
    """Classifiers that learn from `chosen` clips, `draw` making the views of a batch of them."""

    def __init__(
        self,
        classifiers: Classifiers,
        chosen: Int64[Tensor, " chosen"],
        labels: Int64[Tensor, " chosen"],
        draw: Draw,
    ) -> None:
        self.classifiers = classifiers
        self._chosen, self._labels, self._draw = chosen, labels, draw

    def begin(self, epoch: int) -> None:
        """Nothing: each step draws its own views."""

    def step(self, clips: Int64[Tensor, " batch"], factor: float) -> None:
        """One step on clips told by their places among the chosen."""
        self.classifiers.step(self._draw(self._chosen[clips]), self._labels[clips], factor)


def _head(width: int, classes: int, generator: torch.Generator) -> nn.Linear:
    head = nn.Linear(width, classes, device=generator.device)
    with torch.no_grad():
        head.weight.copy_(torch.randn(classes, width, generator=generator, device=generator.device) * 0.01)
        head.bias.zero_()
    return head
