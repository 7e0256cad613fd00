"""Pictures of a page, one for each action, as an animation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, COLOURS = 800, 96


class Film:
    """A GIF; without a path nothing is filmed.

    Args:
        path: The file.
        seconds: How long each picture stands.
    """

    def __init__(self, path: str | None, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.pictures: list[Image.Image] = []

    def take(self, page: Any) -> None:
        if self.path:
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            small = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
            self.pictures.append(small)

    def write(self) -> None:
        if self.path:
            # One palette for all, so that what does not change is not stored again.
            palette = self.pictures[-1].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
            first, *others = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in self.pictures]
            duration = round(1000 * self.seconds)
            first.save(Path(self.path), save_all=True, append_images=others, duration=duration, loop=0, optimize=True)
