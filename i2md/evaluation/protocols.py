"""The protocols on a run: how well its frozen encoders' features tell the classes of unseen clips apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm import tqdm

from i2md import ranks
from i2md.clips.packed import PackedClips
from i2md.evaluation.features import Encoders, Features, clip_features, crop_features
from i2md.evaluation.knn import knn_predictions
from i2md.evaluation.linear import LinearProbes, LinearSettings, probe_predictions, train_probes
from i2md.pretraining.seeds import generator
from i2md.skeletons import Layout

REMEMBERED_BYTES = 2**28


@dataclass
class Subject:
    """What a protocol is applied to: encoders, and labelled clips to train and test on."""

    encoders: Encoders
    layout: Layout
    frames: int
    people: int
    train: PackedClips
    test: PackedClips
    train_labels: Int64[Tensor, " train"]
    test_labels: Int64[Tensor, " test"]
    train_people: Int64[Tensor, " train"]
    classes: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._crops: dict[tuple[int, tuple[float, float]], Features] = {}
        self.train_features = self._features(self.train)
        self.test_features = self._features(self.test)

    def _features(self, clips: PackedClips) -> Features:
        return clip_features(self.encoders, self.layout, clips, self.frames, self.people)

    def crops(self, epoch: int, fraction: tuple[float, float]) -> Features:
        """Features of one random crop of each training clip; the same for the same seed and epoch."""
        if (epoch, fraction) in self._crops:
            return self._crops[epoch, fraction]
        draws = generator(self.seed, "crops", epoch, self.train.rows.device)
        features = crop_features(self.encoders, self.layout, self.train, self.frames, self.people, fraction, draws)
        # Both linear protocols look at the same crops; small data sets need not be encoded twice.
        size = sum(value.nbytes for value in features.values())
        if size * (len(self._crops) + 1) <= REMEMBERED_BYTES:
            self._crops[epoch, fraction] = features
        return features


@dataclass(frozen=True)
class Outcome:
    """Predicted labels of the test clips by each stream and the ensemble, and what else there is to say."""

    predictions: dict[str, np.ndarray]
    extra: dict[str, Any]


def knn(subject: Subject, settings: LinearSettings) -> Outcome:
    """k = 1 by cosine, on the features of the evaluation crop."""
    predictions = knn_predictions(subject.train_features, subject.test_features, subject.train_labels)
    return Outcome({name: value.cpu().numpy() for name, value in predictions.items()}, {"k": 1})


def linear(subject: Subject, settings: LinearSettings) -> Outcome:
    """The published fixed setting: the last epoch is the result; the official best over test epochs is beside it."""
    best: dict[str, float] = {}

    def watch(probes: dict[str, LinearProbes]) -> None:
        for name, value in probe_predictions(probes, subject.test_features).items():
            accuracy = float((value[0] == subject.test_labels).float().mean())
            best[name] = max(best.get(name, 0.0), accuracy)

    probes = _train(subject, settings, (settings.learning_rate,), watch)
    predictions = probe_predictions(probes, subject.test_features)
    return Outcome(
        {name: value[0].cpu().numpy() for name, value in predictions.items()},
        {"learning_rate": settings.learning_rate, "best_test_epoch": best},
    )


def linear_sweep(subject: Subject, settings: LinearSettings) -> Outcome:
    """The linear protocol at the rate that does best on training clips, by cross-validation over their people."""
    correct = torch.zeros(len(settings.sweep))
    for held_out in folds(subject.train_people, subject.seed):
        correct += _correct_by_rate(subject, settings, held_out.to(subject.train_labels.device)).cpu()
    chosen = settings.sweep[int(correct.argmax())]
    probes = _train(subject, settings, (chosen,), None)
    predictions = probe_predictions(probes, subject.test_features)
    validation = (correct / len(subject.train_labels)).tolist()
    return Outcome(
        {name: value[0].cpu().numpy() for name, value in predictions.items()},
        {"learning_rate": chosen, "validation": dict(zip(map(str, settings.sweep), validation, strict=True))},
    )


def _correct_by_rate(subject: Subject, settings: LinearSettings, held_out: Bool[Tensor, " train"]) -> Tensor:
    """How many of the held-out clips each rate gets right, trained on the others."""
    kept = torch.where(~held_out)[0]
    probes = train_probes(
        lambda epoch: {name: f[kept] for name, f in subject.crops(epoch, settings.crop).items()},
        subject.train_labels[kept],
        subject.classes,
        settings.sweep,
        settings,
        generator(subject.seed, "classifier", device=subject.train.rows.device),
    )
    predicted = probe_predictions(probes, {name: f[held_out] for name, f in subject.train_features.items()})
    ensemble = predicted[list(predicted)[-1]]
    return (ensemble == subject.train_labels[held_out]).sum(dim=1)


def folds(people: Int64[Tensor, " clips"], seed: int, most: int = 5) -> list[Bool[Tensor, " clips"]]:
    """Masks of the clips to hold out in turn: whole people, so that nobody is on both sides.

    Where fewer than two people are known, clips are drawn instead.

    >>> [mask.tolist() for mask in folds(torch.tensor([7, 7, 9]), seed=0)]
    [[False, False, True], [True, True, False]]
    """
    groups = people if len(people.unique()) > 1 else torch.arange(len(people))
    names = groups.unique()
    shuffled = names[torch.randperm(len(names), generator=generator(seed, "validation"))]
    return [torch.isin(groups, part) for part in shuffled.tensor_split(min(most, len(names)))]


PROTOCOLS: dict[str, Callable[[Subject, LinearSettings], Outcome]] = {
    "knn": knn,
    "linear": linear,
    "linear-sweep": linear_sweep,
}


def _train(
    subject: Subject,
    settings: LinearSettings,
    rates: tuple[float, ...],
    after_epoch: Callable[[dict[str, LinearProbes]], None] | None,
) -> dict[str, LinearProbes]:
    hidden = not ranks.is_first()
    with tqdm(total=settings.epochs, unit="epoch", desc="linear", leave=False, disable=hidden) as bar:

        def features(epoch: int) -> Features:
            bar.update()
            return subject.crops(epoch, settings.crop)

        return train_probes(
            features,
            subject.train_labels,
            subject.classes,
            rates,
            settings,
            generator(subject.seed, "classifier", device=subject.train.rows.device),
            after_epoch,
        )
