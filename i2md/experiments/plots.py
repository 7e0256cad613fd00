"""Drawings of a sweep, as SVG: accuracies by value, and differences from the baseline seed by seed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from i2md.experiments.grid import Combination, value_word
from i2md.experiments.statistics import Paired

# What is drawn in one panel: values by place on the axis, for each line by name.
Lines = dict[str, dict[str, list[float]]]
_BESIDE = 0.05


def draw_by_value(
    results: Sequence[Mapping[str, Any]],
    runs: Mapping[str, tuple[Combination, int]],
    grid: Mapping[str, Sequence[Any]],
) -> str | None:
    """Accuracy by the values of a setting, mean and spread over seeds, a panel a protocol; None without a setting.

    With one setting of several values a line is a stream; with more, the settings but the first numeric one make the
    lines, of the streams together.
    """
    varied = [name for name, values in grid.items() if len(values) > 1]
    if not varied or not results:
        return None
    numeric = [name for name in varied if all(isinstance(value, (int, float)) for value in grid[name])]
    across = (numeric or varied)[0]
    others = [name for name in varied if name != across]
    panels: dict[str, Lines] = {}
    for result in results:
        combination = runs[result["run"]][0]
        panel = panels.setdefault(panel_title(result), {})
        streams = result["accuracy"].items()
        for stream, accuracy in list(streams)[-1:] if others else streams:
            line = ", ".join(f"{name.rpartition('.')[2]}={value_word(combination[name])}" for name in others) or stream
            panel.setdefault(line, {}).setdefault(value_word(combination[across]), []).append(100 * accuracy)
    places = [value_word(value) for value in grid[across]]

    def draw(axes: Any, lines: Lines) -> None:
        for number, (name, by_place) in enumerate(lines.items()):
            values = [by_place[place] for place in places if place in by_place]
            # Side by side, lest one spread hides another.
            aside = _BESIDE * (number - (len(lines) - 1) / 2)
            at = [places.index(place) + aside for place in places if place in by_place]
            spread = [stdev(v) if len(v) > 1 else 0.0 for v in values]
            style = {"marker": "o", "capsize": 3, "label": name, "linestyle": "-" if numeric else "none"}
            (line, *_) = axes.errorbar(at, [fmean(v) for v in values], spread, **style)
            for x, several in zip(at, values, strict=True):
                axes.plot([x] * len(several), several, ".", color=line.get_color(), alpha=0.45, markersize=4)
        axes.set_xticks(range(len(places)), places)
        axes.set_xlabel(across)
        axes.set_ylabel("accuracy, %")
        axes.legend(fontsize=8)

    return _figure(panels, draw)


def draw_differences(pairs: Sequence[Paired]) -> str | None:
    """Each difference from the baseline, a dot a seed and a bar at the mean, a panel a protocol; None without any."""
    panels: dict[str, dict[str, tuple[float, ...]]] = {}
    for pair in pairs:
        panels.setdefault(f"{pair.data}, {pair.protocol}", {})[f"{pair.of}\n- {pair.against}"] = pair.differences

    def draw(axes: Any, rows: dict[str, tuple[float, ...]]) -> None:
        axes.axvline(0, color="0.6", linewidth=1)
        for row, differences in enumerate(rows.values()):
            axes.plot(differences, [row] * len(differences), "o", color="C0", alpha=0.6)
            axes.plot([fmean(differences)], [row], "|", color="C1", markersize=18, markeredgewidth=2)
        axes.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("points")

    return _figure(panels, draw, height=max((len(rows) for rows in panels.values()), default=0) * 0.5 + 1.2)


def panel_title(result: Mapping[str, Any]) -> str:
    """What was evaluated, and how."""
    return f"{result['dataset']} {result['split']}, {result['protocol']}"


def _figure(panels: Mapping[str, Any], draw: Callable[[Any, Any], None], height: float = 3.4) -> str | None:
    if not panels:
        return None

    def draw_all(figure: Any) -> None:
        across = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, content) in zip(across, panels.items(), strict=True):
            axes.set_title(title, fontsize=10)
            draw(axes, content)

    return written((5.2 * len(panels), height), draw_all)


def written(size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """The SVG of what is drawn into a figure of that size, in inches; the same drawing gives the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "i2md"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return text.getvalue()
