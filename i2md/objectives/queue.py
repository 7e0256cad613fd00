"""The queue of the newest keys, first in first out: the only state of the objectives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """Unit vectors and the clip that each came from; saved with the model.

    A new queue holds random vectors that belong to no clip (index -1); `filled` counts the entries that real keys have
    replaced.

    Args:
        size: Number of entries, a multiple of the batch size.
        width: Width of a key.

    Source: docs/method.md section 3.
    """

    keys: Tensor
    clips: Tensor
    pointer: Tensor
    filled: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("clips", torch.full((size,), -1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @property
    def full(self) -> bool:
        """Whether every entry is a real key. Makes the host wait for the device, so no training step calls it."""
        return int(self.filled) == len(self.keys)

    def similarity(self, features: Float[Tensor, "batch width"]) -> Float[Tensor, "batch size"]:
        """Cosine of each feature with each entry."""
        return features @ self.keys.T

    def holds(self, clips: Int64[Tensor, " batch"]) -> Bool[Tensor, "batch size"]:
        """True where an entry is an older key of the same clip."""
        return clips[:, None] == self.clips[None, :]

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "batch width"], clips: Int64[Tensor, " batch"]) -> None:
        """Replace the oldest entries by a batch of keys.

        Args:
            keys: Unit vectors; the size is a multiple of the batch size, so a batch never wraps.
            clips: Indices of their clips in the data set.
        """
        size = len(self.keys)
        positions = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.keys[positions] = keys.to(self.keys.dtype)
        self.clips[positions] = clips
        self.pointer.copy_((self.pointer + len(keys)) % size)
        self.filled.copy_((self.filled + len(keys)).clamp_max(size))
