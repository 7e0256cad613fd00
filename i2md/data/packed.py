"""Clips of any lengths on a device: the rows of all clips in one tensor, and where each clip begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from i2md.data.store import Clips
from i2md.data.windows import PERSON_STEP


@dataclass(frozen=True)
class PackedClips:
    """Ragged clips as rows and offsets, without padding.

    Clip i owns persons[i] * frames[i] rows from start[i] on, person after person. Windows of recordings share rows.

    Attributes:
        rows: The frames of all persons of all clips.
        start: The first row of each clip.
        frames: The number of frames of each clip.
        persons: The number of persons of each clip.
        person_step: Rows from one person to the next; by default the number of frames.
    """

    rows: Float32[Tensor, "rows joints channels"]
    start: Int64[Tensor, " clips"]
    frames: Int64[Tensor, " clips"]
    persons: Int64[Tensor, " clips"]
    person_step: Int64[Tensor, " clips"] | None = None

    def __len__(self) -> int:
        return len(self.start)

    @property
    def max_persons(self) -> int:
        """The largest number of persons in one clip."""
        return int(self.persons.max())


def pack_arrays(
    arrays: Iterable[Float[np.ndarray, "_ _ joints channels"]], device: torch.device | str = "cpu"
) -> PackedClips:
    """Copy arrays, one per clip, to a device.

    Args:
        arrays: At least one clip of shape (persons, frames, joints, channels); they differ in persons and frames only.
        device: Where the tensors are.

    >>> packed = pack_arrays([np.zeros((1, 9, 25, 3)), np.ones((2, 5, 25, 3))])
    >>> packed.rows.shape, packed.start.tolist()
    (torch.Size([19, 25, 3]), [0, 9])
    """
    clips = list(arrays)
    frames, persons = (np.array([clip.shape[axis] for clip in clips], dtype=np.int64) for axis in (1, 0))
    sizes = persons * frames
    rows = np.concatenate([clip.reshape(-1, *clip.shape[2:]) for clip in clips]).astype(np.float32, copy=False)
    columns = (torch.as_tensor(values, device=device) for values in (np.cumsum(sizes) - sizes, frames, persons))
    return PackedClips(torch.as_tensor(rows, device=device), *columns)


def pack(clips: Clips, device: torch.device | str = "cpu") -> PackedClips:
    """Copy opened clips to a device; of a selection only those selected. Frames that windows share are copied once.

    Args:
        clips: Opened clips; of a selection only the selected clips are copied.
        device: Where the frames shall be: `cpu`, `cuda`, `cuda:1`.
    """
    return _pack_windows(clips, device) if clips.is_windowed else pack_arrays(clips, device)


def _pack_windows(clips: Clips, device: torch.device | str) -> PackedClips:
    """Copy the rows that any of the windows uses, each stretch of them once."""
    start, frames, persons, step = (clips.columns[name] for name in ("start", "frames", "persons", PERSON_STEP))
    end = start + (persons - 1) * step + frames
    order = np.argsort(start, kind="stable")
    reached = np.maximum.accumulate(end[order])
    # A stretch begins where no window before reaches.
    begins = np.flatnonzero(np.concatenate([[True], start[order][1:] > reached[:-1]]))
    firsts, lasts = start[order][begins], reached[np.append(begins[1:], len(order)) - 1]
    rows = np.concatenate([clips.frames[first:last] for first, last in zip(firsts, lasts, strict=True)])
    stretch = np.searchsorted(firsts, start, side="right") - 1
    sizes = lasts - firsts
    moved = start - firsts[stretch] + (np.cumsum(sizes) - sizes)[stretch]
    columns = (torch.as_tensor(np.asarray(each), device=device) for each in (moved, frames, persons, step))
    return PackedClips(torch.as_tensor(rows.astype(np.float32, copy=False), device=device), *columns)
