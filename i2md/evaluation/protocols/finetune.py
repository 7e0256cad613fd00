"""Fine-tuning on all training labels, and the same from randomly initialised encoders."""

from __future__ import annotations

from collections.abc import Iterator

from i2md.evaluation.finetuning import finetuning_scores
from i2md.evaluation.probe_data import ProbeData
from i2md.evaluation.protocols import Protocol
from i2md.evaluation.results import Outcome
from i2md.evaluation.settings import FinetuneSettings


def finetune(data: ProbeData, settings: FinetuneSettings) -> Iterator[Outcome]:
    """Encoder and linear layer of each stream trained together.

    Args:
        data: Encoders, training clips and test clips.
        settings: How they are trained.
    """
    scores = finetuning_scores(data, data.encoders, settings)
    yield Outcome(scores, learning_rate=settings.learning_rate)


def supervised(data: ProbeData, settings: FinetuneSettings) -> Iterator[Outcome]:
    """Supervised training: the same from the random weights that the run's pretraining started from.

    Args:
        data: Training clips and test clips.
        settings: How encoders and linear layers are trained.
    """
    scores = finetuning_scores(data, data.untrained_encoders(), settings, title="supervised")
    yield Outcome(scores, learning_rate=settings.learning_rate)


FINETUNE = Protocol("finetune", (FinetuneSettings,), finetune, trains_encoders=True)
SUPERVISED = Protocol("supervised", (FinetuneSettings,), supervised, from_scratch=True)
