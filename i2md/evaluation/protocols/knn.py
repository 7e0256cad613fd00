"""kNN evaluation and retrieval, on the frozen features of the evaluation crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from i2md.errors import InputError
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.neighbours import knn_predictions, retrieval_metrics
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.protocols.few_labels import all_and_few, labelled_clips, names_of_few
from i2md.evaluation.results import Outcome, Variant
from i2md.evaluation.settings import KnnSettings, RetrievalSettings


def knn(data: ProbeData, settings: KnnSettings) -> Iterator[Outcome]:
    """The vote of the k labelled training clips of the highest cosine similarity, for each k and choice of labels.

    Args:
        data: Features and labels of the training and test clips.
        settings: Each k, and the numbers of labels. Draws are those of "semi" and "few-shot".

    Raises:
        InputError: A k is larger than the number of labelled training clips.
    """
    for variant in _variants(settings):
        clips, k = labelled_clips(data, variant, settings.balanced), variant.k or 1
        if k > len(clips):
            raise InputError(
                f"knn.k {k}: there are {len(clips)} labelled training clips; choose a k of at most as many"
            )
        known = {name: features[clips] for name, features in data.train_features.items()}
        predictions = knn_predictions(known, data.test_features, data.train_labels[clips], k)
        scores = prediction_scores(predictions, data.test_labels, data.num_classes)
        yield Outcome(scores, variant, labelled_clips=names_of_few(data, variant, clips))


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
    return [replace(labels, k=k) for labels in all_and_few(settings) for k in settings.k]


KNN = Protocol("knn", (KnnSettings,), knn, variants=_variants, scale_free=True)
RETRIEVAL = Protocol("retrieval", (RetrievalSettings,), retrieval, scale_free=True)
