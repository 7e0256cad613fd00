"""A view: one random crop and augmentation of each clip of a batch, the batch last in memory."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.views.augment import joint_matrices
from i2md.views.draws import ViewDraws
from i2md.views.resize import centre_crop, crop_resize, random_crop
from i2md.views.settings import ViewSettings

Batch = Float[Tensor, "batch frames joints channels persons"]


def draw_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    settings: ViewSettings,
    persons: int,
    generator: torch.Generator,
) -> Batch:
    """One view of each clip, all random choices from `generator`. Source: docs/method.md section 2."""
    _, joints, channels = clips.rows.shape
    draws = ViewDraws.draw(len(indices), joints, channels, generator)
    return make_view(clips, indices, settings, persons, draws)


def make_view(
    clips: PackedClips, indices: Int64[Tensor, " batch"], settings: ViewSettings, persons: int, draws: ViewDraws
) -> Batch:
    """The view of each clip that its row of `draws` decides."""
    floor = settings.frames if settings.min_crop_frames is None else settings.min_crop_frames
    begin, length = random_crop(clips, indices, settings.crop, floor, draws.crop)
    matrices = joint_matrices(draws, settings)
    return crop_resize(clips, indices, begin, length, settings.frames, persons, matrices)


def evaluation_view(clips: PackedClips, indices: Int64[Tensor, " batch"], frames: int, persons: int) -> Batch:
    """The middle 95 % of each clip, resized, nothing augmented. Source: docs/method.md section 8."""
    begin, length = centre_crop(clips, indices)
    return crop_resize(clips, indices, begin, length, frames, persons)


def cropped_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    frames: int,
    persons: int,
    fraction: tuple[float, float],
    generator: torch.Generator,
) -> Batch:
    """A random crop of each clip, resized, nothing augmented: how classifiers on top are trained."""
    uniform = torch.rand(2, len(indices), generator=generator, device=generator.device)
    begin, length = random_crop(clips, indices, fraction, frames, uniform)
    return crop_resize(clips, indices, begin, length, frames, persons)
