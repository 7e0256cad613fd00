"""Dynamic neighbours aggregation (DNA): a feature drawn towards its nearest entries of the queue."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def nearest_places(
    similarity: Float[Tensor, "batch queue"], count: int, excluded: Bool[Tensor, "batch queue"] | None = None
) -> Int64[Tensor, "batch count"]:
    """Bank positions of the `count` most similar entries, in no particular order.

    Excluded entries come last: they are taken only where nothing else is left.
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

    Excluded entries among the neighbours weigh nothing. Source: docs/method.md section 5, "DNA".
    """
    entries = queue[neighbours]
    similarity = torch.einsum("bw,bnw->bn", features, entries)
    weights = F.softmax(similarity / temperature, dim=1)
    if excluded is not None:
        weights = weights.masked_fill(excluded.gather(1, neighbours), 0.0)
        weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return F.normalize(features + torch.einsum("bn,bnw->bw", weights, entries), dim=1)


def positions_mask(neighbours: Int64[Tensor, "batch count"], queue: int) -> Bool[Tensor, "batch queue"]:
    """True at each clip's own neighbours: the entries that are left out of its negatives."""
    mask = torch.zeros(len(neighbours), queue, dtype=torch.bool, device=neighbours.device)
    return mask.scatter_(1, neighbours, True)
