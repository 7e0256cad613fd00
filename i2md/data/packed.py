"""Clips held whole on a device: all rows in one tensor, and where each clip begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from i2md.data.store import Clips


@dataclass(frozen=True)
class PackedClips:
    """Ragged clips as (rows, offsets): clip i owns people[i] * frames[i] rows from start[i], person after person."""

    rows: Float32[Tensor, "rows joints channels"]
    start: Int64[Tensor, " clips"]
    frames: Int64[Tensor, " clips"]
    persons: Int64[Tensor, " clips"]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def max_persons(self) -> int:
        """The largest number of people in one clip."""
        return int(self.persons.max())


def pack(clips: Clips, device: torch.device | str = "cpu") -> PackedClips:
    """Copy the clips (of a selection: only those) to a device."""
    sizes = clips.columns["persons"] * clips.columns["frames"]
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in clips])
    as_tensor = lambda values: torch.as_tensor(np.array(values, dtype=np.int64), device=device)  # noqa: E731
    return PackedClips(
        torch.as_tensor(rows, device=device),
        as_tensor(start),
        as_tensor(clips.columns["frames"]),
        as_tensor(clips.columns["persons"]),
    )
