"""The linear protocol's learning rate, chosen by cross-validation on training clips alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from i2md.evaluation.linear_probe import probe_logits, train_probes
from i2md.evaluation.probe_data import Subject
from i2md.evaluation.settings import LinearSettings
from i2md.runtime.random import generator


def choose_rate(subject: Subject, settings: LinearSettings) -> tuple[float, dict[str, float]]:
    """The rate of the sweep that does best on held-out people, and the accuracy of each rate."""
    correct = torch.zeros(len(settings.sweep))
    for held_out in folds(subject.train_people, subject.seed):
        correct += _correct_by_rate(subject, settings, held_out.to(subject.device)).cpu()
    accuracies = (correct / len(subject.train_labels)).tolist()
    return settings.sweep[int(correct.argmax())], dict(zip(map(str, settings.sweep), accuracies, strict=True))


def folds(persons: Int64[Tensor, " clips"], seed: int, most: int = 5) -> list[Bool[Tensor, " clips"]]:
    """Masks of the clips to hold out in turn: whole people, so that nobody is on both sides.

    Where fewer than two people are known, clips are drawn instead.

    >>> [mask.tolist() for mask in folds(torch.tensor([7, 7, 9]), seed=0)]
    [[False, False, True], [True, True, False]]
    """
    groups = persons if len(persons.unique()) > 1 else torch.arange(len(persons))
    names = groups.unique()
    shuffled = names[torch.randperm(len(names), generator=generator(seed, "validation"))]
    return [torch.isin(groups, part) for part in shuffled.tensor_split(min(most, len(names)))]


def _correct_by_rate(subject: Subject, settings: LinearSettings, held_out: Bool[Tensor, " train"]) -> Tensor:
    """How many of the held-out clips each rate gets right, trained on the others."""
    kept = torch.where(~held_out)[0]
    probes = train_probes(
        lambda epoch: {name: f[kept] for name, f in subject.crops(epoch, settings).items()},
        subject.train_labels[kept],
        subject.classes,
        settings.sweep,
        settings,
        generator(subject.seed, "classifier", device=subject.device),
        title="sweep",
    )
    scores = probe_logits(probes, {name: f[held_out] for name, f in subject.train_features.items()})
    predicted = list(scores.values())[-1].argmax(dim=2)
    return (predicted == subject.train_labels[held_out]).sum(dim=1)
