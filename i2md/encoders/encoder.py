"""What every encoder is."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Encoder(nn.Module):
    """A module from sequences to features: (batch, frames, channels) -> (batch, width)."""

    width: int

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of sequences."""
        raise NotImplementedError
