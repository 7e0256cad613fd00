"""Crops of clips, resized in time to one length: linear, at half-pixel centres."""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from i2md.clips.packed import PackedClips


def crop_resize(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    begin: Int64[Tensor, " batch"],
    length: Int64[Tensor, " batch"],
    frames: int,
    people: int,
) -> Float32[Tensor, "batch frames joints channels people"]:
    """Frames begin to begin + length of each clip, resized to `frames`; people that a clip lacks are zeros.

    Output frame i reads the source at (i + 1/2) length / frames - 1/2, held within the crop, between its
    two neighbours (PyTorch's bilinear without aligned corners; golden: crop_resize.npz).
    """
    ratio = length.to(torch.float32) / frames
    position = (torch.arange(frames, device=begin.device) + 0.5) * ratio[:, None] - 0.5
    position = position.clamp_min(0.0)
    lower = position.long()
    upper = torch.minimum(lower + 1, length[:, None] - 1)
    weight = (position - lower)[..., None, None]

    person = torch.arange(people, device=begin.device)
    present = person < clips.people[indices, None]
    # An absent person reads the first one's rows, and is then zeroed.
    first = clips.start[indices, None] + torch.where(present, person, 0) * clips.frames[indices, None]
    first = (first + begin[:, None])[:, :, None]
    low, high = clips.rows[first + lower[:, None]], clips.rows[first + upper[:, None]]
    resized = low + (high - low) * weight[:, None]
    resized = resized * present[:, :, None, None, None]
    return resized.permute(0, 2, 3, 4, 1)


def centre_crop(
    clips: PackedClips, indices: Int64[Tensor, " batch"], fraction: float = 0.95
) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
    """Begin and length of the evaluation crop: the middle `fraction`, the same number of frames off either end.

    Source: published program; golden: crop_resize.npz, centre_0.95.
    """
    total = clips.frames[indices]
    # Rounded before truncation so that 0.05 * 80 / 2 is 2 in any precision.
    begin = ((1 - fraction) * total.double() / 2 + 1e-9).long()
    return begin, total - 2 * begin


def random_crop(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    fraction: tuple[float, float],
    floor: int,
    generator: torch.Generator,
) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
    """Begin and length of a crop of a uniform random fraction of each clip, anywhere in it.

    Not shorter than `floor` frames, or than the clip where that is shorter. Source: docs/method.md section 2.
    """
    total = clips.frames[indices]
    low, high = fraction
    draw = torch.rand(2, len(indices), generator=generator, device=total.device)
    length = ((low + (high - low) * draw[0]) * total).long()
    length = torch.minimum(length.clamp_min(floor), total)
    begin = (draw[1] * (total - length + 1)).long().minimum(total - length)
    return begin, length
