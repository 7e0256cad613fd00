"""Dynamic neighbours aggregation (DNA): a feature plus a weighted mean of its nearest queue entries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def nearest_positions(
    similarity: Float[Tensor, "batch queue"], count: int, excluded: Bool[Tensor, "batch queue"] | None = None
) -> Int64[Tensor, "batch count"]:
    """Queue positions of the most similar entries.

    Args:
        similarity: Of each feature with each queue entry.
        count: Number of neighbours.
        excluded: True at entries that are taken only where no others are left.

    Returns:
        Positions, in no particular order.
    """
    if excluded is not None:
        similarity = similarity.masked_fill(excluded, -torch.inf)
    return similarity.topk(count, dim=1, sorted=False).indices


def aggregate(
    features: Float[Tensor, "batch width"],
    queue: Float[Tensor, "queue width"],
    neighbours: Int64[Tensor, "batch count"],
    temperature: float = 0.07,
    excluded: Bool[Tensor, "batch queue"] | None = None,
) -> Float[Tensor, "batch width"]:
    """a(f) = normalise(f + sum_i softmax_i(f.C_i / temperature) C_i) over each feature's neighbours C_i.

    Args:
        features: f, of unit length.
        queue: All entries C, of unit length.
        neighbours: Positions of each feature's neighbours in the queue.
        temperature: Of the weights.
        excluded: True at entries whose weight is 0.

    Returns:
        The aggregates, of unit length.

    Source: docs/method.md section 5, "DNA".
    """
    entries = queue[neighbours]
    similarity = torch.einsum("bw,bnw->bn", features, entries)
    weights = F.softmax(similarity / temperature, dim=1)
    if excluded is not None:
        weights = weights.masked_fill(excluded.gather(1, neighbours), 0.0)
        weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return F.normalize(features + torch.einsum("bn,bnw->bw", weights, entries), dim=1)


def weighted_aggregate(
    weights: Float[Tensor, "batch queue"],
    queue: Float[Tensor, "queue width"],
    features: Float[Tensor, "batch width"],
    with_features: bool = False,
) -> Float[Tensor, "batch width"]:
    """a(f) = normalise([f +] sum_i p_i C_i).

    Args:
        weights: p of each feature; the sum of a row is 1, or 0 for a feature without neighbours, whose aggregate it is.
        queue: All entries C, of unit length.
        features: f, of unit length.
        with_features: Whether f itself is added.

    Returns:
        The aggregates, of unit length.

    Source: docs/method.md section 5, cluster target "distribution".
    """
    own = 1.0 if with_features else (weights.sum(dim=1, keepdim=True) == 0).to(features.dtype)
    return F.normalize(own * features + weights @ queue, dim=1)


def soft_positives(
    similarity: Float[Tensor, "batch queue"],
    neighbours: Int64[Tensor, "batch count"],
    temperature: float,
    excluded: Bool[Tensor, "batch queue"] | None = None,
) -> Float[Tensor, "batch queue"]:
    """Weights of queue entries as further positives: a softmax over the neighbours, without those below its mean.

    Args:
        similarity: Of each key with each entry.
        neighbours: Positions of each key's neighbours.
        temperature: Of the softmax.
        excluded: True at entries that are no positives.

    Returns:
        Weights that add up to 1/2, or 0 without neighbours; the key has the rest.

    Source: docs/method.md section 5, cluster target "soft_positives"; Ge et al., "Soft Neighbors are Positive
    Supporters in Contrastive Visual Representation Learning" (ICLR 2023).
    """
    near = similarity.gather(1, neighbours)
    valid = torch.ones_like(near, dtype=torch.bool) if excluded is None else ~excluded.gather(1, neighbours)
    weights = F.softmax(near / temperature, dim=1) * valid
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    # Those that are as near as the mean or nearer; of equal ones rounding may leave some below.
    weights = weights * (weights * valid.sum(dim=1, keepdim=True) >= 1 - 1e-4)
    weights = weights / (2 * weights.sum(dim=1, keepdim=True).clamp_min(1e-12))
    return torch.zeros_like(similarity).scatter_(1, neighbours, weights)


def positions_mask(neighbours: Int64[Tensor, "batch count"], queue: int) -> Bool[Tensor, "batch queue"]:
    """Positions as a mask.

    Args:
        neighbours: Positions in the queue.
        queue: Entries of the queue.

    Returns:
        True at each clip's neighbours.
    """
    mask = torch.zeros(len(neighbours), queue, dtype=torch.bool, device=neighbours.device)
    return mask.scatter_(1, neighbours, True)
