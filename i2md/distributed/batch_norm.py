"""Batch norm of an encoder's input, over the batches of all processes that work together."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed import collectives as ranks


class InputNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d whose statistics are those of the whole batch, however many processes share it out.

    torch's SyncBatchNorm does the same on GPUs alone. The processes' batches are of one size.

    >>> norm = InputNorm(3)(torch.tensor([[[1.0, 3.0], [0.0, 0.0], [5.0, 5.0]]]))
    >>> norm[0, 0].round(decimals=3).tolist()
    [-1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "batch channels frames"]) -> Float[Tensor, "batch channels frames"]:
        """Each channel shifted and scaled to mean 0 and variance 1, then by `weight` and `bias`."""
        if not self.training or ranks.world_size() == 1:
            return super().forward(x)
        mean, variance = self._statistics(x)
        self._remember(mean.detach(), variance.detach(), ranks.world_size() * x[:, 0].numel())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (x - mean[:, None]) * scale[:, None] + self.bias[:, None]

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of a channel: that within the processes, on average, and that between their means."""
        variance, mean = torch.var_mean(x, dim=(0, 2), correction=0)
        means, variances = ranks.all_gather_rows(torch.stack([mean, variance])[None]).unbind(1)
        return means.mean(dim=0), variances.mean(dim=0) + means.var(dim=0, correction=0)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, numbers: int) -> None:
        """Move the running statistics as nn.BatchNorm1d does: by the unbiased variance."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * numbers / (numbers - 1), self.momentum)
