"""Results as a table: a row for each encoder and protocol, a column for each stream, mean and deviation over seeds.

The titles of rows and columns are derived here, from the fields of the results, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, stdev

from i2md.evaluation.corruption import CORRUPTIONS
from i2md.evaluation.results import ENSEMBLE, Result


def protocol_title(result: Result) -> str:
    """The protocol and what sets the result apart within it.

    Args:
        result: A result of an evaluation.

    >>> protocol_title(Result("semi", "i2md", "ntu60", "xsub", 0, {}, label_fraction=0.05))
    'semi, 5 % of the labels'
    """
    title = result.protocol
    if result.k is not None and result.k > 1:
        title += f", k = {result.k}"
    if result.label_fraction is not None:
        title += f", {100 * result.label_fraction:g} % of the labels"
    if result.labels_per_class is not None:
        title += f", {result.labels_per_class} label{'s' * (result.labels_per_class > 1)} a class"
    if result.labelled_subjects is not None:
        title += f", {result.labelled_subjects} labelled subject{'s' * (result.labelled_subjects > 1)}"
    if result.selection is not None:
        title += f", {result.selection}"
    if result.readout is not None:
        title += f", read out by {result.readout}"
    if result.corruption is not None and result.level is not None:
        title += f", {CORRUPTIONS[result.corruption].name_level(result.level)}"
    return title


def data_title(result: Result) -> str:
    """Data set and split; where the run was pretrained on another data set, "A to B split".

    Args:
        result: A result of an evaluation.
    """
    pretrained = result.pretraining_dataset
    transfer = f"{pretrained} to " if pretrained not in (None, "unknown", result.dataset) else ""
    return f"{transfer}{result.dataset} {result.split}"


def ensemble_title(streams: Iterable[str]) -> str:
    """Title of the average of the streams' scores.

    Args:
        streams: Names of the streams that were averaged.

    >>> ensemble_title(["joint", "motion", "bone"])
    '3-stream'
    """
    return f"{len(list(streams))}-stream"


def stream_titles(result: Result) -> dict[str, str]:
    """Title of each entry of `result.scores`: the stream's name, or the ensemble's title.

    Args:
        result: A result of an evaluation.
    """
    return {name: ensemble_title(result.streams) if name == ENSEMBLE else name for name in result.scores}


def columns_of(results: Iterable[Result]) -> list[str]:
    """Titles of the columns: every stream in order of appearance, then the ensembles."""
    streams: dict[str, None] = {}
    ensembles: dict[str, None] = {}
    for result in results:
        for name, title in stream_titles(result).items():
            (ensembles if name == ENSEMBLE else streams)[title] = None
    return [*streams, *ensembles]


def accuracy_table(results: Sequence[Result], labels: Sequence[str] | None = None) -> str:
    """The rows of `accuracy_rows` as a Markdown table.

    Args:
        results: One or several runs' results.
        labels: What each result's run is called, in a column "settings"; by default its method, or "untrained".
    """
    return markdown(accuracy_rows(results, labels))


def accuracy_rows(results: Sequence[Result], labels: Sequence[str] | None = None) -> list[list[str]]:
    """Accuracies in percent; several seeds or draws of one row become mean ± standard deviation.

    Args:
        results: One or several runs' results.
        labels: What each result's run is called, in a column "settings"; by default its method, or "untrained".

    Returns:
        Rows of cells, the heading first. Rows "best test epoch" are what the published CMD program reports, which
        chooses the epoch on the test clips; every other row is of the last epoch. Rows "validation" are accuracies
        on held-out training subjects at the chosen learning rate, by which settings may be chosen. A row of the
        semi-supervised protocol states its number of labels, and an earlier row whose labels are the same.
    """
    rows: dict[tuple[str, ...], dict[str, list[float]]] = {}
    seeds: dict[tuple[str, ...], set[int]] = {}
    draws: dict[tuple[str, ...], set[int]] = {}
    labelled: dict[tuple[str, ...], dict[tuple[int, int], frozenset[str]]] = {}
    names = labels if labels is not None else [result.evaluated for result in results]
    for result, name in zip(results, names, strict=True):
        for kind, values in _row_values(result).items():
            row = (data_title(result), name, protocol_title(result), kind)
            for title, value in values.items():
                rows.setdefault(row, {}).setdefault(title, []).append(100 * value)
            seeds.setdefault(row, set()).add(result.seed)
            draws.setdefault(row, set()).update(() if result.draw is None else (result.draw,))
            if result.label_fraction is not None and result.labelled_clips is not None:
                drawn = {(result.seed, result.draw or 0): frozenset(result.labelled_clips)}
                labelled.setdefault(row, {}).update(drawn)
    columns = columns_of(results)
    lines = [["data", "method" if labels is None else "settings", "protocol", *columns, "seeds"]]
    for key, by_column in rows.items():
        data, label, protocol, kind = key
        drawn_times = f"{len(draws[key])} draw{'s' * (len(draws[key]) > 1)}" if draws[key] else ""
        title = ", ".join(filter(None, [protocol, drawn_times, *_labels(key, labelled), kind]))
        lines.append([data, label, title, *(_cell(by_column.get(c, [])) for c in columns), str(len(seeds[key]))])
    return lines


def _labels(
    row: tuple[str, ...], labelled: Mapping[tuple[str, ...], Mapping[tuple[int, int], frozenset[str]]]
) -> Iterator[str]:
    """The number of labels of a row, and the first row of its protocol, data, encoder and kind with the same labels.

    Args:
        row: Titles of data, encoder, protocol and kind.
        labelled: Labelled clips by seed and draw, of each row that has them.
    """
    if row not in labelled:
        return
    data, name, protocol, kind = row
    counts = sorted({len(clips) for clips in labelled[row].values()})
    yield f"{' to '.join(str(count) for count in sorted({counts[0], counts[-1]}))} label{'s' * (counts[-1] > 1)}"
    of_protocol = protocol.split(",")[0]
    alike = (labelled[row], data, name, kind, of_protocol)
    same = [
        other[2]
        for other, clips in labelled.items()
        if (clips, other[0], other[1], other[3], other[2].split(",")[0]) == alike
    ]
    if same[0] != protocol:
        yield f"the same clips as {same[0]}"


def _row_values(result: Result) -> dict[str, dict[str, float]]:
    """The rows that a result has by kind, "" being accuracy: values by the title of their column."""
    titles = stream_titles(result)
    rows = {"": {titles[name]: scores.accuracy for name, scores in result.scores.items()}}
    for metric in result.overall.metrics:
        rows[metric] = {titles[name]: scores.metrics[metric] for name, scores in result.scores.items()}
    if result.validation:
        rows["validation"] = {list(titles.values())[-1]: max(result.validation.values())}
    best = {
        titles[name]: scores.best_test_accuracy
        for name, scores in result.scores.items()
        if scores.best_test_accuracy is not None
    }
    return {**rows, "best test epoch": best} if best else rows


def markdown(rows: list[list[str]]) -> str:
    """Rows of cells, the first of them the heading, as Markdown.

    Args:
        rows: Rows of equally many cells.

    >>> print(markdown([["a", "b"], ["1", "234"]]))
    | a | b   |
    |---|-----|
    | 1 | 234 |
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    written = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
