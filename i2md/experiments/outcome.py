"""What a sweep leaves beside its runs: table.md, results.json, report.html and plots/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.report.comparison_page import write_comparison
from i2md.evaluation.report.run_page import UNTRAINED
from i2md.evaluation.table import accuracy_table
from i2md.experiments.ablation import Ablation
from i2md.experiments.ablation_plot import draw_by_setting
from i2md.experiments.grid import Combination
from i2md.experiments.plots import draw_by_value, draw_differences
from i2md.experiments.statistics import Paired, paired_differences, together
from i2md.runtime.io import write_text


def gather(
    out: Path,
    runs: Mapping[str, tuple[Combination, int]],
    grid: Mapping[str, Sequence[Any]],
    against: Combination | None,
    failed: Mapping[str, str],
    ablation: Ablation | None = None,
) -> dict[str, Any]:
    """Put the finished runs' results together, write them, and return what results.json holds.

    `runs` are the combination and the seed of each finished run by the name of its folder, `failed` the reasons of
    the others. `against` are the settings of the baseline; in an `ablation` that is its base.
    """
    called = {out / name: ablation.called(combination) for name, (combination, _) in runs.items()} if ablation else {}
    comparison = compare_runs([out / name for name in runs], called)
    told = {str(out / name): run for name, run in runs.items()}
    results = [{"combination": dict(told[r["run"]][0]), **r} for r in comparison.results()]
    trained = [result for result in results if result["method"] != UNTRAINED]
    pairs = _pairs(trained, told, against, ablation)
    shown = [pair for pair in pairs if pair.stream == together(trained)]
    by_value = draw_by_setting(trained, told, ablation) if ablation else draw_by_value(trained, told, grid)
    drawings = {
        "By value": ("by-value", by_value),
        "Differences by seed": ("differences", draw_differences(shown)),
    }
    data = {
        "grid": {name: list(values) for name, values in grid.items()},
        "vary": {name: list(values) for name, values in ablation.others.items()} if ablation else None,
        "base": dict(ablation.base) if ablation else None,
        "against": dict(against) if against else None,
        "results": results,
        "differences": [asdict(pair) for pair in pairs],
        "failed": dict(failed),
        "report": str(out / "report.html"),
    }
    for name, svg in drawings.values():
        if svg:
            write_text(out / "plots" / f"{name}.svg", svg)
    write_text(out / "results.json", json.dumps(data, indent=1) + "\n")
    write_text(out / "table.md", show(data) + "\n")
    figures = [(title, svg[svg.index("<svg") :]) for title, (_, svg) in drawings.items() if svg]
    lines = [str(pair) for pair in shown]
    write_comparison(
        comparison, out / "report.html", figures, lines, [f"{n} failed: {why}" for n, why in failed.items()]
    )
    return data


def _pairs(
    results: Sequence[Mapping[str, Any]],
    runs: Mapping[str, tuple[Combination, int]],
    against: Combination | None,
    ablation: Ablation | None,
) -> list[Paired]:
    if ablation:
        return paired_differences(results, runs, lambda combination: {})
    return paired_differences(results, runs, lambda combination: {**combination, **against}) if against else []


def show(data: Mapping[str, Any]) -> str:
    """What `gather` returned, as Markdown: the table, the differences of all streams together, and what failed."""
    stream = together([result for result in data["results"] if result["method"] != UNTRAINED])
    pairs = [Paired(**pair) for pair in data["differences"] if pair["stream"] == stream]
    parts = [accuracy_table(data["results"], by="settings")]
    if pairs:
        parts.append("\n".join([f"Paired by seed, {stream}, in points:\n", *(f"- {pair}" for pair in pairs)]))
    if data["failed"]:
        parts.append("\n".join(["Failed:\n", *(f"- {name}: {why}" for name, why in data["failed"].items())]))
    return "\n\n".join(parts)
