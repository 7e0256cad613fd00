"""A protocol: each test clip gets the class whose mean training features are the most similar.

    i2md evaluate RUN CLIPS --protocol nearest-mean --plugins '{"nearest-mean": {"similarity": "dot"}}'

It is registered in pyproject.toml of its package:

    [project.entry-points."i2md.protocols"]
    nearest-mean = "protocol:NEAREST_MEAN"
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import normalize

from i2md.evaluation.features import with_ensemble
from i2md.evaluation.metrics import logit_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome


@dataclass(frozen=True)
class NearestMeanSettings:
    similarity: Literal["cosine", "dot"] = "cosine"


def nearest_mean(data: ProbeData, settings: NearestMeanSettings):
    logits = {}
    for stream, train in data.train_features.items():  # (clips, width)
        test, labels = data.test_features[stream], data.train_labels
        means = torch.stack([train[labels == each].mean(dim=0) for each in range(data.num_classes)])
        if settings.similarity == "cosine":
            test, means = normalize(test), normalize(means)
        logits[stream] = test @ means.T
    yield Outcome(logit_scores(with_ensemble(logits), data.test_labels, data.num_classes))


NEAREST_MEAN = Protocol("nearest-mean", (NearestMeanSettings,), nearest_mean)
