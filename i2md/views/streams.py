"""The three streams ("modalities") of a skeleton sequence: joint, motion, bone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from i2md.skeletons import Layout

STREAMS = ("joint", "motion", "bone")


def joint(x: Float[Tensor, "batch frames joints channels people"], layout: Layout) -> Tensor:
    """The positions themselves."""
    return x


def motion(x: Float[Tensor, "batch frames joints channels people"], layout: Layout) -> Tensor:
    """x[t + 1] - x[t]; the last frame is zero.

    >>> from i2md.skeletons import get_layout
    >>> motion(torch.tensor([1.0, 4.0]).view(1, 2, 1, 1, 1), get_layout("coco-17")).flatten().tolist()
    [3.0, 0.0]
    """
    return torch.cat([x[:, 1:] - x[:, :-1], torch.zeros_like(x[:, :1])], dim=1)


def bone(x: Float[Tensor, "batch frames joints channels people"], layout: Layout) -> Tensor:
    """Joint minus parent; zero at the root, which is its own parent."""
    return x - x[:, :, list(layout.parents)]


_FORMULAS: dict[str, Callable[[Tensor, Layout], Tensor]] = {"joint": joint, "motion": motion, "bone": bone}


def stream(
    x: Float[Tensor, "batch frames joints channels people"], name: str, layout: Layout
) -> Float[Tensor, "batch frames features"]:
    """One stream as an encoder eats it: each frame flattened in the order joints, channels, people.

    Source: docs/method.md section 1; the order is the published program's (golden/README.md).
    """
    return _FORMULAS[name](x, layout).flatten(2)
