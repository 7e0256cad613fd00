"""Drawings by matplotlib, as SVG in reports and as PNG beside them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2md.runtime.io import atomic_write


def render_svg(size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """The SVG of a figure; the same drawing gives the same bytes.

    Args:
        size: Width and height in inches.
        draw: Draws on a matplotlib Figure.
    """
    from matplotlib import rc_context

    # Text stays text.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "i2md"}):
        text = io.StringIO()
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        _figure(size, draw).savefig(text, format="svg", metadata=metadata)
    return text.getvalue()


def write_png(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    """Write a figure as PNG, as a whole or not at all.

    Args:
        path: The file.
        size: Width and height in inches, at 110 dots an inch.
        draw: Draws on a matplotlib Figure.
    """
    with atomic_write(path) as partial:
        _figure(size, draw).savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _figure(size: tuple[float, float], draw: Callable[[Any], None]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure)
    return figure
