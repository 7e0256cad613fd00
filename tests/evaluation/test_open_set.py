"""Telling unknown classes: ranks against all pairs, and classes that lie far apart."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from i2md.evaluation.open_set import (
    KNOWN_SCORES,
    auroc,
    best_score,
    false_alarms_at_recall,
    known_scores,
    left_out_classes,
    nearest_similarity,
    unit_features,
)

scores = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12).map(np.array)


@given(scores, scores)
def test_auroc_counts_pairs(known: np.ndarray, unknown: np.ndarray) -> None:
    pairs = [(k > u) + 0.5 * (k == u) for k in known for u in unknown]
    assert np.isclose(auroc(known, unknown), np.mean(pairs))
    assert np.isclose(auroc(known, unknown), roc_auc_score([1] * len(known) + [0] * len(unknown), [*known, *unknown]))


@given(scores, scores)
def test_false_alarms_are_at_the_lowest_threshold_of_the_recall(known: np.ndarray, unknown: np.ndarray) -> None:
    enough = [t for t in np.unique(unknown) if (unknown <= t).mean() >= 0.95]
    assert false_alarms_at_recall(known, unknown) == (known <= min(enough)).mean()


def test_scores_are_larger_for_clips_like_the_training_clips() -> None:
    logits = torch.tensor([[5.0, 0.0], [0.1, 0.0]])
    features, references = {"joint": torch.eye(3)[[0, 2]]}, {"joint": torch.eye(3)[:2]}
    for name in KNOWN_SCORES:
        known, unknown = known_scores(name, logits, features, references).tolist()
        assert known > unknown


def test_similarity_to_the_nearest_is_that_of_float64_and_of_a_clip_alone() -> None:
    draws = torch.Generator().manual_seed(0)
    features = {name: torch.randn(40, width, generator=draws) for name, width in (("joint", 33), ("bone", 257))}
    # References close to one another: in float32 several are the nearest.
    others = {s: x[torch.arange(200) % 40] + 1e-4 * torch.randn(200, x.shape[1]) for s, x in features.items()}
    references = unit_features(others)
    found = nearest_similarity(features, references)
    units = {s: F.normalize(x.double(), dim=1) for s, x in features.items()}
    exact = sum(units[s] @ x.double().T for s, x in references.items()) / 2
    np.testing.assert_allclose(found, exact.max(dim=1).values, rtol=3e-7)
    alone = [nearest_similarity({s: x[i : i + 1] for s, x in features.items()}, references) for i in range(40)]
    assert torch.equal(found, torch.cat(alone))


def test_each_class_is_scored_by_a_classifier_that_never_saw_it() -> None:
    labels = torch.arange(40) % 4
    folds = [torch.arange(40) // 4 % 2 == part for part in range(2)]
    means = torch.eye(4) * 10
    features = {"joint": means[labels]}

    def nearest_mean(kept: torch.Tensor, scored: torch.Tensor) -> tuple:
        present = labels[kept].unique()
        assert len(present) == 3
        of_fold = next(fold for fold in folds if not (fold & kept).any())
        assert bool((scored == (of_fold | ~torch.isin(labels, present))).all())
        kept_features, own = ({"joint": features["joint"][part]} for part in (kept, scored))
        return own["joint"] @ means[present].T / 10, own, kept_features

    rocs = left_out_classes(labels, folds, nearest_mean, range(4))
    assert rocs == {name: dict.fromkeys(range(4), 1.0) for name in KNOWN_SCORES}
    assert best_score({"probability": 1.0, "energy": 0.5}) == "probability"
