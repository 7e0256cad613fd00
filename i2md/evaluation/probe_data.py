"""What a protocol is applied to: encoders, and labelled clips to train and test on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.evaluation.crop_store import CropStore
from i2md.evaluation.features import Encoders, Features, clip_features, crop_features
from i2md.evaluation.settings import LinearSettings
from i2md.runtime.random import generator
from i2md.skeletons import Layout
from i2md.views.view import cropped_view


@dataclass
class Subject:
    """Encoders and clips; `untrained` makes the same encoders with the weights that their run began with."""

    encoders: Encoders
    untrained: Callable[[], Encoders]
    layout: Layout
    frames: int
    persons: int
    train: PackedClips
    test: PackedClips
    train_names: list[str]
    train_labels: Int64[Tensor, " train"]
    test_labels: Int64[Tensor, " test"]
    train_people: Int64[Tensor, " train"]
    classes: int
    seed: int = 0

    def __post_init__(self) -> None:
        self._crops: dict[tuple[float, float], CropStore] = {}
        self.train_features = self._features(self.train)
        self.test_features = self._features(self.test)

    @property
    def device(self) -> torch.device:
        """Where the clips and all random numbers are."""
        return self.train.rows.device

    def crops(self, epoch: int, settings: LinearSettings) -> Features:
        """Features of one random crop of each training clip: an epoch's own, or that of the set whose turn it is."""
        if settings.exact:
            return self._crop_features(epoch, settings.crop)
        fraction = settings.crop
        if fraction not in self._crops:
            self._crops[fraction] = CropStore(lambda number: self._crop_features(number, fraction))
        return self._crops[fraction][epoch % settings.crops]

    def view(
        self, clips: Int64[Tensor, " batch"], fraction: tuple[float, float], draws: torch.Generator
    ) -> Float[Tensor, "batch frames joints channels persons"]:
        """A random crop of each of these training clips."""
        return cropped_view(self.train, clips, self.frames, self.persons, fraction, draws)

    def _features(self, clips: PackedClips) -> Features:
        return clip_features(self.encoders, self.layout, clips, self.frames, self.persons)

    def _crop_features(self, number: int, fraction: tuple[float, float]) -> Features:
        draws = generator(self.seed, "crops", number, self.device)
        return crop_features(self.encoders, self.layout, self.train, self.frames, self.persons, fraction, draws)
