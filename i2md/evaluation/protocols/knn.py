"""kNN evaluation and retrieval, on the frozen features of the evaluation crops."""

from __future__ import annotations

from collections.abc import Iterator

from i2md.errors import InputError
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.neighbours import knn_predictions, retrieval_metrics
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome, Variant
from i2md.evaluation.settings import KnnSettings, RetrievalSettings


def knn(data: ProbeData, settings: KnnSettings) -> Iterator[Outcome]:
    """The vote of the k training clips of the highest cosine similarity, for each k.

    Args:
        data: Features and labels of the training and test clips.
        settings: Each k.

    Raises:
        InputError: A k is larger than the number of training clips.
    """
    for k in settings.k:
        if k > len(data.train):
            raise InputError(f"knn.k {k}: there are {len(data.train)} training clips; choose a k of at most as many")
        predictions = knn_predictions(data.train_features, data.test_features, data.train_labels, k)
        yield Outcome(prediction_scores(predictions, data.test_labels, data.num_classes), Variant(k=k))


def retrieval(data: ProbeData, settings: RetrievalSettings) -> Iterator[Outcome]:
    """Mean average precision and recall of the training clips ranked by cosine similarity.

    Args:
        data: Features and labels of the training and test clips.
        settings: Each k of recall@k.
    """
    known = data.train_features, data.test_features, data.train_labels
    metrics = retrieval_metrics(*known, data.test_labels, settings.recall)
    yield Outcome(prediction_scores(knn_predictions(*known), data.test_labels, data.num_classes, metrics))


def _variants(settings: KnnSettings) -> list[Variant]:
    return [Variant(k=k) for k in settings.k]


KNN = Protocol("knn", (KnnSettings,), knn, variants=_variants, scale_free=True)
RETRIEVAL = Protocol("retrieval", (RetrievalSettings,), retrieval, scale_free=True)
