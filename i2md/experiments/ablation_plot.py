"""Drawing of an ablation, as SVG: a small panel a setting, all on one scale."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil
from statistics import fmean, stdev
from typing import Any

from i2md.experiments.ablation import AS_IS, Ablation
from i2md.experiments.grid import Combination, value_word
from i2md.experiments.plots import panel_title, written

# Accuracies in percent by the setting that was changed and the word of its value; the base's under `_BASE`.
Figures = dict[tuple[str, str], list[float]]
_BASE = ("", "")
_ACROSS = 4
_WIDTH, _HEIGHT, _HEADING = 3.0, 2.3, 0.4


def draw_by_setting(
    results: Sequence[Mapping[str, Any]], runs: Mapping[str, tuple[Combination, int]], ablation: Ablation
) -> str | None:
    """Accuracy of the streams together by the values of each setting, mean, spread and seeds; None without a change.

    Below the heading of each protocol stands a panel a setting, four across, all with one scale; a line and a diamond
    are the base.
    """
    blocks: dict[str, Figures] = {}
    for result in results:
        changes = [(name, value_word(value)) for name, value in runs[result["run"]][0].items()]
        accuracy = list(result["accuracy"].values())[-1]
        block = blocks.setdefault(panel_title(result), {})
        block.setdefault(changes[0] if changes else _BASE, []).append(100 * accuracy)
    changed = {name for block in blocks.values() for name, _ in block}
    settings = [name for name in ablation.base if name in changed]
    if not settings:
        return None
    across, down = min(_ACROSS, len(settings)), ceil(len(settings) / _ACROSS)

    def draw(figure: Any) -> None:
        parts = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
        for part, (title, figures) in zip(parts, blocks.items(), strict=True):
            part.suptitle(title, fontsize=11)
            panels = part.subplots(down, across, squeeze=False, sharey=True).flat
            for axes, name in zip(panels, settings, strict=False):
                _draw_panel(axes, name, ablation.places(name), value_word(ablation.base[name]), figures)
            for axes in list(panels)[len(settings) :]:
                axes.axis("off")
            part.supylabel("accuracy, %", fontsize=9)

    return written((_WIDTH * across + 0.4, len(blocks) * (_HEIGHT * down + _HEADING)), draw)


def _draw_panel(axes: Any, name: str, places: Sequence[str], base: str, figures: Figures) -> None:
    of_base = figures.get(_BASE, [])
    if of_base:
        axes.axhline(fmean(of_base), color="C1", linewidth=1, linestyle="--", zorder=1)
    for at, place in enumerate(places):
        values = of_base if place == base else figures.get((name, place), [])
        if values:
            style = {"color": "C1", "fmt": "D"} if place == base else {"color": "C0", "fmt": "o"}
            spread = stdev(values) if len(values) > 1 else 0.0
            axes.errorbar([at], [fmean(values)], [spread], capsize=3, markersize=5, **style)
            axes.plot([at] * len(values), values, ".", color=style["color"], alpha=0.45, markersize=4)
    axes.set_title(name, fontsize=9)
    axes.set_xlim(-0.5, len(places) - 0.5)
    words = [f"{place}\n({AS_IS})" if place == base else place for place in places]
    axes.set_xticks(range(len(places)), [word.replace("+", "+\n") for word in words], fontsize=8)
    axes.get_xticklabels()[places.index(base)].set_color("C1")
    axes.tick_params(axis="y", labelsize=8, labelleft=True)
    if max(len(line) for word in words for line in re.split(r"\+|\n", word)) * len(places) > 40:
        axes.tick_params(axis="x", labelrotation=20)
