"""What every encoder is: a module from clips to features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from i2md.skeletons import Layout


@dataclass(frozen=True)
class NoSettings:
    """The settings of an encoder without any."""


class Encoder(nn.Module):
    """A module from clips to features: (batch, frames, joints, channels, persons) -> (batch, width).

    A subclass sets `width`, names its settings dataclass in `Settings`, and is registered by
    `ENCODERS.register(name, cls)` or as an entry point of the group i2md.encoders; then `encoder.name` chooses it.

    Args:
        layout: Joints, parents and channels of the clips.
        persons: Persons in a clip.
        settings: An instance of `Settings`.
    """

    Settings: ClassVar[Any] = NoSettings
    width: int
    head_width: int | None = None
    """Hidden units of the projection heads on the features; None: as many as `width`."""

    def __init__(self, layout: Layout, persons: int, settings: Any) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        raise NotImplementedError

    @classmethod
    def forward_parallel(
        cls, encoders: Sequence[Any], clips: Sequence[Float[Tensor, "batch frames joints channels persons"]]
    ) -> list[Float[Tensor, "batch width"]]:
        """Features by several encoders of the same settings, each of its own batch.

        One after another, unless a subclass does better.
        """
        return [encoder(x) for encoder, x in zip(encoders, clips, strict=True)]
