"""Ridge regression whose penalty is chosen by leave-one-out, in closed form and by one eigendecomposition.

scikit-learn's RidgeCV computes the same, but with more clips than features it multiplies all features by a matrix anew
for each penalty: hours on NTU-60 where the features are 10,000 wide. Here the features are rotated once, in blocks of
clips, so memory grows with their width alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

# Clips that are held in float64 at a time.
BLOCK = 2048
# A feature whose standard deviation is below this fraction of its mean does not vary but by rounding to float32.
ROUNDING = 1e-6
# A penalty of this fraction of the features' number is small beside the products of clips.
NEARLY_NONE = 0.01


@dataclass(frozen=True)
class LinearClassifier:
    """A linear classifier of standardised features."""

    mean: Float64[Tensor, " width"]
    """Of the training clips."""
    deviation: Float64[Tensor, " width"]
    """Standard deviation of the training clips; 1 where a feature does not vary."""
    weights: Float64[Tensor, "width classes"]
    intercepts: Float64[Tensor, " classes"]
    penalty: float
    """Strength of the penalty that was chosen."""

    def scores(self, features: Float[Tensor, "clips width"]) -> Float[Tensor, "clips classes"]:
        """A score of each class for each clip; the largest is that of the predicted class.

        Args:
            features: Of the clips.
        """
        blocks = (_standardised(block, self.mean, self.deviation) for block in features.split(BLOCK))
        return torch.cat([block @ self.weights + self.intercepts for block in blocks]).float()


@torch.no_grad()
def fit_ridge(
    features: Float[Tensor, "clips width"],
    labels: Int64[Tensor, " clips"],
    num_classes: int,
    penalties: Sequence[float],
) -> LinearClassifier:
    """Fit a ridge regression of targets 1 (a clip's class) and -1 (the others) with unpenalised intercepts.

    Args:
        features: Of at least two clips, of any scale: each is standardised by its mean and standard deviation.
        labels: Their classes.
        num_classes: Number of classes; those without a clip score -1.
        penalties: Strengths of the penalty, above 0. The one of the least squared leave-one-out error is used. A clip
            without another of its class does not count: left out it is unknown whatever the penalty. Where no clip
            counts, the largest penalty of at most a hundredth of the features' number is used.

    Returns:
        The classifier. The standardisation is that of all clips also where one is left out.

    Source: Rifkin and Lippert, Notes on Regularized Least Squares, 2007.
    """
    mean, deviation = _moments(features)
    targets = torch.full((len(labels), num_classes), -1.0, dtype=torch.float64, device=labels.device)
    targets[torch.arange(len(labels), device=labels.device), labels] = 1.0
    intercepts = targets.mean(dim=0)
    counted = torch.bincount(labels, minlength=num_classes)[labels] > 1
    if not counted.any():
        small = [penalty for penalty in penalties if penalty <= NEARLY_NONE * features.shape[1]]
        penalties = [max(small, default=min(penalties))]
    solve = _solve_in_clips if len(features) <= features.shape[1] else _solve_in_features
    weights, penalty = solve(features, mean, deviation, targets - intercepts, penalties, counted)
    return LinearClassifier(mean, deviation, weights, intercepts, penalty)


def _moments(features: Tensor) -> tuple[Float64[Tensor, " width"], Float64[Tensor, " width"]]:
    blocks = features.split(BLOCK)
    mean = torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / len(features)
    squares = torch.stack([(block.double() - mean).square().sum(dim=0) for block in blocks]).sum(dim=0)
    deviation = (squares / len(features)).sqrt()
    return mean, torch.where(deviation > ROUNDING * mean.abs(), deviation, 1.0)


def _standardised(block: Tensor, mean: Tensor, deviation: Tensor) -> Float64[Tensor, "clips width"]:
    return (block.double() - mean) / deviation


def _solve_in_clips(
    features: Tensor,
    mean: Tensor,
    deviation: Tensor,
    targets: Float64[Tensor, "clips classes"],
    penalties: Sequence[float],
    counted: Bool[Tensor, " clips"],
) -> tuple[Float64[Tensor, "width classes"], float]:
    """Weights by the eigenvectors of the clips' products, where there are no more clips than features."""
    x = _standardised(features, mean, deviation)
    values, vectors = torch.linalg.eigh(x @ x.T)
    values, rotated = values.clamp_min(0), vectors.T @ targets
    errors = []
    for penalty in penalties:
        kept = penalty / (values + penalty)
        residuals = vectors @ (kept[:, None] * rotated)
        # 1 less the clip's own share in its prediction; the intercept's share is 1 / clips.
        own = vectors.square() @ kept - 1 / len(x)
        errors.append(float((residuals / own[:, None])[counted].square().sum()))
    penalty = penalties[errors.index(min(errors))]
    return x.T @ (vectors @ (rotated / (values + penalty)[:, None])), penalty


def _solve_in_features(
    features: Tensor,
    mean: Tensor,
    deviation: Tensor,
    targets: Float64[Tensor, "clips classes"],
    penalties: Sequence[float],
    counted: Bool[Tensor, " clips"],
) -> tuple[Float64[Tensor, "width classes"], float]:
    """Weights by the eigenvectors of the features' covariance, where there are more clips than features."""
    pairs = list(zip(features.split(BLOCK), targets.split(BLOCK), counted.split(BLOCK), strict=True))
    width = features.shape[1]
    products = features.new_zeros((width, width), dtype=torch.float64)
    covariance = features.new_zeros((width, targets.shape[1]), dtype=torch.float64)
    for block, wanted, _ in pairs:
        x = _standardised(block, mean, deviation)
        products.addmm_(x.T, x)
        covariance.addmm_(x.T, wanted)
    values, vectors = torch.linalg.eigh(products)
    values, rotated = values.clamp_min(0), vectors.T @ covariance
    errors = [0.0] * len(penalties)
    for block, wanted, counts in pairs:
        x = _standardised(block, mean, deviation) @ vectors
        squares = x.square()
        for number, penalty in enumerate(penalties):
            residuals = wanted - x @ (rotated / (values + penalty)[:, None])
            own = 1 - 1 / len(features) - squares @ (1 / (values + penalty))
            errors[number] += float((residuals / own[:, None])[counts].square().sum())
    penalty = penalties[errors.index(min(errors))]
    return vectors @ (rotated / (values + penalty)[:, None]), penalty
