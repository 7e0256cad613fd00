"""Results as a table to read: a row a method and protocol, a column a stream, mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any


def accuracy_table(results: Iterable[Mapping[str, Any]], by: str = "method") -> str:
    """Markdown table of the rows of `accuracy_rows`."""
    return markdown(accuracy_rows(results, by))


def accuracy_rows(results: Iterable[Mapping[str, Any]], by: str = "method") -> list[list[str]]:
    """Accuracies in percent, a heading first; several seeds of one row become mean ± standard deviation.

    `by` is the entry of a result that tells the rows of one protocol apart. `best test epoch` rows, where a protocol
    has them, are the official program's figure, which chooses on the test set; every other row is the last epoch's.
    """
    rows: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for result in results:
        where = (f"{result['dataset']} {result['split']}", result[by])
        _collect(rows, (*where, result["protocol"]), result["accuracy"])
        if "best_test_epoch" in result:
            _collect(rows, (*where, f"{result['protocol']}, best test epoch"), result["best_test_epoch"])
    streams = list(dict.fromkeys(name for values in rows.values() for name in values))
    lines = [["data", by, "protocol", *streams, "seeds"]]
    for key, values in rows.items():
        seeds = max(len(v) for v in values.values())
        lines.append([*key, *(_figure(values.get(name, [])) for name in streams), str(seeds)])
    return lines


def markdown(rows: list[list[str]]) -> str:
    """Rows of cells, the first of them the heading, as Markdown.

    >>> print(markdown([["a", "b"], ["1", "234"]]))
    | a | b   |
    |---|-----|
    | 1 | 234 |
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    written = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


def _collect(
    rows: dict[tuple[str, ...], dict[str, list[float]]], key: tuple[str, ...], accuracy: Mapping[str, float]
) -> None:
    row = rows.setdefault(key, {})
    for name, value in accuracy.items():
        row.setdefault(name, []).append(100 * value)


def _figure(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
