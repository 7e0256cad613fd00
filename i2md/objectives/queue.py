"""The queue: the newest keys, first in first out. The only state that the objectives have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """`size` unit vectors and the clip each came from; all of it is saved with the model.

    A new queue holds random vectors that belong to no clip (index -1); `filled` counts the entries that real
    keys have replaced. Source: docs/method.md section 3.
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
        """Whether every entry is a real key; makes the host wait for the device, so no training step asks."""
        return int(self.filled) == len(self.keys)

    def similarity(self, features: Float[Tensor, "batch width"]) -> Float[Tensor, "batch size"]:
        """Cosine of each feature with each entry."""
        return features @ self.keys.T

    def holds(self, clips: Int64[Tensor, " batch"]) -> Bool[Tensor, "batch size"]:
        """True where an entry is an older key of the very clip in hand."""
        return clips[:, None] == self.clips[None, :]

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "batch width"], clips: Int64[Tensor, " batch"]) -> None:
        """Replace the oldest entries; the size is a multiple of the batch, so a batch never wraps."""
        size = len(self.keys)
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.keys[places] = keys.to(self.keys.dtype)
        self.clips[places] = clips
        self.pointer.copy_((self.pointer + len(keys)) % size)
        self.filled.copy_((self.filled + len(keys)).clamp_max(size))
