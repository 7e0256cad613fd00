"""Measures of a representation: how near two views of a clip are, how spread out clips are, in how many directions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def alignment(x: Float[Tensor, "clips width"], y: Float[Tensor, "clips width"]) -> float:
    """Mean squared distance of two views of the same clips, on the unit sphere: 0 where they are the same.

    Args:
        x: Features of one view of each clip, of any length.
        y: Features of another view.

    Source: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere" (ICML 2020), with the exponent 2.

    >>> alignment(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    2.0
    """
    return float((F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(dim=1).mean())


def uniformity(x: Float[Tensor, "clips width"]) -> float:
    """log of the mean of exp(-2 d^2) over pairs of different clips, on the unit sphere: 0 where all are the same.

    Evenly spread features of many dimensions have about -4, the least there is.

    Args:
        x: Features of at least two clips, of any length.

    Source: as `alignment`, with t = 2.

    >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    -8.0
    """
    distances = torch.pdist(F.normalize(x.double(), dim=1))
    return float((-2 * distances.square()).exp().mean().log())


def effective_rank(x: Float[Tensor, "clips width"]) -> float:
    """exp of the entropy of the normalised singular values of the centred features: directions in use.

    Args:
        x: Features of clips.

    Returns:
        From 1 (all clips on a line) to min(clips - 1, width); 0 where all clips are the same.

    Source: Roy and Vetterli, "The effective rank" (EUSIPCO 2007).

    >>> round(effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 3)
    2.0
    """
    values = torch.linalg.svdvals((x - x.mean(dim=0)).double())
    total = values.sum()
    if total <= 1e-9:
        return 0.0
    shares = values / total
    return float(torch.special.entr(shares).sum().exp())


def total_variation(p: Float[Tensor, "batch queue"], q: Float[Tensor, "batch queue"]) -> float:
    """Half the sum of |p - q|, mean over the batch: 0 for equal distributions, 1 for disjoint ones.

    Args:
        p: A distribution a row.
        q: The same.

    >>> total_variation(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
    0.5
    """
    return float((p - q).abs().sum(dim=1).mean() / 2)
