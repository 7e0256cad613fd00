"""Protocols on few labels: semi-supervised fine-tuning and few-shot linear evaluation, over random draws of the labels.

Draws are the same on every machine, and do not depend on the order of the clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from i2md.evaluation.finetuning import finetuning_scores
from i2md.evaluation.linear_probe import linear_probe_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome, Variant
from i2md.evaluation.settings import FewerLabels, FewShotSettings, FinetuneSettings, LinearSettings, SemiSettings

# Indices of training clips, ascending.
Labelled = Int64[np.ndarray, " labelled"]


def semi(data: ProbeData, settings: SemiSettings, finetune: FinetuneSettings) -> Iterator[Outcome]:
    """Semi-supervised evaluation: fine-tuning on a fraction of the training labels, for each fraction and draw.

    Args:
        data: Encoders, training clips and test clips.
        settings: The fractions, the number of draws, and how clips are drawn.
        finetune: How encoders and linear layers are trained.
    """
    labels = data.train_labels.cpu().numpy()
    for variant in _semi_variants(settings, finetune):
        fraction, draw = variant.label_fraction or 0.0, variant.draw or 0
        drawn = draw_fraction(data.train_names, labels, fraction, settings.balanced, data.seed, draw)
        clips = torch.as_tensor(drawn, device=data.device)
        scores = finetuning_scores(data, data.encoders, finetune, clips, draw, f"semi-supervised, {100 * fraction:g} %")
        names = [data.train_names[clip] for clip in drawn]
        yield Outcome(scores, variant, finetune.learning_rate, labelled_clips=names)


def few_shot(data: ProbeData, settings: FewShotSettings, linear: LinearSettings) -> Iterator[Outcome]:
    """Linear evaluation on a few training clips of each class, for each number of clips and draw.

    The encoders stay frozen: they have millions of weights more than so few clips could train.

    Args:
        data: Features and labels of the training and test clips.
        settings: The numbers of clips and of draws.
        linear: How the probes are trained.
    """
    labels = data.train_labels.cpu().numpy()
    for variant in _few_shot_variants(settings, linear):
        count, draw = variant.labels_per_class or 0, variant.draw or 0
        drawn = draw_per_class(data.train_names, labels, count, data.seed, draw)
        clips = torch.as_tensor(drawn, device=data.device)
        scores = linear_probe_scores(data, linear, linear.learning_rate, clips, draw, f"few-shot, {count} a class")
        names = [data.train_names[clip] for clip in drawn]
        yield Outcome(scores, variant, linear.learning_rate, labelled_clips=names)


def _semi_variants(settings: SemiSettings, finetune: FinetuneSettings) -> list[Variant]:
    draws = range(settings.draws)
    return [Variant(label_fraction=each, draw=draw) for each in settings.label_fractions for draw in draws]


def _few_shot_variants(settings: FewShotSettings, linear: LinearSettings) -> list[Variant]:
    return [Variant(labels_per_class=each, draw=draw) for each in settings.labels for draw in range(settings.draws)]


SEMI = Protocol("semi", (SemiSettings, FinetuneSettings), semi, variants=_semi_variants, trains_encoders=True)
FEW_SHOT = Protocol("few-shot", (FewShotSettings, LinearSettings), few_shot, variants=_few_shot_variants)


def all_and_few(settings: FewerLabels) -> list[Variant]:
    """The variants of a classifier with all labels, then with each fraction and number of labels and each draw."""
    draws = range(settings.draws)
    fractions = [Variant(label_fraction=each, draw=draw) for each in settings.label_fractions for draw in draws]
    return [Variant(), *fractions, *(Variant(labels_per_class=n, draw=draw) for n in settings.labels for draw in draws)]


def labelled_clips(data: ProbeData, variant: Variant, balanced: bool) -> Int64[Tensor, " labelled"]:
    """The training clips that keep their labels in one of `all_and_few`.

    Args:
        data: The training clips.
        variant: Of the labels.
        balanced: Whether a fraction is drawn from each class.

    Returns:
        Indices of training clips, ascending, on the device of the data.
    """
    labels, draw = data.train_labels.cpu().numpy(), variant.draw or 0
    drawn = np.arange(len(labels))
    if variant.label_fraction is not None:
        drawn = draw_fraction(data.train_names, labels, variant.label_fraction, balanced, data.seed, draw)
    elif variant.labels_per_class is not None:
        drawn = draw_per_class(data.train_names, labels, variant.labels_per_class, data.seed, draw)
    return torch.as_tensor(drawn, device=data.device)


def names_of_few(data: ProbeData, variant: Variant, clips: Int64[Tensor, " labelled"]) -> list[str] | None:
    """The names of the labelled clips, where they are not all."""
    return None if variant.draw is None else [data.train_names[clip] for clip in clips.tolist()]


def draw_fraction(
    names: Sequence[str], labels: Int64[np.ndarray, " clips"], fraction: float, balanced: bool, seed: int, draw: int
) -> Labelled:
    """Draw the training clips that keep their labels. Fractions of one draw are nested: 1 % is part of 5 %.

    Args:
        names: Of the training clips, each different.
        labels: Their classes.
        fraction: Of the clips, above 0 and at most 1.
        balanced: Whether the fraction is of each class, rounded to the nearest clip and at least one; otherwise it is
            of all clips together and rounded down, as in the published CMD program.
        seed: Of the run.
        draw: Number of the draw.
    """
    order = _shuffled(names, seed, draw)
    if not balanced:
        return np.sort(order[: max(1, int(len(names) * fraction))])
    counts = np.bincount(labels)
    return _first_of_each_class(order, labels, np.maximum(1, (counts * fraction + 0.5).astype(np.int64)))


def draw_per_class(
    names: Sequence[str], labels: Int64[np.ndarray, " clips"], count: int, seed: int, draw: int
) -> Labelled:
    """Draw `count` training clips of each class; all of a class that has no more.

    >>> draw_per_class(["a", "b", "c", "d"], np.array([0, 0, 0, 1]), count=1, seed=0, draw=0)
    array([2, 3])
    """
    return _first_of_each_class(_shuffled(names, seed, draw), labels, np.full(labels.max() + 1, count))


def _first_of_each_class(
    order: Int64[np.ndarray, " clips"], labels: Int64[np.ndarray, " clips"], counts: Int64[np.ndarray, " classes"]
) -> Labelled:
    return np.sort(np.concatenate([order[labels[order] == c][:count] for c, count in enumerate(counts)]))


def _shuffled(names: Sequence[str], seed: int, draw: int) -> Int64[np.ndarray, " clips"]:
    """Clips in an order that hashes of their names decide: a random generator may differ in another version."""
    keys = [hashlib.sha256(f"{seed}/{draw}/{name}".encode("utf-8", "surrogateescape")).digest() for name in names]
    return np.array(sorted(range(len(names)), key=keys.__getitem__), dtype=np.int64)
