"""The settings of a view; free of torch, so that reading a recipe is quick."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ViewSettings:
    """How a clip becomes a view. The defaults are the published program's."""

    frames: int = 64
    """Length of a view."""
    crop: tuple[float, float] = (0.1, 1.0)
    """Share of the clip's frames that a crop keeps, drawn uniformly."""
    min_crop_frames: int | None = None
    """A crop has at least so many frames, where the clip has; by default as many as a view."""
    shear: float = 1.0
    """Off-diagonal entries of the shear are uniform in [-shear, shear]."""
    shear_probability: float = 0.5
    """A view is sheared with this probability, else some of its joints are corrupted."""
    corrupt_fraction: float = 0.6
    """Share of the joints that a corruption touches."""
    rotation: float = 0.0
    """Every view is turned about the y axis, the vertical of most preparations, by up to so many degrees either way."""
