"""Nearest-neighbour retrieval: each test clip takes the label of the most similar training clips."""

from __future__ import annotations

from jaxtyping import Int64
from torch import Tensor

from i2md.evaluation.features import Features
from i2md.evaluation.neighbours import nearest


def vote(labels: Int64[Tensor, "test k"]) -> Int64[Tensor, " test"]:
    """The label most common among those of the k nearest training clips, nearest first; of equals, the nearest one's.

    >>> import torch
    >>> vote(torch.tensor([[4, 2, 2], [4, 2, 1]])).tolist()
    [2, 4]
    """
    counts = (labels[:, :, None] == labels[:, None, :]).sum(dim=2)
    # The first largest count is the nearest neighbour's.
    return labels.gather(1, counts.argmax(dim=1, keepdim=True)).squeeze(1)


def knn_predictions(
    train: Features, test: Features, labels: Int64[Tensor, " train"], k: int = 1
) -> dict[str, Int64[Tensor, " test"]]:
    """Predicted labels by each stream, and by the average of the streams' similarities.

    Source: docs/method.md section 8 (k = 1, cosine; the official program uses the joint stream alone).
    """
    return {name: vote(labels[indices]) for name, indices in nearest(train, test, k).items()}
