"""The presets of preparation on batches of clips: i2md.data.presets as tensor operations that can be exported.

A clip is never shortened: what is cut is told by its first frame and its length. Everything is computed for all clips
of the batch at once, with masks in place of branches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from i2md.data.body_size import MAX_STRETCH, SPAN_OF_TRUNK
from i2md.data.presets import FIRST_FRAMES, INTERPOLATING_ZEROS, MIN_SHOULDER_RATIO
from i2md.data.recording import MAX_GAP
from i2md.inference.export.missing import Joints, Positions, fill, fill_joints, frame_numbers, only
from i2md.skeletons import Layout

Vectors = Float[Tensor, "batch 3"]
# Above what interpolation over a short gap makes of 1 on one side and 0 on the other.
_BOTH = 1 - 0.5 / (MAX_GAP + 1)


@dataclass(frozen=True)
class Batch:
    """Clips on their way through preparation.

    Attributes:
        x: Positions; persons who are seen come first, the others are zeros.
        begin: First frame of each clip that counts.
        length: How many count from there on.
        count: Persons seen in each clip; a clip without any leads to features of zeros.
    """

    x: Positions
    begin: Int64[Tensor, " batch"]
    length: Int64[Tensor, " batch"]
    count: Int64[Tensor, " batch"]


Step = Callable[[Batch, Layout], Batch]


def prepared(x: Positions, finite: Joints, layout: Layout, preset: str) -> Batch:
    """Prepare clips as `i2md.data.presets.prepare_positions` prepares each.

    Args:
        x: Positions as recorded, zeros where they are not finite.
        finite: Where they are.
        layout: Their joints.
        preset: One of `PRESETS`.
    """
    x = fill_joints(x, finite, layout.centre, preset in INTERPOLATING_ZEROS)
    seen = _seen(x).any(dim=2)
    if x.shape[1] > 1:
        # Those never seen go last; the others keep their order.
        order = torch.where(seen, 0, x.shape[1]) + torch.arange(x.shape[1], device=x.device)
        x = _take(x, order.argsort(dim=1)[:, :, None, None, None].expand_as(x), 1)
    count, begin = seen.sum(dim=1), torch.zeros_like(x[:, 0, 0, 0, 0], dtype=torch.int64)
    batch = Batch(x, begin, begin + x.shape[2], count)
    for step in PRESETS[preset]:
        batch = step(batch, layout)
    return batch


def _take(x: Tensor, index: Tensor, dim: int) -> Tensor:
    return x.gather(dim, index)


def _seen(x: Positions) -> Bool[Tensor, "batch persons frames"]:
    return (x != 0).any(dim=-1).any(dim=-1)


def _held(x: Positions, layout: Layout) -> Joints:
    """Joints that have a value; the centre may lie at the origin."""
    held = (x != 0).any(dim=-1)
    return held | (held.any(dim=-1, keepdim=True) & only(layout.centre, x))


def _first(mask: Bool[Tensor, "batch frames"]) -> Int64[Tensor, " batch"]:
    """The first frame that is True; the last one where none is."""
    frames = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, frames, mask.shape[1] - 1).amin(dim=1)


def _median(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Median over the last axis of what is known, the mean of both in the middle; and how many are known."""
    count = known.sum(dim=-1, keepdim=True)
    ordered = torch.where(known, values, torch.inf).sort(dim=-1).values
    last = values.shape[-1] - 1
    low, high = (ordered.gather(-1, (at // 2).clamp(0, last)) for at in (count - 1, count))
    return torch.where(count > 0, (low + high) / 2, 0.0)[..., 0], count[..., 0]


def _cut_and_fill(batch: Batch, layout: Layout) -> Batch:
    """Frames without any person at either end do not count; a single person is interpolated over short gaps."""
    x, seen = batch.x, _seen(batch.x)
    occupied = seen.any(dim=1)
    begin = _first(occupied)
    end = occupied.shape[1] - _first(occupied.flip(1))
    frame = torch.arange(x.shape[2], device=x.device)
    inside = (frame >= begin[:, None]) & (frame < end[:, None]) & (batch.count == 1)[:, None]
    first, known = x[:, :1], seen[:, :1, :, None].expand(-1, -1, -1, x.shape[3])
    lost = (inside[:, None, :, None] & ~known).expand_as(known)
    filled = fill(first, known, lost, known)
    # A joint that is missing on one side of a gap stays so.
    there = _held(first, layout)
    both = fill(there[..., None].to(x.dtype), known, lost, known)[..., 0] > _BOTH
    filled = torch.where((lost & ~both)[..., None], 0.0, filled)
    x = torch.cat([filled, x[:, 1:]], dim=1) if x.shape[1] > 1 else filled
    return replace(batch, x=x, begin=begin, length=(end - begin).clamp_min(1))


def _face(batch: Batch, layout: Layout) -> Batch:
    present = (batch.x != 0).any(dim=-1, keepdim=True)
    first = _first(present[:, 0, :, layout.centre, 0])
    x = (batch.x - _at(batch.x[:, 0, :, layout.centre], first)[:, None, None, None]) * present
    direction = np.asarray(layout.up, dtype=np.float64) / np.linalg.norm(layout.up)
    up = torch.tensor(direction, dtype=x.dtype, device=x.device)
    axis = np.eye(3)[0] if abs(direction[0]) < 0.9 else np.eye(3)[1]
    ahead = torch.tensor(axis - (axis @ direction) * direction, dtype=x.dtype, device=x.device)
    across = _first_across(x[:, 0], layout, up)
    sine = torch.linalg.cross(across, ahead.expand_as(across)) @ up
    return replace(batch, x=_turned(x, up.expand_as(across), sine, across @ ahead))


def _first_across(person: Float[Tensor, "batch frames joints 3"], layout: Layout, up: Float[Tensor, " 3"]) -> Vectors:
    """Left to right of the body, from above, in the first frames; over the clip where those do not show it."""
    left, right = person[:, :, layout.across[0]], person[:, :, layout.across[1]]
    valid = (left != 0).any(dim=-1) & (right != 0).any(dim=-1)
    across = right - left
    level = (across - (across @ up)[..., None] * up) * valid[..., None]
    number = valid.sum(dim=1, keepdim=True)
    early = valid & (valid.to(torch.int64).cumsum(dim=1) <= FIRST_FRAMES)
    first = (level * early[..., None]).sum(dim=1) / number.clamp(1, FIRST_FRAMES)
    width, _ = _median(torch.linalg.vector_norm(across, dim=-1), valid)
    shown = torch.linalg.vector_norm(first, dim=-1) > MIN_SHOULDER_RATIO * width
    return torch.where(shown[:, None], first, level.sum(dim=1) / number.clamp_min(1))


def _turned(x: Positions, axis: Vectors, sine: Float[Tensor, " batch"], cosine: Float[Tensor, " batch"]) -> Positions:
    """Turned about unit vectors by the angles of these sines and cosines, scaled alike; not where both are 0."""
    square = sine.square() + cosine.square()
    none = square == 0
    size = torch.where(none, 1.0, square).sqrt()
    sine, cosine = sine / size, torch.where(none, 1.0, cosine / size)
    a, b, c = axis.unbind(dim=1)
    zero = torch.zeros_like(a)
    cross = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], dim=1).view(-1, 3, 3)
    turn = torch.eye(3, dtype=x.dtype, device=x.device) + sine[:, None, None] * cross
    turn = turn + (1 - cosine)[:, None, None] * (cross @ cross)
    return (x.flatten(1, 3) @ turn.transpose(1, 2)).view(x.shape)


def _at(x: Float[Tensor, "batch frames channels"], frame: Int64[Tensor, " batch"]) -> Float[Tensor, "batch channels"]:
    return x.gather(1, frame[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]


def _to_rigid_bodies(batch: Batch, layout: Layout) -> Batch:
    x, parents = batch.x, list(layout.parents)
    held = _held(x, layout)
    bones = x - x[:, :, :, parents]
    lengths = torch.linalg.vector_norm(bones, dim=-1)
    known = held & held[..., parents] & (lengths > 0)
    wanted, sizes = _lengths_and_sizes(lengths, known, layout)
    factors = torch.where(known, wanted[:, :, None] / torch.where(known, lengths, 1.0), 1.0)
    moved = torch.where(known, factors.clamp_max(MAX_STRETCH) - 1, 0.0)[..., None] * bones
    moved = torch.einsum("bpfjc,kj->bpfkc", moved, _below(layout, x))
    moved = moved - moved[:, :, :, layout.centre, None]
    centre = x[:, :, :, layout.centre, None]
    body = (x + moved - centre) / sizes[:, :, None, None, None]
    return replace(batch, x=torch.where(held[..., None], centre / sizes[:, :1, None, None, None] + body, 0.0))


def _lengths_and_sizes(lengths: Tensor, known: Joints, layout: Layout) -> tuple[Tensor, Tensor]:
    """The length that each bone is to have, and each person's size; without any bone that of the first with some."""
    medians, number = _median(lengths.transpose(2, 3), known.transpose(2, 3))
    there, mirror = (number > 0).to(lengths.dtype), list(layout.mirror)
    sides = (medians * there + (medians * there)[..., mirror]) / (there + there[..., mirror]).clamp_min(1)
    has = ((there + there[..., mirror]) > 0).to(lengths.dtype)
    sizes = (sides * has).sum(dim=-1) / has.sum(dim=-1).clamp_min(1)
    first = torch.ones_like(sizes[:, 0])
    for person in reversed(range(sizes.shape[1])):
        first = torch.where(sizes[:, person] > 0, sizes[:, person], first)
    return sides, torch.where(sizes > 0, sizes, first[:, None])


def _below(layout: Layout, x: Tensor) -> Float[Tensor, "joints joints"]:
    """1 where the bone that ends in a joint (column) is on the way from the root to another one (row)."""
    below = np.zeros((len(layout.joints),) * 2, dtype=np.float32)
    for joint in range(len(below)):
        ancestor = joint
        while layout.parents[ancestor] != ancestor:
            below[joint, ancestor] = 1.0
            ancestor = layout.parents[ancestor]
    return torch.tensor(below, dtype=x.dtype, device=x.device)


def _to_unit_trunk(batch: Batch, layout: Layout) -> Batch:
    person, held = batch.x[:, 0], _held(batch.x, layout)[:, 0]
    lower, upper = layout.spine
    lengths = torch.linalg.vector_norm(person[:, :, upper] - person[:, :, lower], dim=-1)
    trunk, number = _median(lengths, held[:, :, lower] & held[:, :, upper] & (lengths > 0))
    spread = (
        torch.where(held[..., None], person, torch.inf).amin(dim=2),
        torch.where(held[..., None], person, -torch.inf).amax(dim=2),
    )
    several = held.sum(dim=2) > 1
    spans = torch.linalg.vector_norm(torch.where(several[..., None], spread[1] - spread[0], 0.0), dim=-1)
    span, spanned = _median(spans, several & (spans > 0))
    size = torch.where(number > 0, trunk, torch.where(spanned > 0, span / SPAN_OF_TRUNK, 1.0))
    return replace(batch, x=batch.x / size[:, None, None, None, None])


def _centre(batch: Batch, layout: Layout) -> Batch:
    present = (batch.x != 0).any(dim=-1, keepdim=True)
    first = _first(present[:, 0, :, :, 0].any(dim=2))
    joints = len(layout.joints)
    body = _at(batch.x[:, 0].flatten(2), first).view(len(first), joints, -1)
    seen = (body != 0).any(dim=-1, keepdim=True).to(body.dtype)
    mean = (body * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1)
    centre = torch.where(seen[:, layout.centre] > 0, body[:, layout.centre], mean)
    return replace(batch, x=(batch.x - centre[:, None, None, None]) * present)


def _close_up(batch: Batch, layout: Layout) -> Batch:
    """A person absent from the first frame loses all empty frames; the clip ends with its last person."""
    seen, frame = _seen(batch.x), frame_numbers(batch.x)
    later = ~seen & ~seen[:, :, :1]
    order = (torch.where(later, batch.x.shape[2], 0) + frame).argsort(dim=2)
    x = _take(batch.x, order[..., None, None].expand_as(batch.x), 2)
    ends = torch.where(_seen(x), frame + 1, 0).amax(dim=2)
    return replace(batch, x=x, length=ends.amax(dim=1).clamp_min(1))


def _repeat_tails(batch: Batch, layout: Layout) -> Batch:
    frame = frame_numbers(batch.x)
    ends = torch.where(_seen(batch.x), frame + 1, 0).amax(dim=2, keepdim=True).clamp_min(1)
    return replace(batch, x=_take(batch.x, (frame % ends)[..., None, None].expand_as(batch.x), 2))


def _centre_each_frame(batch: Batch, layout: Layout) -> Batch:
    # In the order of i2md.data.presets: a joint is missing where the sum of its coordinates is zero.
    total = batch.x.double()
    present = (total[..., 0:1] + total[..., 1:2] + total[..., 2:3]) != 0
    return replace(batch, x=(batch.x - batch.x[:, :1, :, layout.centre, None]) * present)


def _aligning(ends: str, target: tuple[float, float, float]) -> Step:
    """All turned as it takes to bring the first person's first bone between two joints along `target`."""

    def align(batch: Batch, layout: Layout) -> Batch:
        lower, upper = getattr(layout, ends)
        bone = batch.x[:, 0, 0, upper] - batch.x[:, 0, 0, lower]
        along = torch.tensor(target, dtype=bone.dtype, device=bone.device)
        axis = torch.linalg.cross(bone, along.expand_as(bone))
        sine = torch.linalg.vector_norm(axis, dim=1)
        still = sine < 1e-6
        axis = axis / torch.where(still, 1.0, sine)[:, None]
        sine, cosine = torch.where(still, 0.0, sine), torch.where(still, 1.0, bone @ along)
        return replace(batch, x=_turned(batch.x, axis, sine, cosine))

    return align


# The presets that can be computed of one clip by itself, in the order of i2md.data.presets.
PRESETS: dict[str, tuple[Step, ...]] = {
    "ntu": (
        _close_up,
        _repeat_tails,
        _centre_each_frame,
        _aligning("spine", (0.0, 0.0, 1.0)),
        _aligning("across", (1.0, 0.0, 0.0)),
    ),
    "facing": (_cut_and_fill, _face),
    "facing-scaled": (_cut_and_fill, _face, _to_unit_trunk),
    "facing-rigid": (_cut_and_fill, _face, _to_rigid_bodies),
    "centred-scaled": (_cut_and_fill, _centre, _to_unit_trunk),
    "none": (),
}
