"""A view: one random crop and augmentation of each clip of a batch, the batch last in memory."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.skeletons import Layout
from i2md.views.augment import ViewDraws, apply_augmentations, joint_matrices
from i2md.views.resize import centre_crop, crop_resize, random_crop
from i2md.views.settings import ViewSettings

Batch = Float[Tensor, "batch frames joints channels persons"]


def draw_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    settings: ViewSettings,
    layout: Layout,
    persons: int,
    generator: torch.Generator,
) -> Batch:
    """One view of each clip, all random numbers from `generator`.

    Args:
        clips: All clips.
        indices: Those to make views of.
        settings: How a view is made.
        layout: The clips' layout.
        persons: Persons in a view; those that a clip lacks are zeros.
        generator: Decides the views.

    Source: docs/method.md section 2.
    """
    draws = ViewDraws.for_views(settings, layout, len(indices), persons, generator)
    return make_view(clips, indices, settings, layout, persons, draws)


def make_view(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    settings: ViewSettings,
    layout: Layout,
    persons: int,
    draws: ViewDraws,
) -> Batch:
    """The view of each clip that its row of `draws` decides: crop, resize, shear or corruption, further augmentations.

    Args:
        clips: All clips.
        indices: Those to make views of.
        settings: How a view is made.
        layout: The clips' layout.
        persons: Persons in a view; those that a clip lacks are zeros.
        draws: The random numbers, a row a clip.

    Source: docs/method.md section 2.
    """
    floor = settings.frames if settings.min_crop_frames is None else settings.min_crop_frames
    begin, length = random_crop(clips, indices, settings.crop, floor, draws.crop)
    matrices = joint_matrices(draws, settings)
    x = crop_resize(clips, indices, begin, length, settings.frames, persons, matrices)
    return apply_augmentations(x, settings, draws, layout)


def evaluation_view(clips: PackedClips, indices: Int64[Tensor, " batch"], frames: int, persons: int) -> Batch:
    """The middle 95 % of each clip, resized, without augmentation.

    Args:
        clips: All clips.
        indices: Those to make views of.
        frames: Length of a view.
        persons: Persons in a view.

    Source: docs/method.md section 8.
    """
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
    """A random crop of each clip, resized, without augmentation: the training views of linear probes.

    Args:
        clips: All clips.
        indices: Those to make views of.
        frames: Length of a view.
        persons: Persons in a view.
        fraction: Least and largest part of a clip that a crop keeps.
        generator: Decides the crops.

    Source: docs/method.md section 8.
    """
    uniform = torch.rand(2, len(indices), generator=generator, device=generator.device)
    begin, length = random_crop(clips, indices, fraction, frames, uniform)
    return crop_resize(clips, indices, begin, length, frames, persons)
