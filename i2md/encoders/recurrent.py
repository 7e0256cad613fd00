"""The recurrent encoder of the published results: pairs of GRUs that both read forward in time."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2md.encoders.encoder import Encoder


class RecurrentEncoder(Encoder):
    """Batch norm over a frame's channels, then layers of two GRUs that each read the pair below; the last output.

    The published encoder is called bidirectional, but feeds its GRU one frame at a time, so both
    directions read forward. Two forward GRUs a layer over the whole sequence are the same numbers
    (golden: cmd_step.npz; METHOD.md section 7).

    >>> RecurrentEncoder(channels=60, units=16, layers=2)(torch.zeros(4, 10, 60)).shape
    torch.Size([4, 32])
    """

    def __init__(self, channels: int, units: int = 1024, layers: int = 3) -> None:
        super().__init__()
        self.width = 2 * units
        self.input_norm = nn.BatchNorm1d(channels)
        self.layers = nn.ModuleList()
        for layer in range(layers):
            below = channels if layer == 0 else self.width
            self.layers.append(nn.ModuleList(nn.GRU(below, units, batch_first=True) for _ in range(2)))

    def forward(self, x: Float[Tensor, "batch frames channels"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of sequences."""
        x = self.input_norm(x.transpose(1, 2)).transpose(1, 2)
        for pair in self.layers:
            x = torch.cat([gru(x)[0] for gru in pair.children()], dim=-1)
        return x[:, -1]
