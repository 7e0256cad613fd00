"""The settings of an encoder; free of torch, so that reading a recipe is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class EncoderSettings:
    """Which encoder, and its size. The defaults are the published ones."""

    name: str = "recurrent"
    """recurrent."""
    hidden_size: int = 1024
    """Hidden units of one GRU; a feature is twice as wide."""
    num_layers: int = 3
    """Layers of two GRUs."""
    initialisation: Literal["uniform", "orthogonal", "retentive"] = "uniform"
    """uniform is the published program's; on few clips orthogonal learns sooner. retentive is orthogonal and starts
    with a long memory: the soonest, for short runs."""
    activation_checkpointing: bool = False
    """Compute each layer's gates anew in the backward pass instead of keeping them (activation checkpointing): the same
    numbers in less memory, and a third more time."""
