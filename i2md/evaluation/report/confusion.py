"""The report's confusion matrix: which result it shows, its counts, and the accuracy of each class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Int, Int64

ALL_STREAMS = "3-stream"


def percent(share: Any) -> str:
    """A share as the report prints it, a dash where it is no finite number.

    >>> percent(0.8471)
    '84.7'
    """
    return f"{100 * share:.1f}" if isinstance(share, (int, float)) and math.isfinite(share) else "\N{EN DASH}"


def best_confusion(evaluations: list[dict[str, Any]], notes: list[str]) -> dict[str, Any] | None:
    """The matrix of the best 3-stream result or, where no evaluation has one, of the best single stream."""
    candidates = [
        ((stream == ALL_STREAMS, float(result["accuracy"].get(stream) or 0.0)), stream, result)
        for result in evaluations
        if isinstance(result.get("predictions"), dict) and isinstance(result.get("labels"), list)
        for stream in result["predictions"]
    ]
    if not candidates:
        return None
    _, stream, result = max(candidates, key=lambda candidate: candidate[0])
    labels, predictions = np.asarray(result["labels"]), np.asarray(result["predictions"][stream])
    if len(labels) != len(predictions):
        notes.append(f"The {result['protocol']} result has {len(labels)} labels, {len(predictions)} predictions.")
        return None
    known = labels >= 0
    if not known.any():
        return None
    counts = _count_pairs(labels[known], predictions[known], len(result.get("class_names") or ()))
    classes = [_class_name(result.get("class_names") or (), i) for i in range(len(counts))]
    return {
        **{"protocol": result["protocol"], "stream": stream, "classes": classes, "counts": counts.tolist()},
        "bars": _per_class(counts, classes),
    }


def _count_pairs(
    labels: Int[np.ndarray, " clips"], predictions: Int[np.ndarray, " clips"], named: int
) -> Int64[np.ndarray, "classes classes"]:
    size = max(named, int(labels.max()) + 1, int(predictions.max()) + 1)
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def _per_class(counts: Int64[np.ndarray, "classes classes"], classes: list[str]) -> list[dict[str, Any]]:
    """Each class that has test clips, the worst first, with the class it is most often taken for."""
    bars = []
    for i in np.flatnonzero(counts.sum(axis=1)):
        row, errors = counts[i], counts[i].copy()
        errors[i] = 0
        mistaken = f"{classes[int(errors.argmax())]} ({errors.max()})" if errors.any() else ""
        share = float(row[i] / row.sum())
        bar = {"name": classes[i], "share": share, "percent": percent(share), "mistaken": mistaken}
        bars.append({**bar, "right": int(row[i]), "clips": int(row.sum())})
    return sorted(bars, key=lambda bar: bar["share"])


def _class_name(names: tuple[str, ...] | list[str], index: int) -> str:
    return str(names[index]) if index < len(names) else f"class {index}"
