"""Decorrelation: variance, invariance and covariance of embeddings (VICReg), without negatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from i2md.errors import InputError
from i2md.objectives.levels import BatchLevels

Embeddings = Float[Tensor, "batch width"]


@dataclass(frozen=True)
class Decorrelation:
    """Keeps the embeddings of two views equal, each dimension varying, and no two dimensions alike.

    The embeddings are those of the instance level, of unit length, times the square root of their width: evenly spread
    ones have variance 1 in every dimension, whatever the scale of the encoder. The key comes from the momentum encoder
    and has no gradient, so variance and covariance are the query's. Of several processes each takes its own rows.

    Source: Bardes, Ponce and LeCun, "VICReg" (ICLR 2022), equations 1 to 6; the weights are theirs, divided by 25.
    """

    variance: float = 1.0
    """Weight of the hinge that keeps each dimension's standard deviation at 1."""
    invariance: float = 1.0
    """Weight of the squared distance of query and key."""
    covariance: float = 0.04
    """Weight of the squared covariances of different dimensions."""

    def __post_init__(self) -> None:
        if min(self.variance, self.invariance, self.covariance) < 0:
            raise InputError("variance, invariance and covariance must be at least 0")

    def __call__(self, batch: BatchLevels) -> dict[str, Tensor]:
        """The three parts of each stream, weighted: {"variance/joint": ..., ...}."""
        losses = {}
        for name, level in batch.instance.items():
            scale = level.query.shape[1] ** 0.5
            query, key = scale * level.query, scale * level.key
            losses[f"variance/{name}"] = self.variance * variance_loss(query)
            losses[f"invariance/{name}"] = self.invariance * F.mse_loss(query, key)
            losses[f"covariance/{name}"] = self.covariance * covariance_loss(query)
        return losses


def variance_loss(embeddings: Embeddings, epsilon: float = 1e-4) -> Float[Tensor, ""]:
    """Mean over dimensions of max(0, 1 - standard deviation over the batch).

    Args:
        embeddings: Of a batch.
        epsilon: Added to the variance, so that the root has a gradient at 0.
    """
    return F.relu(1 - (embeddings.var(dim=0) + epsilon).sqrt()).mean()


def covariance_loss(embeddings: Embeddings) -> Float[Tensor, ""]:
    """Sum of the squared covariances of different dimensions over the batch, divided by their number of dimensions.

    Args:
        embeddings: Of a batch.
    """
    centred = embeddings - embeddings.mean(dim=0)
    batch, width = embeddings.shape
    covariance = centred.T @ centred / (batch - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / width
