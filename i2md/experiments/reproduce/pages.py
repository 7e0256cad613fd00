"""A reproduced table as Markdown, and as LaTeX for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from i2md.evaluation.results import ENSEMBLE
from i2md.evaluation.table import ensemble_title, markdown
from i2md.experiments.latex import latex_comments, latex_table, latex_text
from i2md.experiments.reproduce.claims import format_verdict
from i2md.experiments.statistics import TEST_COLUMNS, PairedTests

_RECALLED = "†"
_FOOTNOTE = "recalled: quoted from memory, not checked against the paper."
_OTHER = "other input"


def markdown_page(data: Mapping[str, Any]) -> str:
    """Return what `reproduce` returned as Markdown: notes, a table per block, claims, and failed runs.

    Args:
        data: What `reproduce` returned.
    """
    parts = [f"# {data['title']}", "\n".join(f"- {note}" for note in data["notes"])]
    for block in data["blocks"]:
        streams, other = data["streams"], _has_other([block], data["streams"])
        parts += [f"## {_block_title(block)}", markdown([_heading(streams, other), *_rows(block, streams, other)])]
    if _has_recalled(data):
        parts.append(f"{_RECALLED} {_FOOTNOTE}")
    if data["claims"]:
        parts += [
            "## Claims",
            "Differences in points by seed, with their mean, its 95 % confidence interval and two-sided paired tests. "
            "The verdict depends on the p-value of the t-test, corrected for the number of hypotheses of the claim "
            "(false discovery rate).",
        ]
    for claim, evaluated in _by_claim(data):
        parts.append("\n".join([f"{claim}:\n", *(f"- {format_verdict(each)}" for each in evaluated)]))
    if data["failed"]:
        lines = [f"- {name}: {failure['reason']}" for name, failure in data["failed"].items()]
        parts += ["## Failed", "\n".join(lines)]
    return "\n\n".join(parts)


def latex_page(data: Mapping[str, Any]) -> str:
    r"""Return all blocks as one LaTeX table for \usepackage{booktabs}, and the claims as a second one."""
    streams, other = data["streams"], _has_other(data["blocks"], data["streams"])
    sections = [(_block_title(block), _rows(block, streams, other)) for block in data["blocks"]]
    lines = latex_comments([data["title"], *data["notes"], r"\usepackage{booktabs}"])
    lines += latex_table("l" + "r" * (len(streams) + other) + "l", _heading(streams, other), sections)
    if _has_recalled(data):
        lines.append(rf"\par {latex_text(f'{_RECALLED} {_FOOTNOTE}')}")
    if data["claims"]:
        heading = ["hypothesis", *TEST_COLUMNS, "verdict"]
        claims = [(claim, [_claim_row(each) for each in evaluated]) for claim, evaluated in _by_claim(data)]
        lines += ["", *latex_table("lrrrrrl", heading, claims)]
    return "\n".join(lines) + "\n"


def _claim_row(evaluated: Mapping[str, Any]) -> list[str]:
    tests = PairedTests(*(evaluated[name] for name in PairedTests._fields))
    return [evaluated["hypothesis"], *tests.cells(evaluated["mean"]), evaluated["verdict"]]


def _block_title(block: Mapping[str, Any]) -> str:
    return f"{block['title']} ({block['split']})"


def _titles(streams: Sequence[str]) -> dict[str, str]:
    """Titles of the streams' columns."""
    single = [stream for stream in streams if stream != ENSEMBLE]
    return {stream: ensemble_title(single) if stream == ENSEMBLE else stream for stream in streams}


def _heading(streams: Sequence[str], other: bool) -> list[str]:
    return ["method", *_titles(streams).values(), *([_OTHER] * other), "seeds / source"]


def _rows(block: Mapping[str, Any], streams: Sequence[str], other: bool) -> list[list[str]]:
    """The rows of a block: ours, then the published ones, each accuracy in the column of its streams."""
    titles = _titles(streams)
    rows = []
    for row in block["rows"]:
        cells = [_cell(row["accuracy"].get(stream)) for stream in streams] + ["-"] * other
        rows.append([row["name"], *cells, f"{row['seeds']} seed{'s' * (row['seeds'] > 1)}"])
    for row in block["published"]:
        column = row["streams"] if row["streams"] in titles.values() else _OTHER
        accuracy = f"{row['accuracy']}{_RECALLED * row['recalled']}" if row["accuracy"] else "-"
        streams_text = f"; {row['streams']}" if row["streams"] and column == _OTHER else ""
        cells = [accuracy if title == column else "-" for title in (*titles.values(), *([_OTHER] * other))]
        rows.append([f"{row['name']} (published{streams_text})", *cells, row["source"]])
    return rows


def _cell(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return "-"
    std = "" if summary["std"] is None else f" ± {summary['std']:.1f}"
    return f"{summary['mean']:.1f}{std}"


def _has_other(blocks: Sequence[Mapping[str, Any]], streams: Sequence[str]) -> bool:
    """Whether a published accuracy is of other streams than ours."""
    published = [row["streams"] for block in blocks for row in block["published"] if row["accuracy"]]
    return any(name not in _titles(streams).values() for name in published)


def _has_recalled(data: Mapping[str, Any]) -> bool:
    return any(row["recalled"] for block in data["blocks"] for row in block["published"])


def _by_claim(data: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    found = groupby(data["claims"], key=lambda each: f"{each['claim']} ({each['split']})")
    return [(claim, list(evaluated)) for claim, evaluated in found]
