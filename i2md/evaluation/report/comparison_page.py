"""Many runs in one page that opens from the disk alone: their table, their curves, and what they differ in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from i2md.evaluation.comparison import Comparison
from i2md.evaluation.report.curves import overlaid_charts
from i2md.evaluation.report.page import write_page
from i2md.evaluation.table import accuracy_rows


def write_comparison(
    comparison: Comparison,
    out: Path,
    figures: Sequence[tuple[str, str]] = (),
    differences: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write the page, whole or not at all.

    `figures` are titles and drawings as SVG text, `differences` and `notes` lines to read; all are shown beside what
    the runs hold.
    """
    charts = overlaid_charts(
        {label: [run.epochs for run in runs] for label, runs in comparison.variants.items()},
    )
    return write_page(
        out,
        "comparison.html.j2",
        runs=comparison.runs,
        variants=comparison.variants,
        differing=comparison.differing,
        notes=[*notes, *comparison.notes],
        table=accuracy_rows(comparison.results(), by="settings"),
        figures=figures,
        differences=differences,
        data={
            "losses": [chart for chart in charts if chart["group"] != "knn"],
            "knn": [chart for chart in charts if chart["group"] == "knn"],
            "confusion": None,
        },
    )
