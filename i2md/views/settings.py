"""The settings of a view, and the registries of streams and augmentations; free of torch, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from i2md.runtime.registry import Registry

# Functions (x, layout) -> tensor of the same shape, x of shape (batch, frames, joints, channels, persons).
STREAMS: Registry[Any] = Registry(
    "stream",
    "i2md.streams",
    {name: f"i2md.views.streams:{name}" for name in ("joint", "motion", "bone", "acceleration", "angle", "distance")},
)
# Frozen dataclasses with the methods of `i2md.views.augment.Augmentation`; their fields are their settings.
AUGMENTATIONS: Registry[Any] = Registry(
    "augmentation",
    "i2md.augmentations",
    {
        "limb_lengths": "i2md.views.body:LimbLengths",
        "time_warp": "i2md.views.body:TimeWarp",
        "mirror": "i2md.views.body:Mirror",
        "noise": "i2md.views.body:Noise",
        "drop_joints": "i2md.views.body:DropJoints",
    },
)


@dataclass(frozen=True)
class ViewSettings:
    """How a view of a clip is made. The defaults are the reference implementation's."""

    frames: int = 64
    """Length of a view."""
    crop: tuple[float, float] = (0.1, 1.0)
    """Share of the clip's frames that a crop keeps, drawn uniformly."""
    min_crop_frames: int | None = None
    """Least length of a crop, where the clip is as long; by default that of a view."""
    shear: float = 1.0
    """Off-diagonal entries of the shear are uniform in [-shear, shear]."""
    shear_probability: float = 0.5
    """Probability that a view is sheared; else some of its joints are corrupted."""
    corrupt_fraction: float = 0.6
    """Share of the joints that a corruption touches."""
    rotation: float = 0.0
    """Largest angle, in degrees, of a view's rotation about the y axis, which is the vertical of most presets."""
    short_crops: int = 0
    """Further views of each clip, shorter crops, that are contrasted with the clip's key too (multi-crop)."""
    short_crop: tuple[float, float] = (0.3, 0.6)
    """Share of the clip's frames that a short crop keeps, drawn uniformly."""
    short_frames: int = 16
    """Length of a short view, which is also the least length of its crop."""
    augmentations: tuple[str, ...] = ()
    """Further augmentations, applied in this order: limb_lengths, time_warp, mirror, noise, drop_joints
    (i2md.views.body), or registered ones (entry point group i2md.augmentations)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of further augmentations: --views.options.NAME.SETTING VALUE."""

    @property
    def short(self) -> ViewSettings:
        """The same for the short views."""
        return replace(self, frames=self.short_frames, crop=self.short_crop, min_crop_frames=None)
