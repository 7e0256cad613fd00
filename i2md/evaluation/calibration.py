"""Calibration of a classifier: probabilities by a temperature, and the expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

# Probabilities are compared with accuracies in so many bins of equal width.
BINS = 15
# Temperatures that are tried before the best one's neighbourhood is searched.
_TEMPERATURES = np.geomspace(1e-3, 1e2, 61)


def fit_temperature(scores: Float[Tensor, "clips classes"], labels: Int64[Tensor, " clips"]) -> float:
    """The temperature T at which softmax(scores / T) has the least cross-entropy.

    Args:
        scores: Of clips that the classifier was not fitted to.
        labels: Their classes.

    Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
    """
    from scipy.optimize import minimize_scalar

    values = scores.double()

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(values / float(np.exp(log_temperature)), labels))

    grid = np.log(_TEMPERATURES)
    best = int(np.argmin([loss(each) for each in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def calibration_error(
    probabilities: Float[Tensor, "clips classes"], labels: Int64[Tensor, " clips"], bins: int = BINS
) -> float:
    """Expected calibration error: mean difference of confidence and accuracy over bins of confidence, by clips.

    Args:
        probabilities: Of each class for each clip.
        labels: The clips' classes.
        bins: Number of bins of equal width.

    Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning (AAAI 2015).

    >>> calibration_error(torch.tensor([[0.75, 0.25], [0.25, 0.75]]), torch.tensor([0, 0]))
    0.25
    """
    confidence, predicted = probabilities.double().max(dim=1)
    right = (predicted == labels).double()
    bin_of = (confidence * bins).long().clamp_max(bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, bin_of.cpu(), (confidence - right).cpu())
    return float(gaps.abs().sum() / len(labels))


def held_out_calibration(
    scores: Float[Tensor, "clips classes"], labels: Int64[Tensor, " clips"], folds: Sequence[Bool[Tensor, " clips"]]
) -> tuple[float, float]:
    """Expected calibration error before and after scaling by a temperature that is fitted on the other folds.

    Args:
        scores: Of each clip while its fold was held out.
        labels: The clips' classes.
        folds: Which clips were held out together.
    """
    scaled = torch.zeros_like(scores, dtype=torch.float64)
    for fold in folds:
        scaled[fold] = scores[fold].double() / fit_temperature(scores[~fold], labels[~fold])
    return calibration_error(scores.softmax(dim=1), labels), calibration_error(scaled.softmax(dim=1), labels)
