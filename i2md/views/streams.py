"""The streams ("modalities") of a skeleton sequence: joint, motion, bone, and those that are registered.

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
