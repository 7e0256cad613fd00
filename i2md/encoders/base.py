"""What every encoder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class Encoder(nn.Module):
    """A module from sequences to features: (batch, frames, channels) -> (batch, width)."""

    width: int

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of sequences."""
        raise NotImplementedError

    @classmethod
    def together(
        cls, encoders: Sequence[Any], sequences: Sequence[Float[Tensor, "batch frames channels"]]
    ) -> list[Float[Tensor, "batch width"]]:
        """Features by several encoders of one size, each of its own batch; an encoder may do better than in turn."""
        return [encoder(x) for encoder, x in zip(encoders, sequences, strict=True)]
