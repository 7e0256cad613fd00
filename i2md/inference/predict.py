"""`i2md predict`: the files, the page and the counts of predictions for clips or recordings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.conversion import in_layout
from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.data.windows import Windows
from i2md.evaluation.fit import check_clips
from i2md.evaluation.segments import segment_scores
from i2md.evaluation.smoothing import Smoothing
from i2md.evaluation.timeline import frame_labels
from i2md.inference.classifier import Classifier
from i2md.inference.prediction_files import (
    write_clips_page,
    write_predictions,
    write_timelines,
    write_timelines_page,
)
from i2md.inference.predictions import Evidence, Prediction, Timeline, true_intervals
from i2md.runtime.progress import progress

# Clips that are predicted at a time, so that memory does not grow with their number.
PART = 1024


def predictions_of(classifier: Classifier, clips: Clips) -> list[Prediction]:
    """Predict any number of clips.

    Args:
        classifier: The classifier.
        clips: Clips of its run's preparation; those of another layout are converted.
    """
    model = classifier.model
    check_clips(model.config, clips, model.run)
    found: list[Evidence] = []
    with progress(len(clips), "predict", "clip", show=len(clips) > PART) as bar:
        for start in range(0, len(clips), PART):
            part = clips.span(start, min(start + PART, len(clips)))
            converted = in_layout(part.in_memory(), model.config.layout, model.config.preparation)
            found.append(classifier.evidence(pack(converted, model.device)))
            bar.update(len(part))
    return classifier.decide(Evidence(*(np.concatenate(each) for each in zip(*found, strict=True))))


def predict_clips(classifier: Classifier, clips: Clips, out: Path, page: Path | None) -> dict[str, Any]:
    """Predict clips and write the predictions.

    Args:
        classifier: The classifier.
        clips: Clips of its run's preparation; those of another layout are converted.
        out: A .csv or .json file.
        page: HTML page to write, too.

    Returns:
        Counts; accuracy where the clips have labels of the classifier's classes.
    """
    predictions = predictions_of(classifier, clips)
    own = clips.dataset.class_names
    labelled = [i for i, label in enumerate(clips.labels) if label >= 0 and own[label] in classifier.class_names]
    right = sum(predictions[i].label == own[clips.labels[i]] for i in labelled)
    kept = [each for each in predictions if not each.rejected]
    return {
        "clips": len(clips),
        "predicted": len(kept),
        "classes": dict(Counter(each.label for each in kept).most_common()),
        "rejected": len(predictions) - len(kept),
        **({"labelled": len(labelled), "accuracy": right / len(labelled)} if labelled else {}),
        "files": [str(path) for path in write_predictions(out, clips, predictions)],
        **({} if page is None else {"page": str(write_clips_page(page, clips, predictions, classifier))}),
    }


def predict_recordings(
    classifier: Classifier, recordings: Clips, out: Path, windows: Windows, smooth: Smoothing | None, page: Path | None
) -> dict[str, Any]:
    """Predict recordings over time and write the predictions.

    Args:
        classifier: The classifier.
        recordings: Whole recordings, of its run's preparation or as recorded.
        out: A .csv, .json or .eaf file.
        windows: Length and stride.
        smooth: How predictions are smoothed.
        page: HTML page to write, too.

    Returns:
        Counts; metrics of segmentation where the recordings have labelled intervals.
    """
    predicted, timelines = classifier.timelines(recordings, windows, smooth), []
    with progress(len(recordings), "predict", "recording", show=len(recordings) > 1) as bar:
        for timeline in predicted:
            timelines.append(timeline)
            bar.update(1)
    intervals = [each for timeline in timelines for each in timeline.intervals]
    kept = [each for each in intervals if not each.rejected]
    return {
        "recordings": len(recordings),
        "windows": str(windows),
        "smooth": smooth or ("hmm" if classifier.info.windows else "median"),
        "predicted": len(kept),
        "classes": dict(Counter(each.label for each in kept).most_common()),
        "rejected": len(intervals) - len(kept),
        "empty_windows": sum(each.empty_windows for each in timelines),
        **_scores(classifier, recordings, timelines),
        "files": [str(path) for path in write_timelines(out, timelines)],
        **({} if page is None else {"page": str(write_timelines_page(page, recordings, timelines, classifier))}),
    }


def _scores(classifier: Classifier, recordings: Clips, timelines: list[Timeline]) -> dict[str, Any]:
    """Metrics of the recordings that have labelled intervals of the classifier's classes; none without."""
    outside = len(classifier.class_names)
    background = outside if classifier.info.background is None else classifier.info.background
    true, predicted = [], []
    for index, timeline in enumerate(timelines):
        intervals = true_intervals(recordings, index, classifier.class_names)
        if intervals:
            true.append(frame_labels(intervals, timeline.frames, background))
            predicted.append(timeline.labels)
    if not true:
        return {}
    scores = segment_scores(true, predicted, background)
    return {"scores": {"frame_accuracy": scores.frame_accuracy, "f1": scores.f1, "edit": scores.edit}}
