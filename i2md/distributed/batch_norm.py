"""Batch norm over the batches of all processes, for an encoder's input and between its layers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed.collectives import all_gather_rows
from i2md.distributed.process_group import world_size


class SyncBatchNorm1d(nn.BatchNorm1d):
    """nn.BatchNorm1d with the statistics of the whole batch, however many processes it is split over.

    torch's SyncBatchNorm does the same on GPUs only. Every process holds a batch of the same size.

    >>> norm = SyncBatchNorm1d(3)(torch.tensor([[[1.0, 3.0], [0.0, 0.0], [5.0, 5.0]]]))
    >>> norm[0, 0].round(decimals=3).tolist()
    [-1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "batch channels *frames"]) -> Float[Tensor, "batch channels *frames"]:
        """Normalise each channel to mean 0 and variance 1, then apply `weight` and `bias` where there are any."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        kind = x.dtype
        x = x.double() if kind == torch.float64 else x.float()  # in bfloat16 every partial sum would be rounded
        mean, variance = self._statistics(x)
        self._update_running_statistics(mean.detach(), variance.detach(), world_size() * x[:, 0].numel())
        scale, shift = torch.rsqrt(variance + self.eps), -mean
        if self.affine:
            scale = self.weight * scale
        columns = (-1,) + (1,) * (x.dim() - 2)
        out = (x + shift.view(columns)) * scale.view(columns)
        return (out + self.bias.view(columns) if self.affine else out).to(kind)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance per channel: the mean variance within processes plus the variance of their means."""
        variance, mean = torch.var_mean(x.flatten(2) if x.dim() > 2 else x[:, :, None], dim=(0, 2), correction=0)
        means, variances = all_gather_rows(torch.stack([mean, variance])[None]).unbind(1)
        return means.mean(dim=0), variances.mean(dim=0) + means.var(dim=0, correction=0)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as nn.BatchNorm1d does, with the unbiased variance."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
