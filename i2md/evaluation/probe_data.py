"""The data of a protocol: encoders, labelled training and test clips, and their features."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.evaluation.features import Encoders, Features, clip_features, crop_features
from i2md.evaluation.settings import LinearSettings
from i2md.runtime.random import generator
from i2md.skeletons import Layout
from i2md.views.view import cropped_view

Fitted = TypeVar("Fitted")

# Bytes of crop features kept in memory; one set of NTU-60's cross-subject training clips is 1 GB.
IN_MEMORY = 2**28


@dataclass
class ProbeData:
    """What a protocol computes its scores from; features of the evaluation crops are computed on creation."""

    encoders: Encoders
    """By stream, pretrained or randomly initialised."""
    untrained_encoders: Callable[[], Encoders]
    """Makes the same encoders with the random weights that their run started from."""
    layout: Layout
    frames: int
    """Frames a view."""
    persons: int
    """Persons a view."""
    train: PackedClips
    test: PackedClips
    train_names: list[str]
    train_labels: Int64[Tensor, " train"]
    test_labels: Int64[Tensor, " test"]
    train_subjects: Int64[Tensor, " train"]
    """Identity of the person in each training clip; -1 where unknown."""
    num_classes: int
    seed: int = 0
    """The run's seed."""

    def __post_init__(self) -> None:
        self._crops: dict[tuple[float, float], FeatureCache] = {}
        self._fitted: dict[Any, Any] = {}
        self.train_features = self._clip_features(self.train)
        """Features (clips, width) of the training clips' evaluation crops by stream."""
        self.test_features = self._clip_features(self.test)
        """The same of the test clips."""

    @property
    def device(self) -> torch.device:
        """The device of the clips and of all random generators."""
        return self.train.rows.device

    def with_test(self, test: PackedClips) -> ProbeData:
        """The same encoders, training clips and fitted classifiers with other test clips of the same labels.

        Args:
            test: A clip in place of each test clip.
        """
        other = copy(self)
        other.test = test
        other.test_features = other._clip_features(test)
        return other

    def fitted(self, key: Any, fit: Callable[[], Fitted]) -> Fitted:
        """What was fitted to the training clips, once for all test clips that they are evaluated on.

        Args:
            key: Tells it from other things that are fitted to them.
            fit: Computes it where that has not been done.
        """
        if key not in self._fitted:
            self._fitted[key] = fit()
        return self._fitted[key]

    def crop_features(self, epoch: int, settings: LinearSettings) -> Features:
        """Features of one random crop of each training clip.

        Args:
            epoch: Crops are drawn for each epoch; unless `settings.exact`, they repeat after `settings.crops` epochs.
            settings: Size and number of the crops.
        """
        fraction = settings.crop
        if settings.exact:
            return self._crop_features(epoch, fraction)
        if fraction not in self._crops:
            self._crops[fraction] = FeatureCache(lambda number: self._crop_features(number, fraction))
        return self._crops[fraction][epoch % settings.crops]

    def random_views(
        self, clips: Int64[Tensor, " batch"], fraction: tuple[float, float], draws: torch.Generator
    ) -> Float[Tensor, "batch frames joints channels persons"]:
        """Views of a random crop of each of some training clips.

        Args:
            clips: Indices of training clips.
            fraction: Least and greatest fraction of a clip's frames that a crop keeps.
            draws: Draws the crops.
        """
        return cropped_view(self.train, clips, self.frames, self.persons, fraction, draws)

    def _clip_features(self, clips: PackedClips) -> Features:
        return clip_features(self.encoders, self.layout, clips, self.frames, self.persons)

    def _crop_features(self, number: int, fraction: tuple[float, float]) -> Features:
        draws = generator(self.seed, "crops", number, self.device)
        return crop_features(self.encoders, self.layout, self.train, self.frames, self.persons, fraction, draws)


class FeatureCache:
    """Sets of features by number, each computed once by `make(number)`: in memory up to `IN_MEMORY`, then in files.

    The files have no names, so they are gone however the process ends. They are written to TMPDIR.

    >>> made = []
    >>> cache = FeatureCache(lambda number: made.append(number) or {"joint": torch.full((2, 1), float(number))})
    >>> [float(cache[number]["joint"].sum()) for number in (3, 4, 3)], made
    ([6.0, 8.0, 6.0], [3, 4])
    """

    def __init__(self, make: Callable[[int], Features]) -> None:
        self._make = make
        self._bytes_left = IN_MEMORY
        self._in_memory: dict[int, Features] = {}
        self._in_files: dict[int, dict[str, tuple[IO[Any], torch.device]]] = {}
        self._files = ExitStack()
        weakref.finalize(self, self._files.close)

    def __getitem__(self, number: int) -> Features:
        if number in self._in_memory:
            return self._in_memory[number]
        if number in self._in_files:
            return {name: _read(file, device) for name, (file, device) in self._in_files[number].items()}
        features = self._make(number)
        size = sum(value.nbytes for value in features.values())
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._in_memory[number] = features
        else:
            self._in_files[number] = {name: (self._write(value), value.device) for name, value in features.items()}
        return features

    def _write(self, value: torch.Tensor) -> IO[Any]:
        file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        np.save(file, value.cpu().numpy(), allow_pickle=False)
        return file


def _read(file: IO[Any], device: torch.device) -> torch.Tensor:
    file.seek(0)
    return torch.as_tensor(np.load(file, allow_pickle=False), device=device)
