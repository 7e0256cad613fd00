"""A table to read: as Markdown, and as LaTeX for a paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from i2md.evaluation.table import markdown
from i2md.experiments.reproduce.claims import claim_line

_RECALLED = "†"
_FOOTNOTE = "recalled: not checked against the paper."
_OTHER = "other input"
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "†": r"$^\dagger$", ">": "$>$", "<": "$<$"},
}


def markdown_page(data: Mapping[str, Any]) -> str:
    """What `reproduce` returns, as Markdown: notes, a table a block, the claims, and what failed."""
    parts = [f"# {data['title']}", "\n".join(f"- {note}" for note in data["notes"])]
    for block in data["blocks"]:
        parts += [f"## {block['title']} ({block['split']})", markdown(_cells(block, data["streams"]))]
    if _has_recalled(data):
        parts.append(f"{_RECALLED} {_FOOTNOTE}")
    if data["claims"]:
        parts += [
            "## Claims",
            "Differences in points by seed; tests are two-sided and paired; the word goes by p of the t-test "
            "corrected for their number (false discovery rate).",
        ]
    for says, judged in _by_claim(data):
        parts.append("\n".join([f"{says}:\n", *(f"- {claim_line(each)}" for each in judged)]))
    if data["failed"]:
        parts += ["## Failed", "\n".join(f"- {name}: {each['reason']}" for name, each in data["failed"].items())]
    return "\n\n".join(parts)


def latex_page(data: Mapping[str, Any]) -> str:
    """The blocks as one table for \\usepackage{booktabs}, and the claims as a second one."""
    width = len(data["streams"]) + 2 + _has_other(data)
    lines = [f"% {_one_line(note)}" for note in (data["title"], *data["notes"])]
    lines += [r"% \usepackage{booktabs}", r"\begin{tabular}{l" + "r" * (width - 2) + "l}", r"\toprule"]
    lines.append(_latex_row(_heading(data["streams"], _has_other(data))))
    for block in data["blocks"]:
        title = f"{block['title']} ({block['split']})"
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex_text(title)}}}}} \\"]
        lines += [_latex_row(row) for row in _cells(block, data["streams"], _has_other(data))[1:]]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if _has_recalled(data):
        lines.append(rf"\par {latex_text(f'{_RECALLED} {_FOOTNOTE}')}")
    return "\n".join(lines + _latex_claims(data)) + "\n"


def latex_text(text: str) -> str:
    r"""A text that LaTeX prints as it is.

    >>> latex_text("P&C, 5 % of a_b")
    'P\\&C, 5 \\% of a\\_b'
    >>> latex_text("semi-0.1: -2.5")
    'semi-0.1: $-$2.5'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", "".join(_LATEX.get(sign, sign) for sign in text))


def _latex_claims(data: Mapping[str, Any]) -> list[str]:
    if not data["claims"]:
        return []
    heading = ["claim", "mean", "95 % within", "t-test p", "corrected", "Wilcoxon p", ""]
    lines = ["", r"\begin{tabular}{lrrrrrl}", r"\toprule", _latex_row(heading)]
    for says, judged in _by_claim(data):
        lines += [r"\midrule", rf"\multicolumn{{7}}{{l}}{{\emph{{{latex_text(says)}}}}} \\"]
        for each in judged:
            within = "-" if each["interval"] is None else "{:+.1f} to {:+.1f}".format(*each["interval"])
            tests = [each[name] for name in ("t_test", "corrected", "wilcoxon")]
            told = [f"{each['mean']:+.1f}", within, *("-" if p is None else f"{p:.2g}" for p in tests)]
            lines.append(_latex_row([each["compares"], *told, each["verdict"]]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _latex_row(cells: Sequence[str]) -> str:
    # A dash alone stands for no figure; within a text it is a hyphen.
    return " & ".join("--" if cell == "-" else latex_text(cell) for cell in cells) + r" \\"


def _heading(streams: Sequence[str], other: bool) -> list[str]:
    return ["method", *streams, *([_OTHER] * other), "seeds / source"]


def _cells(block: Mapping[str, Any], streams: Sequence[str], other: bool | None = None) -> list[list[str]]:
    """Rows of a block, a heading first: ours, then the published ones, each figure in the column of its streams."""
    other = _has_other({"blocks": [block], "streams": streams}) if other is None else other
    columns = [*streams, *([_OTHER] * other)]
    rows = [_heading(streams, other)]
    for row in block["rows"]:
        figures = [_figure(row["accuracy"].get(column)) for column in columns]
        rows.append([row["name"], *figures, f"{row['seeds']} seed{'s' * (row['seeds'] > 1)}"])
    for row in block["published"]:
        column = row["streams"] if row["streams"] in streams else _OTHER
        accuracy = f"{row['accuracy']}{_RECALLED * row['recalled']}" if row["accuracy"] else "-"
        streams_told = f"; {row['streams']}" if row["streams"] and column == _OTHER else ""
        figures = [accuracy if name == column else "-" for name in columns]
        rows.append([f"{row['name']} (published{streams_told})", *figures, row["source"]])
    return rows


def _figure(summary: Mapping[str, Any] | None) -> str:
    if summary is None:
        return "-"
    spread = "" if summary["spread"] is None else f" ± {summary['spread']:.1f}"
    return f"{summary['mean']:.1f}{spread}"


def _has_other(data: Mapping[str, Any]) -> bool:
    """Whether any published figure is of other streams than ours."""
    shown = [row["streams"] for block in data["blocks"] for row in block["published"] if row["accuracy"]]
    return any(streams not in data["streams"] for streams in shown)


def _has_recalled(data: Mapping[str, Any]) -> bool:
    return any(row["recalled"] for block in data["blocks"] for row in block["published"])


def _by_claim(data: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    found = groupby(data["claims"], key=lambda each: f"{each['claim']} ({each['split']})")
    return [(says, list(judged)) for says, judged in found]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
