"""The report's confusion matrix: which result it shows, its counts, and the accuracy of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.evaluation.report.class_names import full_names, shortened_names
from i2md.evaluation.results import ENSEMBLE, Result, average_draws
from i2md.evaluation.table import protocol_title, stream_titles

# Characters of a class in the headings of the matrix.
_HEADING = 34


def percent(fraction: Any) -> str:
    """A fraction in percent, or a dash where it is no finite number.

    >>> percent(0.8471)
    '84.7'
    """
    is_number = isinstance(fraction, (int, float)) and math.isfinite(fraction)
    return f"{100 * fraction:.1f}" if is_number else "\N{EN DASH}"


def best_confusion(results: Sequence[Result]) -> dict[str, Any] | None:
    """The confusion matrix of the most accurate ensemble or, without ensembles, of the most accurate stream.

    Results of all labels come before those of drawn labels, whose matrices are the sum over the draws.

    Args:
        results: Of a run; those of baselines are not considered.

    Returns:
        Title, class names, counts, their unit and accuracy by class, as JSON data; None where no result has a
        confusion matrix.
    """
    pretrained = [result for result in results if result.baseline is None]
    candidates = [
        ((draws == 0, name == ENSEMBLE, scores.accuracy), result, name, draws)
        for result, draws in _with_draws(pretrained)
        for name, scores in result.scores.items()
        if np.sum(scores.confusion)
    ]
    if not candidates:
        return None
    _, result, name, draws = max(candidates, key=lambda candidate: candidate[0])
    counts = np.array(result.scores[name].confusion)
    classes = full_names(result.class_names, len(counts))
    added_up = f", {draws} draws of the labels added up" if draws > 1 else ""
    unit = f"{result.counted} in {draws} draws" if draws > 1 else result.counted
    return {
        "title": f"{protocol_title(result)}, {stream_titles(result)[name]}{added_up}",
        "classes": classes,
        "short": shortened_names(classes, _HEADING),
        "counts": counts.tolist(),
        "unit": unit,
        "bars": _class_bars(counts, classes, unit),
    }


def _with_draws(results: Sequence[Result]) -> list[tuple[Result, int]]:
    """Each result with 0; those of drawn labels averaged, with the number of the draws."""
    whole = [(result, 0) for result in results if result.draw is None]
    drawn = [result for result in results if result.draw is not None]
    title = lambda result: (result.dataset, result.split, protocol_title(result))  # noqa: E731
    titles = [title(result) for result in drawn]
    return whole + [(mean, titles.count(title(mean))) for mean in average_draws(drawn)]


def _class_bars(counts: Int64[np.ndarray, "classes classes"], classes: list[str], unit: str) -> list[dict[str, Any]]:
    """Each class that has test clips, lowest accuracy first, and the class it is most often confused with."""
    bars = []
    for i in np.flatnonzero(counts.sum(axis=1)):
        row, errors = counts[i], counts[i].copy()
        errors[i] = 0
        right, clips = int(row[i]), int(row.sum())
        bars.append(
            {
                "name": classes[i],
                "accuracy": right / clips,
                "percent": percent(right / clips),
                "right": f"{right} of {clips} {unit}",
                "confused": f"{classes[int(errors.argmax())]} ({errors.max()})" if errors.any() else "",
            }
        )
    return sorted(bars, key=lambda bar: bar["accuracy"])
