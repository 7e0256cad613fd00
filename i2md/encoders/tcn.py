"""The temporal convolutional encoder: dilated convolutions over time, all joints of a frame side by side.

By default there is no batch norm in it, and all biases start at 0: a randomly initialised encoder is then independent
of the unit of its input, and its features are as good neighbours as it gets without training (docs/results.md).
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.input_scale import InputScale
from i2md.encoders.readout import ReadoutEncoder
from i2md.encoders.settings import TCNSettings
from i2md.skeletons import Layout

# Dilations of the blocks, in turn: a state of four blocks has read 35 frames around its own.
DILATIONS = (1, 2, 4, 8)

Sequences = Float[Tensor, "batch channels frames"]


class TCNBlock(nn.Module):
    """A residual block: [batch norm,] ReLU, convolution over three frames, [batch norm,] ReLU, linear layer of a frame.

    Args:
        channels: Of input and output.
        dilation: Frames from one tap of the convolution to the next; frames beyond the clip are zeros.
        batch_norm: Whether the block has batch norm.
    """

    def __init__(self, channels: int, dilation: int, batch_norm: bool) -> None:
        super().__init__()
        self.norm_in = SyncBatchNorm1d(channels) if batch_norm else nn.Identity()
        self.over_time = nn.Conv1d(channels, channels, 3, padding="same", dilation=dilation)
        self.norm = SyncBatchNorm1d(channels) if batch_norm else nn.Identity()
        self.pointwise = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Sequences) -> Sequences:
        """The input plus what the block adds to it."""
        return x + self.pointwise(F.relu(self.norm(self.over_time(F.relu(self.norm_in(x))))))


class TCNEncoder(ReadoutEncoder):
    """One scale for the input, a convolution over five frames, residual blocks of dilated convolutions.

    Several encoders run one after another: grouped convolutions over the streams of a step took as long (1.0 times,
    128 channels on one core).

    Args:
        layout: Joints and channels of the clips.
        persons: Persons in a clip.
        settings: Channels, blocks, norm, read-out.

    >>> import torch
    >>> from i2md.skeletons import get_layout
    >>> encoder = TCNEncoder(get_layout("kinect-v1"), 1, TCNSettings(hidden_size=16))
    >>> encoder(torch.zeros(4, 10, 20, 3, 1)).shape
    torch.Size([4, 112])

    Source: Kim and Reiter, "Interpretable 3D Human Action Analysis with Temporal Convolutional Networks" (CVPR
    workshops 2017), whose Res-TCN has 9 blocks of 64 to 256 channels over strided frames. Here frames keep their number
    and dilations widen the view instead: Bai, Kolter and Koltun, arXiv:1803.01271.
    """

    Settings = TCNSettings
    default_readout = "pyramid"

    def __init__(self, layout: Layout, persons: int, settings: TCNSettings) -> None:
        super().__init__(layout, persons, settings)
        channels, width = len(layout.joints) * layout.channels * persons, settings.hidden_size
        batch_norm = settings.norm == "batch"
        self.input_norm = SyncBatchNorm1d(channels) if batch_norm else InputScale()
        self.entry = nn.Conv1d(channels, width, 5, padding="same")
        self.blocks = nn.Sequential(
            *(TCNBlock(width, DILATIONS[block % len(DILATIONS)], batch_norm) for block in range(settings.num_blocks))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d) and module.bias is not None:
                nn.init.zeros_(module.bias)
        self._set_readout(settings.readout, width)

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        # Contiguous: views lie with the batch last in memory, where batch norm takes four times as long.
        frames = x.flatten(2).transpose(1, 2).contiguous()
        return self.readout(self.blocks(self.entry(self.input_norm(frames))))
