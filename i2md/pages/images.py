"""A grid of skeletons as a GIF, an MP4 or a PNG, for slides: drawn by matplotlib, all bodies in one collection."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from i2md.errors import InputError
from i2md.pages.gallery import EXCERPT, ViewedClip
from i2md.pages.skeletons import even_steps, sides_of, viewing_axes
from i2md.runtime.io import atomic_write, check_target
from i2md.skeletons import Layout

MOST_CLIPS = 12
_FPS = 15
_MOST_FRAMES = 150
# Colours of the page on white: left side, right side, midline.
_COLOURS = {"left": "#2c65c9", "right": "#b44a14", "": "#1c1f23"}
_TURN = 0.45
# Moments of a clip that a still image shows, the earlier ones paler.
_MOMENTS = ((0.15, 0.22), (0.5, 0.45), (0.85, 1.0))


class Drawable(Protocol):
    """Clips that can be drawn: those of any page."""

    @property
    def path(self) -> str: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    @property
    def clips(self) -> list[ViewedClip]: ...


def write_images(viewed: Drawable, paths: Mapping[str, Path]) -> None:
    """Write images of up to 12 of the clips of a page.

    Args:
        viewed: What the page shows.
        paths: Files to write, by kind: gif, mp4 or png. Each is written as a whole or not at all.

    Raises:
        InputError: There is no clip to draw.
    """
    if not paths:
        return
    if not viewed.clips:
        raise InputError(f"{viewed.path}: no clip to draw")
    from matplotlib.figure import Figure

    grid = _Grid(viewed)
    for kind, path in paths.items():
        figure = Figure(figsize=grid.size, dpi=100, facecolor="white")
        with tempfile.TemporaryDirectory() as folder:
            # Writers choose the format by the name of the file, which that of an unfinished file does not have.
            made = Path(folder) / f"drawn.{kind}"
            grid.still(figure, made) if kind == "png" else grid.animation(figure, made, kind)
            with atomic_write(path) as partial:
                shutil.copyfile(made, partial)


def check_images(paths: Mapping[str, Path]) -> None:
    """Check that images can be written, before work is spent on them.

    Args:
        paths: Files to write, by kind: gif, mp4 or png.

    Raises:
        InputError: A path cannot be written, or an MP4 is asked for and there is no ffmpeg.
    """
    for path in paths.values():
        check_target(path, file=True)
    if "mp4" not in paths:
        return
    import matplotlib
    from matplotlib.animation import FFMpegWriter

    if FFMpegWriter.isAvailable():
        return
    try:
        import imageio_ffmpeg

        matplotlib.rcParams["animation.ffmpeg_path"] = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise InputError(
            f"{paths['mp4']}: an MP4 needs ffmpeg; install it by pip install 'i2md[video]', or write a GIF by --gif"
        ) from None


class _Grid:
    """The clips of a page, each in a cell of one unit."""

    def __init__(self, viewed: Drawable) -> None:
        clips = [viewed.clips[place] for place in even_steps(len(viewed.clips), MOST_CLIPS)]
        self.columns = min(len(clips), 4)
        rows = -(-len(clips) // self.columns)
        self.size = (2.1 * self.columns, 2.4 * rows)
        self.layout = viewed.layout
        names = viewed.class_names
        self.titles = [names[clip.label] if 0 <= clip.label < len(names) else clip.name for clip in clips]
        axes = viewing_axes([clip.prepared for clip in clips], viewed.layout)
        self.bodies = [_flattened(clip.prepared[:, : max(1, round(EXCERPT * clip.rate))], axes) for clip in clips]
        self.rates = [clip.rate for clip in clips]

    def segments(self, place: int, time: float) -> Iterator[np.ndarray]:
        """The bones of the persons of a clip, at a time from 0 to 1, in the cell of its place."""
        body = self.bodies[place]
        frame = round(time * (body.shape[1] - 1))
        cell = np.array([place % self.columns, -1.18 * (place // self.columns)])
        for person in body[:, frame]:
            shown = np.isfinite(person).all(axis=1)
            for parent, child in self.layout.bones:
                ends = person[[parent, child]] + cell
                yield ends if shown[parent] and shown[child] else np.full((2, 2), np.nan)

    def prepare(self, figure: Any) -> Any:
        """The axes of all cells, with the titles."""
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-0.5, self.columns - 0.5)
        axes.set_ylim(-1.18 * (-(-len(self.bodies) // self.columns) - 1) - 0.64, 0.5)
        axes.axis("off")
        for place, title in enumerate(self.titles):
            shown = title if len(title) <= 26 else f"{title[:25]}\N{HORIZONTAL ELLIPSIS}"
            where = (place % self.columns, -1.18 * (place // self.columns) - 0.55)
            # A name may hold what matplotlib takes for formulas.
            axes.text(*where, shown, ha="center", va="center", fontsize=8, color="#545c65", parse_math=False)
        return axes

    def lines(self, axes: Any, times: list[float], alpha: float = 1.0) -> Any:
        from matplotlib.collections import LineCollection

        drawn = [segment for place, time in enumerate(times) for segment in self.segments(place, time)]
        side = sides_of(self.layout)
        sides = [_COLOURS[side[child]] for _, child in self.layout.bones]
        colours = sides * (len(drawn) // max(len(sides), 1))
        return axes.add_collection(LineCollection(drawn, colors=colours, linewidths=2, alpha=alpha, capstyle="round"))

    def still(self, figure: Any, path: Path) -> None:
        axes = self.prepare(figure)
        for time, alpha in _MOMENTS:
            self.lines(axes, [time] * len(self.bodies), alpha)
        figure.savefig(path)

    def animation(self, figure: Any, path: Path, kind: str) -> None:
        from matplotlib.animation import FFMpegWriter, PillowWriter

        axes = self.prepare(figure)
        lines = self.lines(axes, [0.0] * len(self.bodies))
        seconds = [body.shape[1] / rate for body, rate in zip(self.bodies, self.rates, strict=True)]
        frames = min(_MOST_FRAMES, max(2, round(max(seconds) * _FPS)))
        writer = PillowWriter(fps=_FPS) if kind == "gif" else FFMpegWriter(fps=_FPS, bitrate=1800)
        with writer.saving(figure, str(path), dpi=100):
            for frame in range(frames):
                passed = frame / _FPS
                times = [(passed % length) / length for length in seconds]
                lines.set_segments([s for place, time in enumerate(times) for s in self.segments(place, time)])
                writer.grab_frame()


def _flattened(
    positions: Float[np.ndarray, "persons frames joints channels"], axes: Float[np.ndarray, "3 channels"]
) -> Float[np.ndarray, "persons frames joints 2"]:
    """Positions in the plane of the picture, within -0.45 to 0.45; missing joints are NaN."""
    seen = np.isfinite(positions).all(axis=-1) & np.asarray(positions.any(axis=-1))
    turned = np.where(seen[..., None], positions, np.nan) @ axes.T
    turn = _TURN if positions.shape[-1] == 3 else 0.0
    flat = np.stack([turned[..., 0] * np.cos(turn) + turned[..., 2] * np.sin(turn), turned[..., 1]], axis=-1)
    if not seen.any():
        return flat
    low, high = (limit(flat, axis=(0, 1, 2)) for limit in (np.nanmin, np.nanmax))
    return 0.9 * (flat - (low + high) / 2) / max(float((high - low).max()), 1e-12)
