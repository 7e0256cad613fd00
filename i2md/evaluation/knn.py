"""Nearest-neighbour retrieval: each test clip takes the label of the most similar training clips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.evaluation.features import Features, ensemble_name


def cosine(test: Float[Tensor, "test width"], train: Float[Tensor, "train width"]) -> Float[Tensor, "test train"]:
    """Cosine similarity of each test clip with each training clip."""
    return F.normalize(test, dim=1) @ F.normalize(train, dim=1).T


def vote(
    similarity: Float[Tensor, "test train"], labels: Int64[Tensor, " train"], k: int = 1
) -> Int64[Tensor, " test"]:
    """The label most common among the k most similar training clips; of equals, the nearest one's.

    >>> vote(torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([4, 2, 2]), k=3).tolist()
    [2]
    """
    nearest = labels[similarity.topk(k, dim=1).indices]
    counts = (nearest[:, :, None] == nearest[:, None, :]).sum(dim=2)
    # topk sorts by similarity, so the first largest count is the nearest neighbour's.
    return nearest.gather(1, counts.argmax(dim=1, keepdim=True)).squeeze(1)


def knn_predictions(
    train: Features, test: Features, labels: Int64[Tensor, " train"], k: int = 1
) -> dict[str, Int64[Tensor, " test"]]:
    """Predicted labels by each stream, and by the average of the streams' similarities.

    Source: docs/method.md section 8 (k = 1, cosine; the official program uses the joint stream alone).
    """
    similarity = {name: cosine(test[name], train[name]) for name in train}
    if len(similarity) > 1:
        similarity[ensemble_name(train)] = torch.stack(list(similarity.values())).mean(dim=0)
    return {name: vote(value, labels, k) for name, value in similarity.items()}
