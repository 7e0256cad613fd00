"""Crops of clips, resized in time to one length: linear, at half-pixel centres."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from i2md.data.packed import PackedClips
from i2md.views.augment import JointMatrices, transform

# 600 kB a buffer, the fastest of several sizes; all frames at once take up to 3 times as long.
CACHED_NUMBERS = 160_000


def crop_resize(
    clips: PackedClips,
    indices: Int64[Tensor, " batch"],
    begin: Int64[Tensor, " batch"],
    length: Int64[Tensor, " batch"],
    frames: int,
    persons: int,
    matrices: JointMatrices | None = None,
) -> Float32[Tensor, "batch frames joints channels persons"]:
    """Frames begin to begin + length of each clip, resized to `frames`; persons that a clip lacks are zeros.

    Each position is then multiplied by its joint's of `matrices`. Output frame i reads the source at
    (i + 1/2) length / frames - 1/2, clamped to the crop, between its two neighbours (PyTorch's bilinear without
    aligned corners; golden: crop_resize.npz). In memory the batch is the last axis, the fastest for the GRU encoder.
    """
    rows, weights = _reading(clips, indices, begin, length, frames, persons)
    of_bodies = None if matrices is None else matrices.permute(1, 2, 3, 0).repeat(1, 1, 1, persons)
    _, joints, channels = clips.rows.shape
    bodies = persons * len(indices)
    x = clips.rows.new_empty(frames, joints, channels, bodies)
    for part in _parts(x):
        # Gathers, weighs and adds in one pass: frame after frame, body after body.
        resized = F.embedding_bag(
            rows[part].flatten(0, 1), clips.rows.flatten(1), mode="sum", per_sample_weights=weights[part].flatten(0, 1)
        )
        positions = _bodies_last(resized.view(-1, bodies, joints * channels)).view(x[part].shape)
        if of_bodies is None:
            x[part] = positions
        else:
            transform(positions, of_bodies, out=x[part])
    return x.unflatten(3, (persons, -1)).permute(4, 0, 1, 2, 3)


def _reading(
    clips: PackedClips, indices: Tensor, begin: Tensor, length: Tensor, frames: int, persons: int
) -> tuple[Int32[Tensor, "frames bodies 2"], Float32[Tensor, "frames bodies 2"]]:
    """The two rows that each frame of each body lies between, and their weights; first persons first."""
    ratio = length.to(torch.float32) / frames
    position = (torch.arange(frames, device=begin.device)[:, None] + 0.5) * ratio - 0.5
    position = position.clamp_min(0.0)
    lower = position.int()
    upper = torch.minimum(lower + 1, length.int() - 1)
    weight = position - lower

    person = torch.arange(persons, device=begin.device)[:, None]
    present = person < clips.persons[indices]
    # An absent person reads the first one's rows, with no weight.
    step = clips.frames if clips.person_step is None else clips.person_step
    first = clips.start[indices] + torch.where(present, person, 0) * step[indices] + begin
    rows = first.int()[:, :, None] + torch.stack([lower, upper], dim=-1)[:, None]
    weights = torch.stack([1 - weight, weight], dim=-1)[:, None] * present[:, :, None]
    return rows.flatten(1, 2), weights.flatten(1, 2)


def _bodies_last(x: Float32[Tensor, "frames bodies features"]) -> Float32[Tensor, "frames features bodies"]:
    """x.transpose(1, 2).contiguous(), computed as a channel shuffle of images, three times as fast on a CPU."""
    frames, bodies, features = x.shape
    images = x.view(1, frames, 1, bodies * features).permute(0, 3, 1, 2)
    return F.channel_shuffle(images, bodies).permute(0, 2, 3, 1).view(frames, features, bodies)


def _parts(x: Float32[Tensor, "frames joints channels bodies"]) -> list[slice]:
    """Chunks of frames that fit a core's cache; all frames at once on a GPU."""
    frames = len(x)
    step = max(1, CACHED_NUMBERS // x[0].numel()) if x.device.type == "cpu" else frames
    return [slice(first, first + step) for first in range(0, frames, step)]


def centre_crop(
    clips: PackedClips, indices: Int64[Tensor, " batch"], fraction: float = 0.95
) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
    """Begin and length of the evaluation crop: the middle `fraction`, the same number of frames removed at each end.

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
    uniform: Float32[Tensor, "2 batch"],
) -> tuple[Int64[Tensor, " batch"], Int64[Tensor, " batch"]]:
    """Begin and length of a crop of a uniform random fraction of each clip, anywhere in it.

    Not shorter than `floor` frames, or than the clip where that is shorter. `uniform` numbers in [0, 1) decide the
    length and the position. Source: docs/method.md section 2.
    """
    total = clips.frames[indices]
    low, high = fraction
    length = ((low + (high - low) * uniform[0]) * total).long()
    length = torch.minimum(length.clamp_min(floor), total)
    begin = (uniform[1] * (total - length + 1)).long().minimum(total - length)
    return begin, length
