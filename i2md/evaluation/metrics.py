"""Metrics of predictions on the test clips: top-1 and top-5 accuracy, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from i2md.evaluation.results import Scores

# Subjects or recordings that a bootstrap over them needs.
MIN_GROUPS = 5
_RESAMPLES = 2000


def prediction_scores(
    predictions: Mapping[str, Int64[Tensor, " test"]],
    labels: Int64[Tensor, " test"],
    num_classes: int,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    best_test_accuracy: Mapping[str, float] | None = None,
) -> dict[str, Scores]:
    """Scores of predicted classes.

    Args:
        predictions: Predicted class of each test clip, by stream and for the ensemble.
        labels: True class of each test clip.
        num_classes: Number of classes; both axes of the confusion matrix.
        metrics: Further metrics by name, then by stream.
        best_test_accuracy: By stream, where a classifier was tested during its training.

    Returns:
        Scores by the same names as `predictions`.
    """
    truth = labels.cpu().numpy()
    found = {}
    for name, value in predictions.items():
        predicted = value.cpu().numpy()
        found[name] = Scores(
            accuracy=float((predicted == truth).mean()),
            best_test_accuracy=None if best_test_accuracy is None else best_test_accuracy[name],
            metrics={metric: by_stream[name] for metric, by_stream in (metrics or {}).items()},
            confusion=confusion_matrix(truth, predicted, num_classes).tolist(),
            predictions=predicted.tolist(),
        )
    return found


def accuracy_interval(
    right: Bool[np.ndarray, " clips"], groups: Int64[np.ndarray, " clips"]
) -> tuple[float, float, str]:
    """95 % confidence interval of an accuracy.

    Args:
        right: Which clips are classified correctly.
        groups: Subject or recording of each clip, whose clips are alike.

    Returns:
        Lower and upper bound, and the method: "bootstrap" over groups where there are at least MIN_GROUPS of several
        clips, else "wilson", which takes clips for independent.

    >>> low, high, method = accuracy_interval(np.array([True] * 9 + [False]), np.arange(10))
    >>> round(low, 3), round(high, 3), method
    (0.596, 0.982, 'wilson')
    """
    _, of = np.unique(groups, return_inverse=True)
    sizes = np.bincount(of)
    if len(sizes) >= MIN_GROUPS and len(sizes) < len(right):
        hits = np.bincount(of, weights=right)
        drawn = np.random.default_rng(0).integers(len(sizes), size=(_RESAMPLES, len(sizes)))
        low, high = np.quantile(hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
        return float(low), float(high), "bootstrap"
    from scipy.stats import binomtest

    wilson = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return float(wilson.low), float(wilson.high), "wilson"


def confusion_matrix(
    truth: Int64[np.ndarray, " clips"], predicted: Int64[np.ndarray, " clips"], num_classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """Count the clips of each class (rows) by their predicted class (columns).

    scikit-learn's warns of data of a single class even where the classes are given.

    Args:
        truth: True class of each clip.
        predicted: Its predicted class.
        num_classes: Number of classes.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def logit_scores(
    logits: Mapping[str, Float[Tensor, "test classes"]],
    labels: Int64[Tensor, " test"],
    num_classes: int,
    best_test_accuracy: Mapping[str, float] | None = None,
) -> dict[str, Scores]:
    """Scores of a classifier's logits: those of the largest one, and top-5 accuracy where there are more classes.

    Args:
        logits: By stream and for the ensemble.
        labels: True class of each test clip.
        num_classes: Number of classes.
        best_test_accuracy: By stream, where the classifier was tested during its training.
    """
    predictions = {name: value.argmax(dim=1) for name, value in logits.items()}
    metrics = {}
    if num_classes > 5:
        metrics["top-5"] = {name: top_accuracy(value, labels, 5) for name, value in logits.items()}
    return prediction_scores(predictions, labels, num_classes, metrics, best_test_accuracy)


def top_accuracy(logits: Float[Tensor, "test classes"], labels: Int64[Tensor, " test"], k: int) -> float:
    """Fraction of the clips whose class is among the k largest logits.

    >>> import torch
    >>> top_accuracy(torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([1, 2]), k=2)
    0.5
    """
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return float((best == labels[:, None]).any(dim=1).float().mean())


class BestAccuracy:
    """The best top-1 accuracy over the epochs that were tested, by stream and for the ensemble."""

    def __init__(self, labels: Int64[Tensor, " test"]) -> None:
        self.by_stream: dict[str, float] = {}
        self._labels = labels

    def update(self, logits: Mapping[str, Float[Tensor, "test classes"]]) -> None:
        """Take in the logits after another epoch."""
        for name, value in logits.items():
            self.by_stream[name] = max(self.by_stream.get(name, 0.0), top_accuracy(value, self._labels, 1))
