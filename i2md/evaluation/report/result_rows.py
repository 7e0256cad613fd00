"""The rows of the report's table: the results of a run's encoders first, then those of each baseline."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev
from typing import Any

from i2md.evaluation.report.confusion import percent
from i2md.evaluation.results import UNTRAINED, Result, average_draws
from i2md.evaluation.table import columns_of, data_title, protocol_title, stream_titles

# What the baselines are; another one is only said to be without pretraining.
BASELINES = {UNTRAINED: "the run's encoders with their initial random weights, not pretrained"}


def result_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each result, the draws of the labels averaged; its further metrics are rows below it.

    Args:
        results: Of a run, in whatever order.

    Returns:
        Rows as JSON data: those of the run's encoders in the given order, then those of the baselines, whose titles
        begin with the baseline's name.
    """
    columns = columns_of(results)
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: (result.baseline is not None, result.baseline or "")):
        groups.setdefault((data_title(result), result.evaluated, protocol_title(result)), []).append(result)
    return [row for draws in groups.values() for row in _rows(draws, columns)]


def common_data(rows: Sequence[dict[str, Any]]) -> str:
    """Data and numbers of clips that all rows share; nothing where they differ.

    Args:
        rows: Of `result_rows`.
    """
    data = {row["about"][0] for row in rows if row["about"]}
    return data.pop() if len(data) == 1 else ""


def _rows(draws: Sequence[Result], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The row of a result or of the draws of one, and the rows of its further metrics.

    Args:
        draws: Results that differ in their draw alone.
        columns: Titles of the table's columns.
    """
    drawn = draws[0].draw is not None
    (result,) = average_draws(draws) if drawn else draws[-1:]
    titles = stream_titles(result)
    by_column = {titles[name]: scores for name, scores in result.scores.items()}
    shown = [by_column.get(column) for column in columns]
    metrics = {
        metric: [percent(scores and scores.metrics.get(metric)) for scores in shown]
        for metric in result.overall.metrics
    }
    if len(draws) > 1:
        deviations = {titles[name]: stdev(draw.scores[name].accuracy for draw in draws) for name in result.scores}
        metrics["standard deviation over the draws"] = [percent(deviations.get(column)) for column in columns]
    title = ", ".join(filter(None, [result.baseline, protocol_title(result)]))
    average = f", mean of {len(draws)} draws" if len(draws) > 1 else ", 1 draw" if drawn else ""
    cells = [percent(scores and scores.accuracy) for scores in shown]
    rows = [_row(result, title + average, cells, about=[_data(result), *_labels(draws)])]
    rows += [_row(result, f"{title}, {metric}", values) for metric, values in metrics.items()]
    if result.overall.best_test_accuracy is not None:
        best = [percent(scores and scores.best_test_accuracy) for scores in shown]
        rows.append({**_row(result, f"{title}, best test epoch", best), "best_epoch": True})
    return rows


def _row(result: Result, title: str, cells: Sequence[str], about: Sequence[str] = ()) -> dict[str, Any]:
    baseline = result.baseline or ""
    return {
        "title": title,
        "cells": cells,
        "about": about,
        "baseline": baseline,
        "description": BASELINES.get(baseline, "without pretraining"),
        "main": bool(about) and not baseline,
        "best_epoch": False,
    }


def _data(result: Result) -> str:
    clips = "clips" if result.counted == "clips" else "recordings"
    return f"{data_title(result)}, {result.train_clips} training and {result.test_clips} test {clips}"


def _labels(draws: Sequence[Result]) -> list[str]:
    """How many labels are used, where only a part of them is; draws may differ in it."""
    if draws[0].counted == "frames":
        return []
    counts = sorted({len(draw.labelled_clips) for draw in draws if draw.labelled_clips is not None})
    return [f"{' to '.join(map(str, sorted({counts[0], counts[-1]})))} labels"] if counts else []
