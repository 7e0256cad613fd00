"""Spatial augmentation of a batch: shear, or corruption of some joints."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Batch = Float[Tensor, "batch frames joints channels people"]
Matrices = Float[Tensor, "batch channels channels"]


def transform(x: Batch, matrices: Matrices) -> Batch:
    """Each position p of clip b becomes matrices[b] p."""
    return torch.einsum("bdc,btvcm->btvdm", matrices, x)


def draw_shear(batch: int, channels: int, amplitude: float, generator: torch.Generator) -> Matrices:
    """Matrices with a unit diagonal, the rest uniform in [-amplitude, amplitude], one a clip.

    Source: docs/method.md section 2 (amplitude 1).
    """
    matrices = _uniform((batch, channels, channels), amplitude, generator)
    diagonal = torch.arange(channels, device=matrices.device)
    matrices[:, diagonal, diagonal] = 1.0
    return matrices


def draw_joints(batch: int, joints: int, share: float, generator: torch.Generator) -> Bool[Tensor, "batch joints"]:
    """A set of round(share * joints) joints a clip: 15 of 25 at the published share of 0.6."""
    order = torch.rand(batch, joints, generator=generator, device=generator.device).argsort(1).argsort(1)
    return order < round(share * joints)


def corrupt_joints(x: Batch, chosen: Bool[Tensor, "batch joints"], matrices: Matrices) -> Batch:
    """Multiply the chosen joints by the clip's matrix (a zero matrix erases them); leave the others."""
    return torch.where(chosen[:, None, :, None, None], transform(x, matrices), x)


def draw_corruption(batch: int, channels: int, generator: torch.Generator) -> Matrices:
    """With probability 1/2 zero, else uniform in [-1, 1]. Source: docs/method.md section 2."""
    zeroed = torch.rand(batch, generator=generator, device=generator.device) < 0.5
    return _uniform((batch, channels, channels), 1.0, generator) * ~zeroed[:, None, None]


def _uniform(shape: tuple[int, ...], amplitude: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(*shape, generator=generator, device=generator.device) * 2 - 1) * amplitude
