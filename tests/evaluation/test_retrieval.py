"""Mean average precision and recall, against scikit-learn and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from i2md.evaluation import neighbours
from i2md.evaluation.neighbours import knn_predictions, retrieval_metrics


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    train = {name: torch.tensor(rng.normal(size=(40, 8)), dtype=torch.float32) for name in ("joint", "bone")}
    test = {name: torch.tensor(rng.normal(size=(30, 8)), dtype=torch.float32) for name in ("joint", "bone")}
    # Class 4 has test clips alone: nothing can be retrieved for them.
    return train, test, torch.tensor(rng.integers(0, 4, 40)), torch.tensor(rng.integers(0, 5, 30))


def test_as_scikit_learn_and_a_loop_find_them(clips, monkeypatch):
    train, test, labels, asked = clips
    monkeypatch.setattr(neighbours, "PAIRS", 7 * 40)
    found = retrieval_metrics(train, test, labels, asked, (1, 5))
    similarity = {name: cosine_similarity(test[name].double(), train[name].double()) for name in train}
    similarity["ensemble"] = (similarity["joint"] + similarity["bone"]) / 2
    for name, values in similarity.items():
        precisions, recalls = [], {1: [], 5: []}
        for row, label in zip(values, asked.tolist(), strict=True):
            relevant = labels.numpy() == label
            precisions.append(average_precision_score(relevant, row) if relevant.any() else 0.0)
            for k in recalls:
                recalls[k].append(relevant[np.argsort(-row)[:k]].any())
        assert found["mAP"][name] == pytest.approx(np.mean(precisions), abs=1e-6)
        for k, hits in recalls.items():
            assert found[f"recall@{k}"][name] == pytest.approx(np.mean(hits))


def test_recall_at_one_is_the_accuracy_of_the_nearest_neighbour(clips):
    train, test, labels, asked = clips
    recall = retrieval_metrics(train, test, labels, asked, (1,))["recall@1"]
    nearest = knn_predictions(train, test, labels)
    assert recall == pytest.approx({name: float((p == asked).float().mean()) for name, p in nearest.items()})
