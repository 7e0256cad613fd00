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
    `validation` rows are accuracies on held-out training people, of all streams together and at the rate chosen:
    what settings may be chosen by.
    """
    rows: dict[tuple[str, ...], dict[str, list[float]]] = {}
    seeds: dict[tuple[str, ...], set[Any]] = {}
    for result in results:
        protocol = result["protocol"]
        drawn = result.get("draws")
        for title, figures in {
            f"{protocol}, {len(drawn)} draws" if drawn else protocol: [d["accuracy"] for d in drawn or [result]],
            **{f"{protocol}, {name}": [figure] for name, figure in result.get("measures", {}).items()},
            f"{protocol}, validation": _validation(result),
            f"{protocol}, best test epoch": [result[name] for name in ("best_test_epoch",) if name in result],
        }.items():
            row = (_data(result), str(result[by]), title)
            for figure in figures:
                _collect(rows, row, figure)
            seeds.setdefault(row, set()).add(result.get("seed"))
    streams = list(dict.fromkeys(name for values in rows.values() for name in values))
    lines = [["data", by, "protocol", *streams, "seeds"]]
    for key, values in rows.items():
        lines.append([*key, *(_figure(values.get(name, [])) for name in streams), str(len(seeds[key]))])
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


def _validation(result: Mapping[str, Any]) -> list[dict[str, float]]:
    """The best rate's accuracy on held-out training people, under all streams together; none where none was tried."""
    by_rate = result.get("validation")
    return [{list(result["accuracy"])[-1]: max(by_rate.values())}] if by_rate else []


def _data(result: Mapping[str, Any]) -> str:
    """Data set and split; where the run was pretrained on another data set, that one before it."""
    evaluated, pretrained = result["dataset"], result.get("pretrained_on", {}).get("dataset")
    transfer = f"{pretrained} to " if pretrained not in (None, "unknown", evaluated) else ""
    return f"{transfer}{evaluated} {result['split']}"


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
