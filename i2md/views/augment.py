"""Spatial augmentation of a batch: shear, or corruption of some joints, as one matrix a joint."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from i2md.views.draws import ViewDraws
from i2md.views.settings import ViewSettings

Matrices = Float[Tensor, "batch channels channels"]
JointMatrices = Float[Tensor, "batch joints channels channels"]


def transform(
    positions: Float[Tensor, "frames joints channels bodies"],
    matrices: Float[Tensor, "joints channels channels bodies"],
    out: Float[Tensor, "frames joints channels bodies"],
) -> None:
    """Each position p of joint v of body b becomes matrices[v, :, :, b] p, in `out`.

    A sum of a product a channel over all bodies at once: many products of small matrices take several times as long.
    """
    torch.mul(positions[:, :, :1], matrices[:, :, 0], out=out)
    for channel in range(1, matrices.shape[2]):
        out.addcmul_(positions[:, :, channel : channel + 1], matrices[:, :, channel])


def joint_matrices(draws: ViewDraws, settings: ViewSettings) -> JointMatrices:
    """What each joint is multiplied by: its clip's shear, or its corruption, or nothing.

    A clip is sheared, all of it, or some of its joints are corrupted, never both. Source: docs/method.md section 2.
    """
    sheared = draws.choice < settings.shear_probability
    shears = shear_matrices(draws.shear, settings.shear)
    corruptions = corruption_matrices(draws.corruption, draws.erase)
    touched = sheared[:, None] | chosen_joints(draws.joints, settings.corrupt_fraction)
    of_the_clip = torch.where(sheared[:, None, None], shears, corruptions)
    unchanged = torch.eye(shears.shape[1], device=shears.device)
    matrices = torch.where(touched[:, :, None, None], of_the_clip[:, None], unchanged)
    return matrices @ turn_matrices(draws.turn, settings.rotation)[:, None] if settings.rotation else matrices


def turn_matrices(uniform: Float[Tensor, " batch"], degrees: float) -> Float[Tensor, "batch_size 3 3"]:
    """Turns about the y axis by an angle uniform in [-degrees, degrees]."""
    angle = torch.deg2rad((uniform * 2 - 1) * degrees)
    matrices = torch.zeros(len(uniform), 3, 3, device=uniform.device)
    matrices[:, 1, 1] = 1.0
    matrices[:, 0, 0] = matrices[:, 2, 2] = angle.cos()
    matrices[:, 0, 2] = angle.sin()
    matrices[:, 2, 0] = -angle.sin()
    return matrices


def shear_matrices(uniform: Matrices, amplitude: float) -> Matrices:
    """Matrices with a unit diagonal, the rest uniform in [-amplitude, amplitude]. Source: docs/method.md section 2."""
    matrices = (uniform * 2 - 1) * amplitude
    matrices.diagonal(dim1=1, dim2=2).fill_(1.0)
    return matrices


def chosen_joints(uniform: Float[Tensor, "batch joints"], share: float) -> Bool[Tensor, "batch joints"]:
    """The round(share * joints) joints with the smallest numbers: 15 of 25 at the published share of 0.6."""
    smallest = uniform.topk(round(share * uniform.shape[1]), dim=1, largest=False, sorted=False).indices
    return torch.zeros_like(uniform, dtype=torch.bool).scatter_(1, smallest, True)


def corruption_matrices(uniform: Matrices, erase: Float[Tensor, " batch"]) -> Matrices:
    """With probability 1/2 zero, else uniform in [-1, 1]. Source: docs/method.md section 2."""
    return (uniform * 2 - 1) * (erase >= 0.5)[:, None, None]
