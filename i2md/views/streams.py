"""The streams ("modalities") of a skeleton sequence: joint, motion and bone, as published; acceleration, angle and
distance; and those that are registered.

A stream is a function from positions (batch, frames, joints, channels, persons) and the layout to a tensor of the same
shape. `STREAMS.register(name, function)` or an entry point of the group i2md.streams adds one.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from i2md.errors import InputError
from i2md.skeletons import Layout
from i2md.views.settings import STREAMS

Clips = Float[Tensor, "batch frames joints channels persons"]


def joint(x: Clips, layout: Layout) -> Clips:
    """The positions themselves."""
    return x


def motion(x: Clips, layout: Layout) -> Clips:
    """x[t + 1] - x[t]; the last frame is zero.

    >>> from i2md.skeletons import get_layout
    >>> motion(torch.tensor([1.0, 4.0]).view(1, 2, 1, 1, 1), get_layout("coco-17")).flatten().tolist()
    [3.0, 0.0]
    """
    frames_first = x.movedim(0, -1)
    return torch.cat([frames_first.diff(dim=0), torch.zeros_like(frames_first[:1])]).movedim(-1, 0)


def bone(x: Clips, layout: Layout) -> Clips:
    """Joint minus parent; zero at the root, which is its own parent."""
    frames_first = x.movedim(0, -1)
    return (frames_first - frames_first.index_select(1, _parents(layout, x.device))).movedim(-1, 0)


def acceleration(x: Clips, layout: Layout) -> Clips:
    """x[t + 1] - 2 x[t] + x[t - 1]; the first and the last frame are zero.

    >>> from i2md.skeletons import get_layout
    >>> acceleration(torch.tensor([1.0, 4.0, 9.0]).view(1, 3, 1, 1, 1), get_layout("coco-17")).flatten().tolist()
    [0.0, 2.0, 0.0]
    """
    frames_first = x.movedim(0, -1)
    inner = frames_first[2:] - 2 * frames_first[1:-1] + frames_first[:-2]
    still = torch.zeros_like(frames_first[:1])
    return torch.cat([still, inner, still])[: len(frames_first)].movedim(-1, 0)


def angle(x: Clips, layout: Layout) -> Clips:
    """Cosines of the angles between a joint's bone and its parent's bone, the trunk and, in 3-D, the shoulder line.

    In the order of the channels. Neither where a body stands, nor its size or the way it faces, changes them. Zero
    where a bone has no length, as at the root.
    """
    positions = x.movedim(0, -1)
    directions = _unit(bone(x, layout).movedim(0, -1))
    lines = [_unit(positions[:, ends[1], None] - positions[:, ends[0], None]) for ends in (layout.spine, layout.across)]
    others = [directions.index_select(1, _parents(layout, x.device)), *lines][: x.shape[3]]
    return torch.stack([(directions * other).sum(dim=2) for other in others], dim=2).movedim(-1, 0)


def distance(x: Clips, layout: Layout) -> Clips:
    """Distances of a joint to its counterpart on the other side and to the upper and, in 3-D, lower end of the trunk.

    In the order of the channels. Neither where a body stands nor the way it faces changes them.
    """
    positions = x.movedim(0, -1)
    lower, upper = layout.spine
    others = [positions[:, list(layout.mirror)], positions[:, upper, None], positions[:, lower, None]][: x.shape[3]]
    return torch.stack([_norm(positions - other) for other in others], dim=2).movedim(-1, 0)


def _norm(
    vectors: Float[Tensor, "frames joints channels persons batch"],
) -> Float[Tensor, "frames joints persons batch"]:
    return torch.linalg.vector_norm(vectors, dim=2)


def _unit(vectors: Float[Tensor, "frames joints channels persons batch"]) -> Tensor:
    """Vectors of length 1, or 0 where they have no length."""
    return vectors / _norm(vectors)[:, :, None].clamp_min(1e-6)


@cache
def _parents(layout: Layout, device: torch.device) -> Tensor:
    return torch.tensor(layout.parents, device=device)


def stream(
    x: Float[Tensor, "batch frames joints channels persons"], name: str, layout: Layout
) -> Float[Tensor, "batch frames joints channels persons"]:
    """Compute one stream of a batch of clips.

    Args:
        x: Joint positions; of a view, whose batch is last in memory, the stream's is so too.
        name: A registered stream.
        layout: The joints, for streams that need parents or sides.

    Returns:
        The stream, of the same shape as `x`.

    Raises:
        InputError: The stream is unknown, or has another shape than its input.

    Source: docs/method.md section 1.
    """
    out = STREAMS[name](x, layout)
    if out.shape != x.shape:
        raise InputError(f"stream {name!r}: its shape {tuple(out.shape)} differs from its input's {tuple(x.shape)}")
    return out
