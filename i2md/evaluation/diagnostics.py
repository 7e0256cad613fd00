"""Diagnostics of a pretraining: what its representation, its neighbourhoods and its gradients are like.

They are measured on training clips, every few epochs, and decide nothing. The clips that kNN and ridge regression are
tested on are pretrained on like all others, without labels; only the two classifiers do not see them. Random numbers
come from a generator of their own, and the model is left as it was, so that training goes on as without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor, nn

from i2md.data.packed import PackedClips, pack
from i2md.data.store import Clips
from i2md.evaluation.features import Encoders, Features, clip_features, extract
from i2md.evaluation.held_out import held_out_accuracies
from i2md.evaluation.protocols.linear import subject_folds
from i2md.evaluation.representation import alignment, effective_rank, total_variation, uniformity
from i2md.objectives.levels import BatchLevels
from i2md.objectives.neighbours import nearest_positions
from i2md.pretraining.log import DIAGNOSTICS
from i2md.pretraining.model import I2MD
from i2md.pretraining.models import Model
from i2md.pretraining.pretrain import ALL
from i2md.runtime.random import generator
from i2md.views.augment import ViewDraws
from i2md.views.settings import ViewSettings
from i2md.views.view import make_view

# Clips that are measured, and folds of the subjects among them.
MOST_CLIPS, FOLDS = 1000, 4
# Batches whose neighbourhoods are measured.
BATCHES = 4

# Values by stream (or pair of streams, or term and stream), or the reason why there are none.
Measured = dict[str, float] | str


def diagnostics_monitor(clips: Clips, split: str | None, device: torch.device) -> Diagnostics:
    """Make a function from the model to its diagnostics.

    Args:
        clips: Of the run. At most 1,000 training clips are measured, spread evenly.
        split: Name of the split; the function measures its part "train", or all clips.
        device: Where the clips are kept.

    Returns:
        A function from the model to {"diagnostics/alignment/joint": 0.2, ...} and, under "left_out", the reasons for
        those that could not be measured.
    """
    train = clips if split in (None, ALL) else clips.part(str(split), "train")
    chosen = np.union1d(_spread(np.arange(len(train))), _spread(np.flatnonzero(train.labels >= 0)))
    return Diagnostics(
        packed=pack(train.select(chosen), device),
        rows=torch.as_tensor(chosen, device=device),
        labels=torch.as_tensor(np.array(train.labels), device=device),
        subjects=torch.as_tensor(np.array(train.columns["subject"])),
    )


def _spread(positions: Int64[np.ndarray, " some"]) -> Int64[np.ndarray, " fewer"]:
    """At most MOST_CLIPS of the positions, spread evenly."""
    return positions[np.linspace(0, len(positions) - 1, min(len(positions), MOST_CLIPS)).astype(int)]


@dataclass(frozen=True)
class Diagnostics:
    """Measures a model on training clips."""

    packed: PackedClips
    """The clips that are measured."""
    rows: Int64[Tensor, " measured"]
    """Their indices among the training clips."""
    labels: Int64[Tensor, " train"]
    """Of all training clips; -1 without."""
    subjects: Int64[Tensor, " train"]
    """Of all training clips; -1 where unknown."""

    def __call__(self, model: Model) -> dict[str, Any]:
        """The diagnostics of a model, which is left as it was."""
        with _evaluating(model):
            found = {**self._representation(model), **self._classifiers(model), **self._comparisons(model)}
        numbers: dict[str, Any] = {
            f"{DIAGNOSTICS}{name}/{of}": value
            for name, values in found.items()
            if not isinstance(values, str)
            for of, value in values.items()
        }
        left_out = {name: values for name, values in found.items() if isinstance(values, str)}
        return numbers | ({"left_out": left_out} if left_out else {})

    def _representation(self, model: Model) -> dict[str, Measured]:
        """Of the features of training views: alignment and uniformity; of evaluation crops: effective rank."""
        if len(self.packed) < 3:
            return dict.fromkeys(("alignment", "uniformity", "effective_rank"), "fewer than three clips")
        encoders, draws = _encoders(model), _generator(model, self.rows.device)

        def view(indices: Tensor) -> Tensor:
            return self._view(model, indices, draws)

        first, second = (extract(encoders, model.layout, len(self.packed), view, self.rows.device) for _ in range(2))
        plain = self._features(model)
        return {
            "alignment": {name: alignment(first[name], second[name]) for name in first},
            "uniformity": {name: uniformity(values) for name, values in first.items()},
            "effective_rank": {name: effective_rank(values) for name, values in plain.items()},
        }

    def _classifiers(self, model: Model) -> dict[str, Measured]:
        """kNN and ridge regression with the clips of some subjects held out, one fold at a time."""
        known = torch.where(self.labels[self.rows] >= 0)[0]
        labels = self.labels[self.rows[known]]
        if len(known) < 4 or len(labels.unique()) < 2:
            return dict.fromkeys(("knn", "ridge"), "fewer than two labelled classes among the training clips")
        subjects = self.subjects[self.rows[known].cpu()]
        folds = subject_folds(subjects, model.settings.seed, FOLDS)
        features = {name: values[known] for name, values in self._features(model).items()}
        found: dict[str, Measured] = {**held_out_accuracies(features, labels, folds)}
        if len(subjects.unique()) < 2:
            found["subjects"] = "knn and ridge hold out clips, since the subjects are not known or a single one"
        return found

    def _comparisons(self, model: Model) -> dict[str, Measured]:
        """Of the levels, streams and terms of the loss, by training views of some batches."""
        names = ("cluster_cosine", "tv_levels", "tv_streams", "same_class", "gradient_cosine")
        if not isinstance(model, I2MD):
            return dict.fromkeys(names, f"method {model.settings.method} compares no clips")
        if not model.queues_ready:
            return dict.fromkeys(names, "the queues are not filled yet")
        draws = _generator(model, self.rows.device)
        spread = torch.randperm(len(self.rows), generator=_generator(model)).to(self.rows.device)
        batches = [self._batch(model, some, draws) for some in spread.split(model.settings.batch_size)[:BATCHES]]
        measured = []
        with torch.no_grad():
            for batch in batches:
                measured.append(self._neighbourhoods(model, model.levels(*batch), batch[2]))
        return {**_averaged(measured), "gradient_cosine": _gradient_cosines(model, batches[0])}

    def _neighbourhoods(self, model: I2MD, batch: BatchLevels, clips: Tensor) -> dict[str, Measured]:
        found: dict[str, Measured] = {}
        teachers = {name: batch.teacher(level).p for name, level in batch.instance.items()}
        if batch.cluster:
            found["cluster_cosine"] = {
                name: float((level.key * level.target).sum(dim=1).mean()) for name, level in batch.cluster.items()
            }
            found["tv_levels"] = {
                name: total_variation(teachers[name], batch.teacher(level).p) for name, level in batch.cluster.items()
            }
            if model.settings.objectives.cluster_target == "soft_positives":
                found["cluster_cosine"] = "soft positives are not aggregated"
        else:
            found |= dict.fromkeys(("cluster_cosine", "tv_levels"), f"method {model.settings.method} has no clusters")
        pairs = [(a, b) for i, a in enumerate(teachers) for b in list(teachers)[i + 1 :]]
        found["tv_streams"] = {f"{a}+{b}": total_variation(teachers[a], teachers[b]) for a, b in pairs} or "one stream"
        found["same_class"] = self._same_class(model, batch, clips)
        return found

    def _same_class(self, model: I2MD, batch: BatchLevels, clips: Tensor) -> Measured:
        """Share of neighbours of the clip's class, among those that are other clips and have a label."""
        if not (self.labels >= 0).any():
            return "no labels"
        shares = {}
        near = model.near_clips({name: level.key for name, level in batch.instance.items()}, clips)
        for name in batch.streams:
            if near:
                neighbours = near[name].clips.where(near[name].valid, -1)
            else:
                queue = model.cluster_queues[name] if batch.cluster else model.queues[name]
                similarity, count = (
                    queue.similarity((batch.cluster or batch.instance)[name].key),
                    model.settings.objectives.dna_num_neighbours,
                )
                neighbours = queue.clips[nearest_positions(similarity, count, queue.holds(clips))]
            own = self.labels[clips][:, None]
            counted = (neighbours >= 0) & (neighbours != clips[:, None]) & (own >= 0)
            of_neighbours = self.labels[neighbours.clamp_min(0)]
            counted &= of_neighbours >= 0
            if counted.any():
                shares[name] = float((of_neighbours == own)[counted].float().mean())
        return shares or "no labelled neighbours"

    def _features(self, model: Model) -> Features:
        frames = model.settings.views.frames
        return clip_features(_encoders(model), model.layout, self.packed, frames, model.persons)

    def _batch(self, model: Model, indices: Tensor, draws: torch.Generator) -> tuple[Tensor, ...]:
        """What the model's forward takes for some of the clips."""
        views = model.settings.views
        first, second = (self._view(model, indices, draws) for _ in range(2))
        short = [self._view(model, indices, draws, views.short) for _ in range(views.short_crops)]
        return (first, second, self.rows[indices], *([torch.cat(short)] if short else []))

    def _view(self, model: Model, indices: Tensor, draws: torch.Generator, views: ViewSettings | None = None) -> Tensor:
        views = views or model.settings.views
        numbers = ViewDraws.for_views(views, model.layout, len(indices), model.persons, draws)
        return make_view(self.packed, indices, views, model.layout, model.persons, numbers)


def _encoders(model: Model) -> Encoders:
    return {name: branch.encoder for name, branch in model.query.items()}


def _generator(model: Model, device: torch.device | str = "cpu") -> torch.Generator:
    return generator(model.settings.seed, "diagnostics", model.steps, device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In the block the model is in evaluation mode, in which it changes none of its statistics."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


def _averaged(measured: list[dict[str, Measured]]) -> dict[str, Measured]:
    """Mean over batches."""
    found: dict[str, Measured] = {}
    for name in measured[0]:
        each = [values for batch in measured if not isinstance(values := batch[name], str)]
        streams = dict.fromkeys(of for values in each for of in values)
        found[name] = {of: float(np.mean([v[of] for v in each if of in v])) for of in streams} or measured[0][name]
    return found


def _gradient_cosines(model: I2MD, batch: tuple[Tensor, ...]) -> Measured:
    """Cosine between the gradients of the contrast and of every other term, with respect to each stream's encoder."""
    if len(model.terms) < 2:
        return f"method {model.settings.method} has a single term"
    gradients: dict[str, dict[str, Tensor]] = {}
    for term in model.terms:
        # Computed anew for each term, since a graph need not allow a second backward pass.
        losses = model.losses(model.levels(*batch))
        parts = [loss for name, loss in losses.items() if name.partition("/")[0] == term]
        if parts:
            gradients[term] = _gradients(model, torch.stack(parts).sum())
    first, *others = gradients
    cosines = {
        f"{term}/{name}": float(F.cosine_similarity(gradients[first][name], gradients[term][name], dim=0))
        for term in others
        for name in gradients[term]
        if gradients[first][name].any() and gradients[term][name].any()
    }
    return cosines or "no term but the contrast has a gradient"


def _gradients(model: I2MD, loss: Tensor) -> dict[str, Tensor]:
    """Of a loss, by each stream's encoder, as one vector."""
    weights = {name: [p for p in b.encoder.parameters() if p.requires_grad] for name, b in model.query.items()}
    found = iter(torch.autograd.grad(loss, [p for some in weights.values() for p in some], allow_unused=True))
    parts = {name: [(next(found), p) for p in some] for name, some in weights.items()}
    return {
        name: torch.cat([(torch.zeros_like(p) if gradient is None else gradient).flatten() for gradient, p in some])
        for name, some in parts.items()
        if some
    }
