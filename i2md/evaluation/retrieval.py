"""Retrieval: all training clips ranked by their likeness to a test clip; how early those of its class come."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from i2md.evaluation.features import Features, ensemble_name

# Similarities held at a time: 16 MB a stream, and some times that for their ranking.
PAIRS = 2**22


@torch.no_grad()
def retrieval_measures(
    train: Features,
    test: Features,
    train_labels: Int64[Tensor, " train"],
    test_labels: Int64[Tensor, " test"],
    recall: Sequence[int],
) -> dict[str, dict[str, float]]:
    """{"mAP": ..., "recall@5": ...}, each by stream and by the streams' average cosine similarity.

    Recall at k is the share of test clips with one of their class among the k nearest. Average precision is that of
    the whole ranking; a test clip whose class no training clip has counts as 0 in both.
    """
    units = {stream: F.normalize(features, dim=1) for stream, features in train.items()}
    found: dict[str, list[Tensor]] = {}
    for rows in torch.arange(len(test_labels), device=test_labels.device).split(max(1, PAIRS // len(train_labels))):
        similarity = {stream: F.normalize(test[stream][rows], dim=1) @ units[stream].T for stream in train}
        if len(similarity) > 1:
            similarity[ensemble_name(train)] = torch.stack(list(similarity.values())).mean(dim=0)
        for name, values in similarity.items():
            order = values.argsort(dim=1, descending=True, stable=True)
            hits = train_labels[order] == test_labels[rows, None]
            found.setdefault(name, []).append(_measures(hits, recall))
    means = {name: torch.cat(parts).mean(dim=0).tolist() for name, parts in found.items()}
    titles = ["mAP", *(f"recall@{k}" for k in recall)]
    return {title: {name: values[column] for name, values in means.items()} for column, title in enumerate(titles)}


def _measures(hits: Bool[Tensor, "test train"], recall: Sequence[int]) -> Float[Tensor, "test measures"]:
    """Average precision, and whether there is a hit among the first k, of each row."""
    found = [average_precision(hits), *(hits[:, :k].any(dim=1).double() for k in recall)]
    return torch.stack(found, dim=1)


def average_precision(hits: Bool[Tensor, "test train"]) -> Float[Tensor, " test"]:
    """Mean, over the hits of a ranking, of the share of hits up to there; 0 where there is none.

    >>> average_precision(torch.tensor([[True, False, True], [False, False, False]])).tolist()
    [0.8333333333333333, 0.0]
    """
    places = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(dim=1) / places.double()
    return (precision * hits).sum(dim=1) / hits.sum(dim=1).clamp_min(1)
