"""The two-tower transformer: attention between a clip's frames, and between its joints, side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.persons import pool_persons, split_persons
from i2md.encoders.readout import ReadoutEncoder
from i2md.encoders.settings import TwoTowerSettings
from i2md.skeletons import Layout

Tokens = Float[Tensor, "rows tokens width"]


class TransformerLayer(nn.Module):
    """Multi-head attention and a feed-forward network, each behind a layer norm and added to its input.

    Args:
        width: Of a token.
        heads: Attention heads.
        feedforward: Hidden units of the network, with GELU.
    """

    def __init__(self, width: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.network_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width))

    def forward(self, x: Tokens) -> Tokens:
        """Tokens that have read one another."""
        x = x + self.merge(self._attend(self.query_key_value(self.attention_norm(x))))
        return x + self.network(self.network_norm(x))

    def _attend(self, projected: Float[Tensor, "rows tokens three_widths"]) -> Tokens:
        by_head = projected.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = by_head.unbind()
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class Tower(nn.Module):
    """Linear embedding, learned positions, transformer layers and a layer norm.

    Args:
        channels: Of a token as it comes in.
        positions: Number of learned positions; another number of tokens takes positions in between.
        settings: Width, layers, heads.
    """

    def __init__(self, channels: int, positions: int, settings: TwoTowerSettings) -> None:
        super().__init__()
        width = settings.hidden_size
        self.embedding = nn.Linear(channels, width)
        self.positions = nn.Parameter(0.02 * torch.randn(positions, width))
        self.layers = nn.Sequential(
            *(
                TransformerLayer(width, settings.num_heads, settings.feedforward_ratio * width)
                for _ in range(settings.num_layers)
            )
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "rows tokens channels"]) -> Tokens:
        """States of the tokens."""
        positions = interpolation(x.shape[1], len(self.positions), self.positions) @ self.positions
        return self.norm(self.layers(self.embedding(x) + positions))


def interpolation(to: int, given: int, like: Tensor) -> Float[Tensor, "to given"]:
    """The matrix that interpolates so many values linearly from those given; the first and the last stay.

    Args:
        to: Number of values wanted.
        given: Number of values given.
        like: Decides type and device.

    >>> interpolation(3, 2, torch.zeros(1)).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    places = torch.linspace(0, given - 1, to, dtype=like.dtype, device=like.device)
    numbers = torch.arange(given, dtype=like.dtype, device=like.device)
    return (1 - (places[:, None] - numbers).abs()).clamp(min=0)


class TwoTowerEncoder(ReadoutEncoder):
    """Two transformers over the same clip, their features one after another.

    The tokens of one are frames, all joints of a frame in one token; those of the other are joints, all frames of a
    joint in one token. Features of the first are read out of its states over time, features of the second are pooled
    over the joints. Persons are encoded one by one, by the same weights, and pooled; those that a clip lacks, all
    zeros, count for nothing once they are encoded.

    Args:
        layout: Joints and channels of the clips.
        persons: Persons in a clip; any number is encoded by the same weights.
        settings: Width, layers, heads, pooling, read-out.

    >>> from i2md.skeletons import get_layout
    >>> encoder = TwoTowerEncoder(get_layout("kinect-v1"), 2, TwoTowerSettings(hidden_size=16))
    >>> encoder(torch.zeros(4, 10, 20, 3, 2)).shape
    torch.Size([4, 32])

    Source: the dense spatio-temporal encoder of USDRL (Weng et al., AAAI 2025, arXiv:2412.09220), of which this takes
    the two towers and leaves its dense-shift and convolutional attention; pre-norm layers as in Xiong et al.,
    arXiv:2002.04745.
    """

    Settings = TwoTowerSettings
    default_readout = "max"

    def __init__(self, layout: Layout, persons: int, settings: TwoTowerSettings) -> None:
        super().__init__(layout, persons, settings)
        joints, channels = len(layout.joints), layout.channels
        self.pooling = settings.pooling
        self.num_positions = settings.num_positions
        self.input_norm = SyncBatchNorm1d(joints * channels)
        self.time_tower = Tower(joints * channels, settings.num_positions, settings)
        self.joint_tower = Tower(settings.num_positions * channels, joints, settings)
        self._set_readout(settings.readout, settings.hidden_size, beside=settings.hidden_size)

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        rows, present = split_persons(x)
        frames = self.input_norm(rows.flatten(2).transpose(1, 2)).transpose(1, 2)
        joints = self._joint_tokens(frames.unflatten(2, tuple(rows.shape[2:])))
        over_time = self.readout(self.time_tower(frames).transpose(1, 2))
        of_joints = self.joint_tower(joints).float()
        over_joints = of_joints.amax(dim=1) if self.pooling == "max" else of_joints.mean(dim=1)
        return pool_persons(torch.cat([over_time, over_joints], dim=1), present, self.pooling)

    def _joint_tokens(
        self, x: Float[Tensor, "rows frames joints channels"]
    ) -> Float[Tensor, "rows joints positions_channels"]:
        """Each joint's positions over time, interpolated to a number of frames that fits the tower."""
        if x.shape[1] != self.num_positions:
            x = torch.einsum("pt,rtjc->rpjc", interpolation(self.num_positions, x.shape[1], x), x)
        return x.transpose(1, 2).flatten(2)
