"""kNN evaluation during pretraining: for monitoring only, no choice depends on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.evaluation.features import Encoders, clip_features
from i2md.evaluation.neighbours import knn_predictions
from i2md.pretraining.models import Model

MONITORED_CLIPS = 2000


def knn_monitor(clips: Clips, split: str | None, device: torch.device) -> Callable[[Model], Mapping[str, float]] | None:
    """Make a function from the model to its kNN accuracy (k = 1) by stream.

    Args:
        clips: Of the run; at most 2,000 training clips and 2,000 test clips are used, spread evenly.
        split: Name of the split.
        device: Where the clips are kept.

    Returns:
        A function from the model to {"knn/joint": accuracy, ..., "knn/ensemble": accuracy}; None where the clips have
        no such split, or one of its parts has no labels.
    """
    if split is None or split not in clips.dataset.splits or not {"train", "test"} <= set(clips.dataset.splits[split]):
        return None
    parts = {}
    for part in ("train", "test"):
        labelled = clips.part(split, part)
        labelled = labelled.select(np.flatnonzero(labelled.labels >= 0))
        if not len(labelled):
            return None
        parts[part] = labelled.select(
            np.unique(np.linspace(0, len(labelled) - 1, min(len(labelled), MONITORED_CLIPS)).astype(int))
        )
    train, test = pack(parts["train"], device), pack(parts["test"], device)
    train_labels = torch.as_tensor(np.array(parts["train"].labels), device=device)
    test_labels = torch.as_tensor(np.array(parts["test"].labels), device=device)

    def monitor(model: Model) -> dict[str, float]:
        encoders: Encoders = {name: branch.encoder for name, branch in model.query.items()}
        frames, persons = model.settings.views.frames, model.persons
        train_features = clip_features(encoders, model.layout, train, frames, persons)
        test_features = clip_features(encoders, model.layout, test, frames, persons)
        predictions = knn_predictions(train_features, test_features, train_labels)
        return {f"knn/{n}": float((p == test_labels).float().mean()) for n, p in predictions.items()}

    return monitor
