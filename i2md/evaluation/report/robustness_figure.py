"""The figure of robustness: accuracy by level, a panel for each corruption, a line for each encoder and baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from i2md.evaluation.report.drawing import render_svg, write_png
from i2md.evaluation.results import Result
from i2md.evaluation.robustness import Curve, curves, robustness_tables
from i2md.evaluation.table import data_title

_COLUMNS = 4
# Inches, of a panel and of the title above the panels of a protocol.
_WIDTH, _HEIGHT, _TITLE = 2.9, 2.2, 0.7
_MARKERS = "osD^vP*X"
_AXES = {
    "joints": "joints missing, %",
    "noise": "noise, cm",
    "frames": "frames lost, %",
    "rate": "frame rate, times",
    "scale": "body size, times",
    "camera": "camera turned, °",
    "tilt": "camera tilted, °",
    "turn": "turned after preparation, °",
}
_PERCENT = ("joints", "frames")


def robustness_sections(results: Iterable[Result]) -> list[dict[str, Any]]:
    """What a page shows of robustness: a figure and a table for each protocol, for each data set and split.

    Args:
        results: Clean and corrupted results of a run, or of runs that differ in their seed alone.

    Returns:
        "data" (data set and split), "drawing" (SVG) and "tables" (title and rows of cells, the heading first).
    """
    sections = []
    for data, of_data in by_data(results).items():
        found = curves(of_data)
        if found:
            svg = render_svg(*_figure_of(found))
            tables = list(robustness_tables(of_data))
            sections.append({"data": data, "drawing": svg[svg.index("<svg") :], "tables": tables})
    return sections


def write_robustness_pngs(folder: Path, results: Iterable[Result]) -> list[Path]:
    """Write the figure of each data set and split as PNG: robustness-DATASET-SPLIT.png.

    Args:
        folder: Where the files go.
        results: As `robustness_sections` takes them.

    Returns:
        The files.
    """
    written = []
    for of_data in by_data(results).values():
        found = curves(of_data)
        if found:
            written.append(folder / f"robustness-{of_data[0].dataset}-{of_data[0].split}.png")
            write_png(written[-1], *_figure_of(found))
    return written


def by_data(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by the title of their data set and split.

    Args:
        results: Of any data sets.
    """
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(data_title(result), []).append(result)
    return found


def _figure_of(found: Sequence[Curve]) -> tuple[tuple[float, float], Callable[[Any], None]]:
    """Size and drawing of the figure: protocols below one another."""
    protocols = list(dict.fromkeys(curve.protocol for curve in found))
    kinds = list(dict.fromkeys(curve.kind for curve in found))
    names = list(dict.fromkeys(curve.evaluated for curve in found))
    columns, rows = min(_COLUMNS, len(kinds)), -(-len(kinds) // _COLUMNS)

    def draw(figure: Any) -> None:
        parts = figure.subfigures(len(protocols), 1, squeeze=False)[:, 0]
        for part, title in zip(parts, protocols, strict=True):
            panels = part.subplots(rows, columns, squeeze=False, sharey=True).flat
            for axes, kind in zip(panels, kinds, strict=False):
                for curve in found:
                    if (curve.protocol, curve.kind) == (title, kind):
                        _draw_curve(axes, curve, names.index(curve.evaluated))
                axes.set_xlabel(_AXES.get(kind, kind), fontsize=8)
                axes.tick_params(labelsize=8, labelleft=True)
                axes.grid(alpha=0.3, linewidth=0.5)
            for axes in list(panels)[len(kinds) :]:
                axes.axis("off")
            lines, labels = part.axes[0].get_legend_handles_labels()
            part.legend(lines, labels, loc="outside upper center", ncols=len(labels), fontsize=8, title=title)
            part.supylabel("accuracy, %", fontsize=9)

    return (_WIDTH * columns + 0.3, len(protocols) * (_HEIGHT * rows + _TITLE)), draw


def _draw_curve(axes: Any, curve: Curve, number: int) -> None:
    factor = 100 if curve.kind in _PERCENT else 1
    x = [factor * level for level in curve.accuracies]
    y = [fmean(values) for values in curve.accuracies.values()]
    spread = [stdev(values) if len(values) > 1 else 0.0 for values in curve.accuracies.values()]
    style = {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 3.5, "linewidth": 1.3, "capsize": 2}
    axes.errorbar(x, y, spread, color=f"C{number % 10}", label=curve.evaluated, **style)
