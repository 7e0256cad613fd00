"""Augmentations made for bodies: other limb lengths, another tempo, a mirrored body, noise and joints that drop out.

Each is chosen by `views.augmentations` and applied in the order given there, after crop, shear, corruption and
rotation; its fields are set by `views.options`: --views.options.limb_lengths.amount 0.15.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from i2md.errors import InputError
from i2md.skeletons import Layout

Clips = Float[Tensor, "batch frames joints channels persons"]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)


@dataclass(frozen=True)
class LimbLengths:
    """Every bone is lengthened or shortened, as if another person moved: the same directions, other limbs.

    Bones of the two sides change alike where the layout knows mirror pairs. The root keeps its place.
    """

    amount: float = 0.15
    """A bone's factor is (1 + a) (1 + b), a drawn for the bone and b for the whole body, both in [-amount, amount]."""

    def __post_init__(self) -> None:
        _require(0 <= self.amount < 1, f"limb_lengths: amount {self.amount} must be at least 0 and below 1")

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Numbers in [0, 1): one a joint for its bone, and one for the body."""
        return torch.rand(shape[0], shape[2] + 1, generator=generator, device=generator.device)

    def apply(self, x: Clips, draws: Float[Tensor, "batch draws"], layout: Layout) -> Clips:
        """Scale the bones of x and put the joints back together from the root outwards."""
        change = 1 + self.amount * (2 * draws - 1)
        parents, sides, below = _bones(layout, x.device)
        extra = change[:, sides] * change[:, -1:] - 1
        bones = (x - x[:, :, parents]) * extra[:, None, :, None, None]
        return x + torch.einsum("vb,ntbcp->ntvcp", below, bones)


@cache
def _bones(layout: Layout, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Parent of each joint; the joint whose draw decides its bone; and (joint, bone) 1 where the bone leads to it."""
    size = len(layout.joints)
    below = torch.zeros(size, size)
    for joint in range(size):
        ancestor = joint
        while layout.parents[ancestor] != ancestor:
            below[joint, ancestor] = 1.0
            ancestor = layout.parents[ancestor]
    sides = [min(joint, other) for joint, other in enumerate(layout.mirror)]
    return torch.tensor(layout.parents, device=device), torch.tensor(sides, device=device), below.to(device)


@dataclass(frozen=True)
class TimeWarp:
    """The tempo varies within a clip: faster in one half, slower in the other."""

    amount: float = 0.1
    """Largest shift of the clip's middle, as a fraction of its length."""

    def __post_init__(self) -> None:
        # The parabola of `apply` runs forwards as long as its height is below a quarter.
        _require(0 <= self.amount < 0.25, f"time_warp: amount {self.amount} must be at least 0 and below 0.25")

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """A number in [0, 1) a clip: how far its middle is moved."""
        return torch.rand(shape[0], generator=generator, device=generator.device)

    def apply(self, x: Clips, draws: Float[Tensor, " batch"], layout: Layout) -> Clips:
        """Read x at t + shift * 4 t (1 - t), t from 0 to 1, by linear interpolation; first and last frame stay."""
        frames = x.shape[1]
        if frames < 3:
            return x
        t = torch.linspace(0, 1, frames, device=x.device)
        shift = self.amount * (2 * draws - 1)
        position = (t + 4 * shift[:, None] * t * (1 - t)) * (frames - 1)
        lower = position.long().clamp(0, frames - 2)
        weight = (position - lower)[:, :, None, None, None]
        clip = torch.arange(len(x), device=x.device)[:, None]
        return torch.lerp(x[clip, lower], x[clip, lower + 1], weight)


@dataclass(frozen=True)
class Mirror:
    """Left and right change places. Not for labels that tell them apart, such as "swipe left"."""

    probability: float = 0.5
    """Probability that a clip is mirrored."""

    def __post_init__(self) -> None:
        _require(0 <= self.probability <= 1, f"mirror: probability {self.probability} must be from 0 to 1")

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """A number in [0, 1) a clip."""
        return torch.rand(shape[0], generator=generator, device=generator.device)

    def apply(self, x: Clips, draws: Float[Tensor, " batch"], layout: Layout) -> Clips:
        """Swap mirror pairs and negate the first coordinate, which preparation makes the one across the body."""
        flip = torch.ones(x.shape[3], device=x.device)
        flip[0] = -1.0
        mirrored = x[:, :, list(layout.mirror)] * flip[:, None]
        return torch.where((draws < self.probability)[:, None, None, None, None], mirrored, x)


@dataclass(frozen=True)
class Noise:
    """The sensor's noise: every coordinate of every frame is moved a little, and independently."""

    amount: float = 0.01
    """Standard deviation, in the unit of the prepared clips (metres for 3-D sensors)."""

    def __post_init__(self) -> None:
        _require(self.amount >= 0, f"noise: amount {self.amount} must be at least 0")

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Normal numbers of the views' shape."""
        return torch.randn(shape, generator=generator, device=generator.device)

    def apply(self, x: Clips, draws: Clips, layout: Layout) -> Clips:
        """Add the noise, but not to persons that are absent."""
        present = (x != 0).flatten(1, 3).any(dim=1)[:, None, None, None]
        return x + self.amount * draws * present


@dataclass(frozen=True)
class DropJoints:
    """Some joints are missing throughout a clip: they are zero, as preparation leaves joints it could not see."""

    fraction: float = 0.3
    """Largest fraction of the joints that are dropped; each clip's own is uniform up to it."""

    def __post_init__(self) -> None:
        _require(0 <= self.fraction <= 1, f"drop_joints: fraction {self.fraction} must be from 0 to 1")

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Numbers in [0, 1): one a joint, and one for the clip's fraction."""
        return torch.rand(shape[0], shape[2] + 1, generator=generator, device=generator.device)

    def apply(self, x: Clips, draws: Float[Tensor, "batch draws"], layout: Layout) -> Clips:
        """Set the joints to zero whose number lies below the clip's fraction."""
        kept = draws[:, :-1] >= self.fraction * draws[:, -1:]
        return x * kept[:, None, :, None, None]
