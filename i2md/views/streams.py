"""The three streams ("modalities") of a skeleton sequence: joint, motion, bone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from i2md.skeletons import Layout

STREAMS = ("joint", "motion", "bone")


def joint(x: Float[Tensor, "batch frames joints channels persons"], layout: Layout) -> Tensor:
    """The positions themselves."""
    return x


def motion(x: Float[Tensor, "batch frames joints channels persons"], layout: Layout) -> Tensor:
    """x[t + 1] - x[t]; the last frame is zero.

    >>> from i2md.skeletons import get_layout
    >>> motion(torch.tensor([1.0, 4.0]).view(1, 2, 1, 1, 1), get_layout("coco-17")).flatten().tolist()
    [3.0, 0.0]
    """
    frames_first = x.movedim(0, -1)
    return torch.cat([frames_first.diff(dim=0), torch.zeros_like(frames_first[:1])]).movedim(-1, 0)


def bone(x: Float[Tensor, "batch frames joints channels persons"], layout: Layout) -> Tensor:
    """Joint minus parent; zero at the root, which is its own parent."""
    frames_first = x.movedim(0, -1)
    return (frames_first - frames_first.index_select(1, _parents(layout, x.device))).movedim(-1, 0)


@cache
def _parents(layout: Layout, device: torch.device) -> Tensor:
    return torch.tensor(layout.parents, device=device)


_FORMULAS: dict[str, Callable[[Tensor, Layout], Tensor]] = {"joint": joint, "motion": motion, "bone": bone}


def stream(
    x: Float[Tensor, "batch frames joints channels persons"], name: str, layout: Layout
) -> Float[Tensor, "batch frames features"]:
    """One stream as an encoder eats it: each frame flattened in the order joints, channels, people.

    Of a view, whose batch is last in memory, it is so too: `.permute(1, 2, 0)` is contiguous.
    Source: docs/method.md section 1; the order is the published program's (golden/README.md).
    """
    return _FORMULAS[name](x, layout).flatten(2)
