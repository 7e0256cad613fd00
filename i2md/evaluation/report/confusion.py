"""The report's confusion matrix: which result it shows, its counts, and the accuracy of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.evaluation.results import ENSEMBLE, Result
from i2md.evaluation.table import protocol_title, stream_titles


def percent(fraction: Any) -> str:
    """A fraction in percent, or a dash where it is no finite number.

    >>> percent(0.8471)
    '84.7'
    """
    is_number = isinstance(fraction, (int, float)) and math.isfinite(fraction)
    return f"{100 * fraction:.1f}" if is_number else "\N{EN DASH}"


def best_confusion(results: Sequence[Result]) -> dict[str, Any] | None:
    """The confusion matrix of the most accurate ensemble or, without ensembles, of the most accurate stream.

    Args:
        results: Of a run; those of baselines and of drawn labels are not considered.

    Returns:
        Title, class names, counts and accuracy by class, as JSON data; None where no result has a confusion matrix.
    """
    candidates = [
        ((name == ENSEMBLE, scores.accuracy), result, name)
        for result in results
        if result.baseline is None and result.draw is None
        for name, scores in result.scores.items()
        if np.sum(scores.confusion)
    ]
    if not candidates:
        return None
    _, result, name = max(candidates, key=lambda candidate: candidate[0])
    counts = np.array(result.scores[name].confusion)
    names = result.class_names
    classes = [names[i] if i < len(names) else f"class {i}" for i in range(len(counts))]
    return {
        "title": f"{protocol_title(result)}, {stream_titles(result)[name]}",
        "classes": classes,
        "counts": counts.tolist(),
        "bars": _class_bars(counts, classes),
    }


def _class_bars(counts: Int64[np.ndarray, "classes classes"], classes: list[str]) -> list[dict[str, Any]]:
    """Each class that has test clips, lowest accuracy first, and the class it is most often confused with."""
    bars = []
    for i in np.flatnonzero(counts.sum(axis=1)):
        row, errors = counts[i], counts[i].copy()
        errors[i] = 0
        confused = f"{classes[int(errors.argmax())]} ({errors.max()})" if errors.any() else ""
        accuracy = float(row[i] / row.sum())
        bar = {"name": classes[i], "accuracy": accuracy, "percent": percent(accuracy), "confused": confused}
        bars.append({**bar, "right": int(row[i]), "clips": int(row.sum())})
    return sorted(bars, key=lambda bar: bar["accuracy"])
