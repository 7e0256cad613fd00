"""A confusion matrix as a picture: a row for each true class, shaded by the share of its clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from i2md.errors import InputError
from i2md.evaluation.report.class_names import full_names, shortened_names
from i2md.evaluation.report.drawing import render_svg, write_png
from i2md.runtime.io import write_text

SUFFIXES = (".png", ".svg")
# Characters of a class, and classes up to which cells show their counts.
_NAME, _WITH_COUNTS = 24, 40
# Inches of a cell, and of the names beside them.
_CELL, _MARGIN = 0.3, 2.2


def check_picture(path: Path) -> None:
    """Check the name of a picture.

    Args:
        path: The file.

    Raises:
        InputError: It is neither a .png nor an .svg.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: pictures are written as .png or .svg; name such a file")


def write_confusion(
    path: Path, counts: Sequence[Sequence[int]], class_names: Sequence[str], title: str, unit: str = "clips"
) -> None:
    """Write a confusion matrix as a picture.

    Args:
        path: A .png or an .svg.
        counts: Number by true class (rows) and predicted class (columns).
        class_names: Of the classes.
        title: Above the matrix.
        unit: What is counted.
    """
    size, draw = _figure(np.array(counts), shortened_names(full_names(class_names, len(counts)), _NAME), title, unit)
    if path.suffix.lower() == ".svg":
        write_text(path, render_svg(size, draw))
    else:
        write_png(path, size, draw)


def _figure(
    counts: np.ndarray, names: Sequence[str], title: str, unit: str
) -> tuple[tuple[float, float], Callable[[Any], None]]:
    number = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(_CELL * number, 2.4)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(number), names, rotation=90, fontsize=8)
        axes.set_yticks(range(number), [f"{name} ({n})" for name, n in zip(names, counts.sum(axis=1), strict=True)])
        axes.tick_params(axis="y", labelsize=8, length=0)
        axes.tick_params(axis="x", length=0)
        axes.set_xticks(np.arange(number + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(number + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.85", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted", fontsize=9)
        axes.set_ylabel(f"true class (number of {unit})", fontsize=9)
        figure.suptitle(title, fontsize=10)
        if number > _WITH_COUNTS:
            return
        for true, row in enumerate(counts.tolist()):
            for predicted, count in enumerate(row):
                if count:
                    colour = "white" if shares[true, predicted] > 0.55 else "0.15"
                    axes.text(predicted, true, count, ha="center", va="center", fontsize=7, color=colour)

    return (side + _MARGIN + 0.3, side + _MARGIN), draw
