"""The settings of the encoders, and the registry of their names; free of torch, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ReadoutName = Literal["last", "mean", "max", "attention", "pyramid"]
# Those that another read-out can be exchanged for after pretraining.
WeightlessReadout = Literal["last", "mean", "max", "pyramid"]


@dataclass(frozen=True)
class ReadoutSettings:
    """How features are read out of an encoder's states over time (i2md.encoders.readout)."""

    readout: ReadoutName | None = None
    """last: the last frame's state; mean, max: over the frames; attention: a mean weighted by a learned query; pyramid:
    maxima over the clip, its halves and its quarters, seven times as wide. By default that of the encoder: last for
    gru, as published."""


@dataclass(frozen=True)
class GRUSettings(ReadoutSettings):
    """The encoder of the published results. The defaults are the published ones."""

    hidden_size: int = 1024
    """Hidden units of one GRU; its states over time are twice as wide."""
    num_layers: int = 3
    """Layers of two GRUs."""
    initialisation: Literal["uniform", "orthogonal", "retentive"] = "uniform"
    """uniform: as the reference implementation. orthogonal: learns sooner on few clips. retentive: orthogonal with a
    long memory at the start; learns soonest, for short runs."""
    activation_checkpointing: bool = False
    """Recompute each layer's gates in the backward pass instead of storing them (activation checkpointing): the same
    numbers in less memory, and a third more time."""


@dataclass(frozen=True)
class EncoderSettings(GRUSettings):
    """Which encoder, and its settings: those of gru directly, those of a registered encoder under `options`."""

    name: str = "gru"
    """gru, or an encoder that another package registers (entry point group i2md.encoders)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a registered encoder, checked against its own settings: --encoder.options.NAME VALUE."""
