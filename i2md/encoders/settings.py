"""The settings of the encoders, and the registry of their names; free of torch, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from i2md.errors import InputError

ReadoutName = Literal["last", "mean", "max", "attention", "pyramid"]
# Those that another read-out can be exchanged for after pretraining.
WeightlessReadout = Literal["last", "mean", "max", "pyramid"]


@dataclass(frozen=True)
class ReadoutSettings:
    """How features are read out of an encoder's states over time (i2md.encoders.readout)."""

    readout: ReadoutName | None = None
    """last: the last frame's state; mean, max: over the frames; attention: a mean weighted by a learned query; pyramid:
    maxima over the clip, its halves and its quarters, seven times as wide. By default that of the encoder: last for
    gru, as published; pyramid for tcn; max for two-tower;
    mean for graph, as published."""


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
class TCNSettings(ReadoutSettings):
    """The temporal convolutional encoder."""

    hidden_size: int = 128
    """Channels of every layer: width of a frame's state."""
    num_blocks: int = 4
    """Residual blocks; their dilations are 1, 2, 4, 8 and again from 1."""
    norm: Literal["none", "batch"] = "none"
    """none: one scale for the whole input. batch: batch norm of each channel of the input and between the layers, which
    makes a joint that hardly moves as large as one that does."""

    def __post_init__(self) -> None:
        require_positive(hidden_size=self.hidden_size, num_blocks=self.num_blocks)


@dataclass(frozen=True)
class TwoTowerSettings(ReadoutSettings):
    """The two-tower transformer. USDRL's has 1,024 units, 2 layers and 1 head."""

    hidden_size: int = 128
    """Width of the tokens of both towers."""
    num_layers: int = 2
    """Transformer layers of each tower."""
    num_heads: int = 4
    """Attention heads; hidden_size must be a multiple."""
    feedforward_ratio: int = 4
    """Hidden units of the feed-forward networks, in multiples of hidden_size."""
    num_positions: int = 64
    """Learned positions over time, and frames that a joint's token holds; clips of another number of frames are
    interpolated."""
    pooling: Literal["max", "mean"] = "max"
    """How joints and persons are pooled."""

    def __post_init__(self) -> None:
        require_positive(
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            feedforward_ratio=self.feedforward_ratio,
            num_positions=self.num_positions,
        )
        if self.hidden_size % self.num_heads:
            raise InputError(f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}")


@dataclass(frozen=True)
class GraphSettings(ReadoutSettings):
    """The graph encoder."""

    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of each block; frames are halved where they grow. ST-GCN has four blocks of 64, three of 128 and three
    of 256."""
    refinement: Literal["none", "channel-wise"] = "none"
    """none: one adjacency for all clips and channels, as ST-GCN; channel-wise: refined for each, as CTR-GCN."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise InputError(f"widths {list(self.widths)} must be numbers of channels of at least 1")


def require_positive(**settings: int) -> None:
    """Raise the InputError that names the first setting below 1."""
    for name, value in settings.items():
        if value < 1:
            raise InputError(f"{name} {value} must be at least 1")


@dataclass(frozen=True)
class EncoderSettings(GRUSettings):
    """Which encoder, and its settings: `readout` and those of gru directly, those of any other under `options`."""

    name: str = "gru"
    """gru, tcn, graph, two-tower, or an encoder that another package registers (entry point group i2md.encoders)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of an encoder other than gru, checked against its own settings: --encoder.options.NAME VALUE."""
    feature_size: int | None = None
    """Project the features to this many by batch norm and a linear layer that are part of the encoder
    (i2md.encoders.projected); by default they stay as they are."""

    frozen: bool = False
    """Keep the initial random weights below the projection, which alone is trained: for a few hundred clips, which
    train a linear layer well and all the layers below it badly."""

    def __post_init__(self) -> None:
        if self.feature_size is not None:
            require_positive(feature_size=self.feature_size)
        elif self.frozen:
            raise InputError("frozen leaves nothing to train without a projection; set encoder.feature_size, say 128")
