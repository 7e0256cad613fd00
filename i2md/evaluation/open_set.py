"""Telling clips of no known class: a score of how well a clip is known, and how well it separates the two.

The scores are larger for clips of known classes: the largest probability, the energy of the classifier's scores, and
the cosine similarity to the nearest training clip. Which one is used is chosen on training clips alone, by leaving out
one class after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from i2md.evaluation.features import Features

KnownScore = Literal["probability", "energy", "nearest"]
KNOWN_SCORES: tuple[KnownScore, ...] = ("probability", "energy", "nearest")


def known_scores(
    name: KnownScore, logits: Float[Tensor, "clips classes"], features: Features, references: Features
) -> Float[Tensor, " clips"]:
    """How well clips are known, by one of the scores.

    Args:
        name: probability (the largest one), energy (log of the summed exponentials of the logits), or nearest (cosine
            similarity to the nearest training clip, mean of the streams).
        logits: Of each class for each clip, scaled by the temperature.
        features: Of the clips, by stream.
        references: Of the training clips, by the same streams, of length 1 (`unit_features`).

    Source: Hendrycks and Gimpel (ICLR 2017); Liu et al., Energy-based Out-of-distribution Detection (NeurIPS 2020);
    Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors (ICML 2022).
    """
    if name == "probability":
        return logits.softmax(dim=1).max(dim=1).values
    if name == "energy":
        return logits.logsumexp(dim=1)
    return nearest_similarity(features, references)


def nearest_similarity(features: Features, references: Features) -> Float[Tensor, " clips"]:
    """Cosine similarity to the nearest training clip, mean of the streams: the same whatever clips are beside one.

    A product in float32 tells those that may be the nearest, by a bound on its rounding; they are compared in float64.

    Args:
        features: Of the clips, by stream.
        references: Of the training clips, by the same streams, of length 1.
    """
    units = unit_features({s: features[s] for s in references})
    rough = torch.stack([units[s] @ references[s].T for s in references]).mean(dim=0)
    bound = 4 * max(value.shape[1] for value in units.values()) * torch.finfo(rough.dtype).eps
    clips, near = (rough >= rough.max(dim=1, keepdim=True).values - bound).nonzero(as_tuple=True)
    exact = sum((units[s][clips].double() * references[s][near].double()).sum(dim=1) for s in references)
    found = rough.new_full((len(rough),), -2.0, dtype=torch.float64)
    assert isinstance(exact, Tensor)
    return found.scatter_reduce(0, clips, exact / len(references), "amax").to(rough.dtype)


def unit_features(features: Features) -> Features:
    """Features of length 1.

    Args:
        features: By stream.
    """
    return {name: F.normalize(value, dim=1) for name, value in features.items()}


def auroc(known: Float64[np.ndarray, " known"], unknown: Float64[np.ndarray, " unknown"]) -> float:
    """Probability that a known clip's score is larger than an unknown one's; ties count half.

    Args:
        known: Scores of clips of known classes.
        unknown: Scores of the others.

    >>> auroc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.875
    """
    from sklearn.metrics import roc_auc_score

    is_known = np.repeat([1, 0], [len(known), len(unknown)])
    return float(roc_auc_score(is_known, np.concatenate([known, unknown])))


def false_alarms_at_recall(
    known: Float64[np.ndarray, " known"], unknown: Float64[np.ndarray, " unknown"], recall: float = 0.95
) -> float:
    """Share of the known clips that are rejected where `recall` of the unknown ones are.

    Args:
        known: Scores of clips of known classes.
        unknown: Scores of the others.
        recall: Share of the unknown clips that must be rejected.

    >>> false_alarms_at_recall(np.array([0.4, 0.8, 0.9, 1.0]), np.array([0.1, 0.5]))
    0.25
    """
    threshold = np.quantile(unknown, recall, method="higher")
    return float((known <= threshold).mean())


# Called with which clips to fit to and which to score: logits (clips, classes) of the latter, and the features of both.
FitAndScore = Callable[[Bool[Tensor, " clips"], Bool[Tensor, " clips"]], tuple[Tensor, Features, Features]]


def left_out_classes(
    labels: Int64[Tensor, " clips"],
    folds: Sequence[Bool[Tensor, " clips"]],
    fit_and_score: FitAndScore,
    classes: Sequence[int],
    background: Bool[Tensor, " clips"] | None = None,
) -> dict[KnownScore, dict[int, float]]:
    """AUROC of each score where one class after another is unknown.

    A class is left out of the training clips together with one fold; the fold's clips of the other classes are the
    known ones, all clips of the class the unknown ones.

    Args:
        labels: Classes of the clips.
        folds: Which clips are held out together.
        fit_and_score: Fits the classifier to some clips and scores others.
        classes: Those to leave out.
        background: Clips without an action, which are fitted to and not scored.

    Returns:
        AUROC by score and class; empty where no class can be left out.
    """
    found: dict[KnownScore, dict[int, float]] = {name: {} for name in KNOWN_SCORES}
    for number, label in enumerate(classes):
        unknown, fold = labels == label, folds[number % len(folds)]
        kept = ~unknown & ~fold
        scored = unknown | (fold if background is None else fold & ~background)
        if len(labels[kept].unique()) < 2 or not (scored & ~unknown).any():
            continue
        logits, features, references = fit_and_score(kept, scored)
        for name in KNOWN_SCORES:
            values = known_scores(name, logits, features, unit_features(references)).double().cpu().numpy()
            is_unknown = unknown[scored].cpu().numpy()
            found[name][label] = auroc(values[~is_unknown], values[is_unknown])
    return {name: values for name, values in found.items() if values}


def best_score(rocs: Mapping[KnownScore, float]) -> KnownScore:
    """The score with the largest AUROC; the similarity to the nearest clip where none was measured.

    Args:
        rocs: AUROC by score.

    >>> best_score({"probability": 0.8, "energy": 0.9}), best_score({})
    ('energy', 'nearest')
    """
    return max(rocs, key=lambda name: rocs[name]) if rocs else "nearest"
