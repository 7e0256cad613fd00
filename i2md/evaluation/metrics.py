"""What predictions are worth: top-1, top-5, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

Confusion = Int64[np.ndarray, "classes classes"]


@dataclass(frozen=True)
class Judged:
    """Predictions of the test clips, and their measures, by stream and for the ensemble."""

    predictions: dict[str, Int64[np.ndarray, " test"]]
    accuracy: dict[str, float]
    confusion: dict[str, Confusion]
    """Rows are true classes, columns what their clips were taken for."""
    measures: dict[str, dict[str, float]]
    """Further measures by name, such as "top-5"."""


def judge_predictions(
    predictions: Mapping[str, Int64[Tensor, " test"]],
    labels: Int64[Tensor, " test"],
    classes: int,
    measures: dict[str, dict[str, float]] | None = None,
) -> Judged:
    """Measures of predicted classes."""
    truth = labels.cpu().numpy()
    predicted = {name: value.cpu().numpy() for name, value in predictions.items()}
    return Judged(
        predicted,
        {name: float((value == truth).mean()) for name, value in predicted.items()},
        {name: count_pairs(truth, value, classes) for name, value in predicted.items()},
        measures or {},
    )


def judge_scores(
    scores: Mapping[str, Float[Tensor, "test classes"]], labels: Int64[Tensor, " test"], classes: int
) -> Judged:
    """Measures of scores; top-5 where there are more classes than five."""
    predictions = {name: value.argmax(dim=1) for name, value in scores.items()}
    top5 = {"top-5": {name: top_accuracy(value, labels, 5) for name, value in scores.items()}} if classes > 5 else {}
    return judge_predictions(predictions, labels, classes, top5)


def top_accuracy(scores: Float[Tensor, "test classes"], labels: Int64[Tensor, " test"], k: int) -> float:
    """Share of clips whose class is among the k highest scores.

    >>> import torch
    >>> top_accuracy(torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2]), k=2)
    0.5
    """
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return float((best == labels[:, None]).any(dim=1).float().mean())


def count_pairs(labels: Int[np.ndarray, " test"], predictions: Int[np.ndarray, " test"], classes: int) -> Confusion:
    """How many clips of each class were taken for each.

    >>> count_pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def class_accuracies(confusion: Confusion) -> list[float | None]:
    """Accuracy of each class; None for one without test clips."""
    clips = confusion.sum(axis=1)
    right = np.diag(confusion)
    return [float(r / n) if n else None for r, n in zip(right, clips, strict=True)]
