"""Clustering of the test clips, without any label, compared with their classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int64

from i2md.errors import InputError
from i2md.evaluation.clustering import agreement, kmeans, reduced, unit_vectors
from i2md.evaluation.metrics import prediction_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import ENSEMBLE, Outcome, Variant
from i2md.evaluation.settings import ClusterSettings


def cluster(data: ProbeData, settings: ClusterSettings) -> Iterator[Outcome]:
    """k-means on the normalised features of the test clips, with as many clusters as they have classes.

    Accuracy is that of the best assignment of clusters to classes, one to one; NMI and ARI need none. The ensemble is
    that of the streams side by side.

    Args:
        data: Features and labels of the test clips.
        settings: Number of seeds.

    Raises:
        InputError: The test clips have one class.
    """
    labels = data.test_labels.cpu().numpy()
    number = len(np.unique(labels))
    if number < 2:
        raise InputError("cluster: the test clips have one class; evaluate on clips of several")
    features = {name: each.cpu().numpy() for name, each in data.test_features.items()}
    rows = {name: reduced(each) for name, each in features.items()}
    if len(rows) > 1:
        rows[ENSEMBLE] = reduced(unit_vectors(features))
    for variant in _variants(settings):
        found = {name: kmeans(each, number, variant.draw or 0) for name, each in rows.items()}
        predictions = {
            name: torch.as_tensor(matched(labels, each, data.num_classes), device=data.device)
            for name, each in found.items()
        }
        agrees = {name: agreement(labels, each) for name, each in found.items()}
        metrics = {metric: {name: each[metric] for name, each in agrees.items()} for metric in ("NMI", "ARI")}
        yield Outcome(prediction_scores(predictions, data.test_labels, data.num_classes, metrics), variant)


def matched(
    labels: Int64[np.ndarray, " clips"], assigned: Int64[np.ndarray, " clips"], num_classes: int
) -> Int64[np.ndarray, " clips"]:
    """The class of each clip by its cluster, where clusters are assigned to classes so that most clips are right.

    Args:
        labels: Classes of clips.
        assigned: Their clusters, at most as many as classes.
        num_classes: Number of classes.

    >>> matched(np.array([2, 2, 0, 1]), np.array([0, 0, 1, 2]), 3).tolist()
    [2, 2, 0, 1]
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (assigned, labels), 1)
    return linear_sum_assignment(-counts)[1][assigned].astype(np.int64)


def _variants(settings: ClusterSettings) -> list[Variant]:
    return [Variant(draw=draw) for draw in range(settings.draws)]


CLUSTER = Protocol("cluster", (ClusterSettings,), cluster, variants=_variants, scale_free=True)
