"""Persons of a clip one by one: as rows of a larger batch, and their features as those of the clip."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Clips = Float[Tensor, "batch frames joints channels persons"]


def split_persons(
    x: Clips,
) -> tuple[Float[Tensor, "batch_persons frames joints channels"], Bool[Tensor, "batch persons"]]:
    """The persons of a batch of clips as rows, those of a clip one after another, and which of them are present.

    Args:
        x: Clips; a person that a clip lacks is all zeros.

    Returns:
        The rows, contiguous; and whether each person is present. A clip of zeros alone counts all its persons.
    """
    present = (x != 0).flatten(1, 3).any(dim=1)
    present = present | ~present.any(dim=1, keepdim=True)
    return x.permute(0, 4, 1, 2, 3).flatten(0, 1).contiguous(), present


def pool_persons(
    features: Float[Tensor, "batch_persons width"],
    present: Bool[Tensor, "batch persons"],
    how: Literal["max", "mean"],
) -> Float[Tensor, "batch width"]:
    """Features of clips: the maximum or mean of those of the persons who are present.

    Args:
        features: Of each person, in the order of `split_persons`.
        present: What `split_persons` returned.
        how: Maximum or mean.

    >>> both = torch.tensor([[1.0], [3.0], [-2.0], [5.0]])
    >>> pool_persons(both, torch.tensor([[True, True], [True, False]]), "mean").tolist()
    [[2.0], [-2.0]]
    """
    of_clips = features.unflatten(0, tuple(present.shape))
    if how == "max":
        return of_clips.masked_fill(~present[..., None], -torch.inf).amax(dim=1)
    weights = present / present.sum(dim=1, keepdim=True)
    return (of_clips * weights[..., None]).sum(dim=1)
