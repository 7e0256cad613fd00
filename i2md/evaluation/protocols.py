"""The protocols on a run: how well its frozen encoders' features tell the classes of unseen clips apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from tqdm import tqdm

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
    """The linear protocol at the rate that does best on a fifth of the training clips, held out of a first round."""
    held_out = _stratified_fifth(subject.train_labels, subject.seed)
    kept = torch.where(~held_out)[0]
    first = train_probes(
        lambda epoch: {name: f[kept] for name, f in subject.crops(epoch, settings.crop).items()},
        subject.train_labels[kept],
        subject.classes,
        settings.sweep,
        settings,
        generator(subject.seed, "classifier", device=subject.train.rows.device),
    )
    validation = {name: f[held_out] for name, f in subject.train_features.items()}
    predicted = probe_predictions(first, validation)
    ensemble = predicted[list(predicted)[-1]]
    accuracies = (ensemble == subject.train_labels[held_out]).float().mean(dim=1)
    chosen = settings.sweep[int(accuracies.argmax())]
    probes = _train(subject, settings, (chosen,), None)
    predictions = probe_predictions(probes, subject.test_features)
    return Outcome(
        {name: value[0].cpu().numpy() for name, value in predictions.items()},
        {
            "learning_rate": chosen,
            "validation": dict(zip(map(str, settings.sweep), accuracies.tolist(), strict=True)),
        },
    )


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
    with tqdm(total=settings.epochs, unit="epoch", desc="linear", leave=False) as bar:

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


def _stratified_fifth(labels: Int64[Tensor, " train"], seed: int) -> Tensor:
    """True for about a fifth of each class's clips, drawn by the seed."""
    draw = generator(seed, "validation")
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().cpu():
        members = torch.where(labels.cpu() == label)[0]
        chosen = members[torch.randperm(len(members), generator=draw)]
        held_out[chosen[: len(members) // 5]] = True
    return held_out.to(labels.device)
