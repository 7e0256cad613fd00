"""A view: one random crop and augmentation of each clip of a batch."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.clips.packed import PackedClips
from i2md.views.augment import corrupt_joints, draw_corruption, draw_joints, draw_shear, transform
from i2md.views.resize import centre_crop, crop_resize, random_crop
from i2md.views.settings import ViewSettings

Batch = Float[Tensor, "batch frames joints channels people"]


def draw_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    settings: ViewSettings,
    people: int,
    generator: torch.Generator,
) -> Batch:
    """One view of each clip, all random choices from `generator`. Source: docs/method.md section 2."""
    floor = settings.frames if settings.crop_floor is None else settings.crop_floor
    begin, length = random_crop(clips, indices, settings.crop, floor, generator)
    x = crop_resize(clips, indices, begin, length, settings.frames, people)
    batch, _, joints, channels, _ = x.shape

    sheared = transform(x, draw_shear(batch, channels, settings.shear, generator))
    chosen = draw_joints(batch, joints, settings.corrupt_share, generator)
    corrupted = corrupt_joints(x, chosen, draw_corruption(batch, channels, generator))
    shear_it = torch.rand(batch, generator=generator, device=x.device) < settings.shear_probability
    return torch.where(shear_it[:, None, None, None, None], sheared, corrupted)


def evaluation_view(clips: PackedClips, indices: Int64[Tensor, " batch"], frames: int, people: int) -> Batch:
    """The middle 95 % of each clip, resized, nothing augmented. Source: docs/method.md section 8."""
    begin, length = centre_crop(clips, indices)
    return crop_resize(clips, indices, begin, length, frames, people)


def cropped_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    frames: int,
    people: int,
    fraction: tuple[float, float],
    generator: torch.Generator,
) -> Batch:
    """A random crop of each clip, resized, nothing augmented: how classifiers on top are trained."""
    begin, length = random_crop(clips, indices, fraction, frames, generator)
    return crop_resize(clips, indices, begin, length, frames, people)
