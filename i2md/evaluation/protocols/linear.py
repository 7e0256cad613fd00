"""Linear evaluation: linear probes on frozen features, at a given learning rate or at one chosen on training clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from i2md.evaluation.linear_probe import linear_probe_scores, probe_logits, train_probes
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome
from i2md.evaluation.settings import LinearSettings
from i2md.runtime.random import generator


def linear(data: ProbeData, settings: LinearSettings) -> Iterator[Outcome]:
    """A linear probe of each stream at the learning rate of the settings.

    Args:
        data: Features and labels of the training and test clips.
        settings: How the probes are trained.

    Source: docs/method.md section 8.
    """
    rate = settings.learning_rate
    yield Outcome(linear_probe_scores(data, settings, rate), learning_rate=rate)


def linear_sweep(data: ProbeData, settings: LinearSettings) -> Iterator[Outcome]:
    """A linear probe of each stream at the learning rate that cross-validation over training subjects chooses.

    Args:
        data: Features, labels and subjects of the training clips, features and labels of the test clips.
        settings: How the probes are trained; `sweep` holds the learning rates.
    """
    rate, validation = choose_rate(data, settings)
    found = linear_probe_scores(data, settings, rate, title="linear-sweep")
    # Everything about this protocol is chosen on training clips.
    scores = {name: replace(value, best_test_accuracy=None) for name, value in found.items()}
    yield Outcome(scores, learning_rate=rate, validation=validation)


def choose_rate(data: ProbeData, settings: LinearSettings) -> tuple[float, dict[str, float]]:
    """Choose a learning rate by cross-validation on the training clips alone.

    Args:
        data: Features, labels and subjects of the training clips.
        settings: How the probes are trained; `sweep` holds the learning rates.

    Returns:
        The rate of the highest accuracy on held-out subjects, and the accuracy of each rate.
    """
    correct = torch.zeros(len(settings.sweep))
    for held_out in subject_folds(data.train_subjects, data.seed):
        correct += _correct_by_rate(data, settings, held_out.to(data.device)).cpu()
    accuracies = (correct / len(data.train_labels)).tolist()
    return settings.sweep[int(correct.argmax())], dict(zip(map(str, settings.sweep), accuracies, strict=True))


def subject_folds(subjects: Int64[Tensor, " clips"], seed: int, most: int = 5) -> list[Bool[Tensor, " clips"]]:
    """Split clips into folds by subject, so that no subject is on both sides; by clip where subjects are unknown.

    Args:
        subjects: Subject of each clip.
        seed: Of the shuffle of the subjects.
        most: Largest number of folds; there are fewer where there are fewer subjects.

    Returns:
        For each fold, which clips are held out.

    >>> [mask.tolist() for mask in subject_folds(torch.tensor([7, 7, 9]), seed=0)]
    [[False, False, True], [True, True, False]]
    """
    groups = subjects if len(subjects.unique()) > 1 else torch.arange(len(subjects))
    names = groups.unique()
    shuffled = names[torch.randperm(len(names), generator=generator(seed, "validation"))]
    return [torch.isin(groups, part) for part in shuffled.tensor_split(min(most, len(names)))]


def _correct_by_rate(
    data: ProbeData, settings: LinearSettings, held_out: Bool[Tensor, " train"]
) -> Int64[Tensor, " rates"]:
    """Number of held-out clips that the probes of each rate, trained on the other clips, classify correctly."""
    kept = torch.where(~held_out)[0]
    probes = train_probes(
        lambda epoch: {name: f[kept] for name, f in data.crop_features(epoch, settings).items()},
        data.train_labels[kept],
        data.num_classes,
        settings.sweep,
        settings,
        generator(data.seed, "classifier", device=data.device),
        title="cross-validation",
    )
    logits = probe_logits(probes, {name: f[held_out] for name, f in data.train_features.items()})
    # The ensemble's, or those of the only stream.
    overall: Float[Tensor, "rates clips classes"] = list(logits.values())[-1]
    return (overall.argmax(dim=2) == data.train_labels[held_out]).sum(dim=1)


LINEAR = Protocol("linear", (LinearSettings,), linear)
LINEAR_SWEEP = Protocol("linear-sweep", (LinearSettings,), linear_sweep)
