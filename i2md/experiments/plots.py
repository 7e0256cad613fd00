"""Plots of a sweep, as SVG: accuracy by value, one panel per setting of an ablation, and differences by seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from i2md.evaluation.comparison import ComparedResult
from i2md.evaluation.report.drawing import render_svg
from i2md.evaluation.results import Result
from i2md.evaluation.table import data_title, protocol_title, stream_titles
from i2md.experiments.grid import BASE_NAME, Ablation, Combination, format_value
from i2md.experiments.statistics import PairedDifference

# Accuracies in percent by line of a panel and by value on its axis.
Lines = dict[str, dict[str, list[float]]]
# Accuracies in percent by the changed setting and its value; the base's have the key `_BASE`.
ByChange = dict[tuple[str, str], list[float]]
_BASE = ("", "")
_OFFSET = 0.05
_COLUMNS = 4
# Inches, of a panel of an ablation and of the title above its panels.
_PANEL_WIDTH, _PANEL_HEIGHT, _TITLE_HEIGHT = 3.0, 2.3, 0.4


def plot_by_value(
    results: Sequence[ComparedResult],
    runs: Mapping[Path, tuple[Combination, int]],
    grid: Mapping[str, Sequence[Any]],
) -> str | None:
    """Plot accuracy by the values of a setting, mean and standard deviation over seeds, a panel per protocol.

    With one setting of several values there is a line per stream. With more, the first numeric setting is on the axis
    and the combinations of the others make the lines, for the ensemble of the streams.

    Args:
        results: Results of pretrained encoders, averaged over draws of the labels.
        runs: Combination and seed of each run by its folder.
        grid: Values by setting.

    Returns:
        The SVG; None if no setting has several values.
    """
    varied = [name for name, values in grid.items() if len(values) > 1]
    if not varied or not results:
        return None
    numeric = [name for name in varied if all(isinstance(value, (int, float)) for value in grid[name])]
    axis = (numeric or varied)[0]
    others = [name for name in varied if name != axis]
    panels: dict[str, Lines] = {}
    for each in results:
        combination, result = runs[each.run][0], each.result
        panel = panels.setdefault(_panel_title(result), {})
        line = ", ".join(f"{name.rpartition('.')[2]}={format_value(combination[name])}" for name in others)
        titles = stream_titles(result)
        scores = {line: result.overall} if line else {titles[name]: value for name, value in result.scores.items()}
        for name, value in scores.items():
            by_value = panel.setdefault(name, {})
            by_value.setdefault(format_value(combination[axis]), []).append(100 * value.accuracy)
    ticks = [format_value(value) for value in grid[axis]]

    def draw(axes: Any, lines: Lines) -> None:
        for number, (name, by_value) in enumerate(lines.items()):
            shown = [tick for tick in ticks if tick in by_value]
            # Side by side, so that no error bar hides another.
            offset = _OFFSET * (number - (len(lines) - 1) / 2)
            x = [ticks.index(tick) + offset for tick in shown]
            spread = [stdev(by_value[tick]) if len(by_value[tick]) > 1 else 0.0 for tick in shown]
            style = {"marker": "o", "capsize": 3, "label": name, "linestyle": "-" if numeric else "none"}
            (line, *_) = axes.errorbar(x, [fmean(by_value[tick]) for tick in shown], spread, **style)
            for at, tick in zip(x, shown, strict=True):
                seeds = by_value[tick]
                axes.plot([at] * len(seeds), seeds, ".", color=line.get_color(), alpha=0.45, markersize=4)
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlabel(axis)
        axes.set_ylabel("accuracy, %")
        axes.legend(fontsize=8)

    return _panels(panels, draw)


def plot_ablation(
    results: Sequence[ComparedResult], runs: Mapping[Path, tuple[Combination, int]], ablation: Ablation
) -> str | None:
    """Plot the ensemble's accuracy by the values of each setting: mean, standard deviation and every seed.

    A row of panels per protocol, a panel per setting, all on one scale; a dashed line and a diamond are the base.

    Args:
        results: Results of pretrained encoders, averaged over draws of the labels.
        runs: Combination and seed of each run by its folder.
        ablation: The base and its changes.

    Returns:
        The SVG; None if there is no result of a change.
    """
    protocols: dict[str, ByChange] = {}
    for each in results:
        changes = [(name, format_value(value)) for name, value in runs[each.run][0].items()]
        by_change = protocols.setdefault(_panel_title(each.result), {})
        by_change.setdefault(changes[0] if changes else _BASE, []).append(100 * each.result.overall.accuracy)
    changed = {name for by_change in protocols.values() for name, _ in by_change}
    settings = [name for name in ablation.base if name in changed]
    if not settings:
        return None
    columns, rows = min(_COLUMNS, len(settings)), ceil(len(settings) / _COLUMNS)

    def draw(figure: Any) -> None:
        parts = figure.subfigures(len(protocols), 1, squeeze=False)[:, 0]
        for part, (title, by_change) in zip(parts, protocols.items(), strict=True):
            part.suptitle(title, fontsize=11)
            panels = part.subplots(rows, columns, squeeze=False, sharey=True).flat
            for axes, name in zip(panels, settings, strict=False):
                _draw_setting(axes, name, ablation.values(name), format_value(ablation.base[name]), by_change)
            for axes in list(panels)[len(settings) :]:
                axes.axis("off")
            part.supylabel("accuracy, %", fontsize=9)

    height = len(protocols) * (_PANEL_HEIGHT * rows + _TITLE_HEIGHT)
    return render_svg((_PANEL_WIDTH * columns + 0.4, height), draw)


def _draw_setting(axes: Any, name: str, values: Sequence[str], base: str, by_change: ByChange) -> None:
    of_base = by_change.get(_BASE, [])
    if of_base:
        axes.axhline(fmean(of_base), color="C1", linewidth=1, linestyle="--", zorder=1)
    for at, value in enumerate(values):
        accuracies = of_base if value == base else by_change.get((name, value), [])
        if accuracies:
            style = {"color": "C1", "fmt": "D"} if value == base else {"color": "C0", "fmt": "o"}
            spread = stdev(accuracies) if len(accuracies) > 1 else 0.0
            axes.errorbar([at], [fmean(accuracies)], [spread], capsize=3, markersize=5, **style)
            axes.plot([at] * len(accuracies), accuracies, ".", color=style["color"], alpha=0.45, markersize=4)
    axes.set_title(name, fontsize=9)
    axes.set_xlim(-0.5, len(values) - 0.5)
    ticks = [f"{value}\n({BASE_NAME})" if value == base else value for value in values]
    axes.set_xticks(range(len(values)), [tick.replace("+", "+\n") for tick in ticks], fontsize=8)
    axes.get_xticklabels()[values.index(base)].set_color("C1")
    axes.tick_params(axis="y", labelsize=8, labelleft=True)
    if max(len(line) for tick in ticks for line in re.split(r"\+|\n", tick)) * len(values) > 40:
        axes.tick_params(axis="x", labelrotation=20)


def plot_differences(pairs: Sequence[PairedDifference]) -> str | None:
    """Plot differences from the baseline: a dot per seed and a bar at the mean, a panel per protocol.

    Returns:
        The SVG; None if there are no differences.
    """
    panels: dict[str, dict[str, tuple[float, ...]]] = {}
    for pair in pairs:
        rows = panels.setdefault(pair.title, {})
        rows[f"{pair.of}\n- {pair.baseline}"] = pair.differences

    def draw(axes: Any, rows: dict[str, tuple[float, ...]]) -> None:
        axes.axvline(0, color="0.6", linewidth=1)
        for row, differences in enumerate(rows.values()):
            axes.plot(differences, [row] * len(differences), "o", color="C0", alpha=0.6)
            axes.plot([fmean(differences)], [row], "|", color="C1", markersize=18, markeredgewidth=2)
        axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("points")

    return _panels(panels, draw, height=max((len(rows) for rows in panels.values()), default=0) * 0.5 + 1.2)


def _panel_title(result: Result) -> str:
    return f"{data_title(result)}, {protocol_title(result)}"


def _panels(panels: Mapping[str, Any], draw: Callable[[Any, Any], None], height: float = 3.4) -> str | None:
    if not panels:
        return None

    def draw_all(figure: Any) -> None:
        row = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, content) in zip(row, panels.items(), strict=True):
            axes.set_title(title, fontsize=10)
            draw(axes, content)

    return render_svg((5.2 * len(panels), height), draw_all)
