"""Top-1 and top-5 accuracy, accuracy by class and the confusion matrix, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, recall_score, top_k_accuracy_score

from i2md.evaluation.metrics import BestAccuracy, logit_scores


@pytest.mark.parametrize("classes", [5, 9])
def test_scores_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    # The last class has no test clip.
    logits, labels = rng.normal(size=(80, classes)), rng.integers(0, classes - 1, 80)
    scores = logit_scores({"joint": torch.tensor(logits)}, torch.tensor(labels), classes)["joint"]
    predicted = logits.argmax(axis=1)
    known = list(range(classes))
    assert scores.predictions == predicted.tolist()
    assert scores.accuracy == pytest.approx((predicted == labels).mean())
    assert scores.confusion == confusion_matrix(labels, predicted, labels=known).tolist()
    assert scores.class_accuracy[-1] is None
    expected = recall_score(labels, predicted, labels=known[:-1], average=None)
    assert scores.class_accuracy[:-1] == pytest.approx(expected)
    if classes == 5:
        assert scores.metrics == {}
    else:
        top5 = top_k_accuracy_score(labels, logits, k=5, labels=known)
        assert scores.metrics["top-5"] == pytest.approx(top5)


def test_best_accuracy_is_the_highest_of_all_epochs():
    best = BestAccuracy(torch.tensor([0, 1]))
    right, half = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    for logits in (half, right, half):
        best.update({"joint": logits, "bone": half})
    assert best.by_stream == {"joint": 1.0, "bone": 0.5}
