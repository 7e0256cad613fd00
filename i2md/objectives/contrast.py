"""Contrast (InfoNCE): identify a clip's own key among those in a queue."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def contrast_logits(
    positive: Float[Tensor, " batch"],
    negatives: Float[Tensor, "batch queue"],
    temperature: float,
    excluded: Bool[Tensor, "batch queue"] | None = None,
) -> Float[Tensor, "batch queue+1"]:
    """[positive, negatives] / temperature.

    Args:
        positive: Similarity of each query with its key.
        negatives: Similarity of each query with each queue entry.
        temperature: Divides all.
        excluded: True at entries that are not negatives of a clip; their logits are minus infinity.

    Returns:
        Logits, the positive at index 0.
    """
    if excluded is not None:
        negatives = negatives.masked_fill(excluded, -torch.inf)
    return torch.cat([positive[:, None], negatives], dim=1).div_(temperature)


def soft_contrast(logits: Float[Tensor, "batch choices"], weights: Float[Tensor, "batch queue"]) -> Float[Tensor, ""]:
    """Cross-entropy against several positives.

    Args:
        logits: Of each clip, over its positive and the queue entries.
        weights: Of the queue entries as positives; the positive at index 0 has what is missing to 1.

    Returns:
        The mean over the batch.

    Source: docs/method.md section 5, cluster target "soft_positives".
    """
    target = torch.cat([1 - weights.sum(dim=1, keepdim=True), weights], dim=1)
    # Entries that are left out have a logit of minus infinity and no weight.
    terms = torch.where(target > 0, -target * F.log_softmax(logits, dim=1), 0.0)
    return terms.sum(dim=1).mean()


def contrast(logits: Float[Tensor, "batch choices"]) -> Float[Tensor, ""]:
    """Cross-entropy against index 0, where `contrast_logits` puts the positive.

    Args:
        logits: Of each clip, over its positive and its negatives.

    Returns:
        The mean over the batch.

    Source: docs/method.md section 3.

    >>> round(contrast(torch.zeros(2, 4)).exp().item(), 4)  # chance among four
    4.0
    """
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
