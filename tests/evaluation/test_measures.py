"""Top-1, top-5 and confusion, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, recall_score, top_k_accuracy_score

from i2md.evaluation.metrics import class_accuracies, judge_scores


@pytest.mark.parametrize("classes", [5, 9])
def test_measures_are_scikit_learns(classes):
    rng = np.random.default_rng(classes)
    scores, labels = rng.normal(size=(80, classes)), rng.integers(0, classes - 1, 80)
    judged = judge_scores({"joint": torch.tensor(scores)}, torch.tensor(labels), classes)
    predicted = scores.argmax(axis=1)
    known = list(range(classes))
    assert judged.predictions["joint"].tolist() == predicted.tolist()
    assert judged.accuracy["joint"] == pytest.approx((predicted == labels).mean())
    assert judged.confusion["joint"].tolist() == confusion_matrix(labels, predicted, labels=known).tolist()
    by_class = class_accuracies(judged.confusion["joint"])
    assert by_class[-1] is None
    assert by_class[:-1] == pytest.approx(recall_score(labels, predicted, labels=known[:-1], average=None))
    if classes == 5:
        assert judged.measures == {}
    else:
        top5 = top_k_accuracy_score(labels, scores, k=5, labels=known)
        assert judged.measures["top-5"]["joint"] == pytest.approx(top5)
