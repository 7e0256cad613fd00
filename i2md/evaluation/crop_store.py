"""Features of random crops, kept for further epochs: in memory while they are few, then in files without names."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, Any

import numpy as np
import torch

from i2md.evaluation.features import Features

# So much stays in memory; a set of crops of NTU-60's cross-subject training clips is 1 GB.
IN_MEMORY = 2**28


class CropStore:
    """Sets of features by their numbers, each made once by `make(number)`.

    Files have no names: whatever ends the process, they leave nothing behind. They stand where TMPDIR says.

    >>> made = []
    >>> store = CropStore(lambda number: made.append(number) or {"joint": torch.full((2, 1), number)})
    >>> [float(store[number]["joint"].sum()) for number in (3, 4, 3)], made
    ([6.0, 8.0, 6.0], [3, 4])
    """

    def __init__(self, make: Callable[[int], Features]) -> None:
        self._make = make
        self._room = IN_MEMORY
        self._near: dict[int, Features] = {}
        self._far: dict[int, dict[str, tuple[IO[Any], torch.device]]] = {}
        self._files = ExitStack()
        weakref.finalize(self, self._files.close)

    def __getitem__(self, number: int) -> Features:
        if number in self._near:
            return self._near[number]
        if number in self._far:
            return {name: _read(file, device) for name, (file, device) in self._far[number].items()}
        features = self._make(number)
        size = sum(value.nbytes for value in features.values())
        if size <= self._room:
            self._room -= size
            self._near[number] = features
        else:
            self._far[number] = {name: (self._write(value), value.device) for name, value in features.items()}
        return features

    def _write(self, value: torch.Tensor) -> IO[Any]:
        file = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        np.save(file, value.cpu().numpy(), allow_pickle=False)
        return file


def _read(file: IO[Any], device: torch.device) -> torch.Tensor:
    file.seek(0)
    return torch.as_tensor(np.load(file, allow_pickle=False), device=device)
