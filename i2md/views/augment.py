"""Augmentations of a batch of clips: the published shear and joint corruption, a rotation, and registered ones.

Random numbers are drawn before, and apart from, what they decide, so that they do not depend on how many processes
share a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from i2md.errors import InputError
from i2md.runtime.registry import checked_options
from i2md.skeletons import Layout
from i2md.views.settings import AUGMENTATIONS, ViewSettings

Clips = Float[Tensor, "batch frames joints channels persons"]
Matrices = Float[Tensor, "batch channels channels"]
JointMatrices = Float[Tensor, "batch joints channels channels"]


@runtime_checkable
class Augmentation(Protocol):
    """A frozen dataclass whose fields are its settings, applied to views after crop, shear and corruption.

    `AUGMENTATIONS.register(name, cls)` or an entry point of the group i2md.augmentations makes it known;
    `views.augmentations` chooses it.
    """

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Draw the random numbers of a whole batch.

        Args:
            shape: (batch, frames, joints, channels, persons) of the views.
            generator: Where the numbers come from; they are drawn on its device.

        Returns:
            A tensor whose first axis is the batch.
        """
        ...

    def apply(self, x: Tensor, draws: Tensor, layout: Layout) -> Tensor:
        """Augment some of the views.

        Args:
            x: (batch, frames, joints, channels, persons).
            draws: Their rows of what `draw` returned.
            layout: The joints.

        Returns:
            The augmented views, of the same shape.
        """
        ...


def build_augmentations(settings: ViewSettings) -> list[Augmentation]:
    """The augmentations that `settings.augmentations` names, with their settings, in order.

    Args:
        settings: Names of the augmentations, and their options by name.

    Raises:
        InputError: One is unknown, or its options do not fit.
    """
    return [
        checked_options(AUGMENTATIONS[name], settings.options.get(name, {}), f"views.options.{name}")
        for name in settings.augmentations
    ]


def apply_augmentations(x: Clips, settings: ViewSettings, draws: ViewDraws, layout: Layout) -> Clips:
    """Apply the augmentations that `settings.augmentations` names, in order.

    Args:
        x: Views.
        settings: The names.
        draws: `extra` holds what each drew.
        layout: The joints.

    Raises:
        InputError: One returns another shape.
    """
    for name, augmentation, drawn in zip(
        settings.augmentations, build_augmentations(settings), draws.extra, strict=True
    ):
        out = augmentation.apply(x, drawn, layout)
        if out.shape != x.shape:
            raise InputError(f"augmentation {name!r}: its shape {tuple(out.shape)} differs from {tuple(x.shape)}")
        x = out
    return x


@dataclass(frozen=True)
class ViewDraws:
    """All random numbers of one view of each clip of a batch, uniform in [0, 1).

    Processes that share a batch draw for the whole of it, from one seed, and use their `rows` alone: the views are then
    those that a single process makes.
    """

    crop: Float[Tensor, "2 batch"]
    """Length of the crop, and its position in its clip."""
    shear: Float[Tensor, "batch channels channels"]
    """The entries of the shear."""
    joints: Float[Tensor, "batch joints"]
    """A corruption touches the joints with the smallest numbers."""
    erase: Float[Tensor, " batch"]
    """Whether a corruption sets its joints to zero or multiplies them."""
    corruption: Float[Tensor, "batch channels channels"]
    """The entries of the matrix that it multiplies by."""
    choice: Float[Tensor, " batch"]
    """Whether the view is sheared or corrupted."""
    turn: Float[Tensor, " batch"]
    """Angle of the rotation."""
    extra: tuple[Tensor, ...] = ()
    """What each augmentation of `ViewSettings.augmentations` drew; the first axis is the batch."""

    @classmethod
    def draw(cls, batch: int, joints: int, channels: int, generator: torch.Generator) -> ViewDraws:
        """Draw all but `extra` for a batch, on the generator's device.

        Args:
            batch: Number of clips.
            joints: Number of joints.
            channels: Channels of a joint.
            generator: Where the numbers come from.

        >>> draws = ViewDraws.draw(8, joints=25, channels=3, generator=torch.Generator())
        >>> draws.joints.shape, draws.rows(slice(2, 4)).joints.shape
        (torch.Size([8, 25]), torch.Size([2, 25]))
        """
        matrices = (batch, channels, channels)
        shapes = [(2, batch), matrices, (batch, joints), (batch,), matrices, (batch,), (batch,)]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        numbers = torch.rand(sum(sizes), generator=generator, device=generator.device).split(sizes)
        return cls(*(part.view(shape) for part, shape in zip(numbers, shapes, strict=True)))

    @classmethod
    def for_views(
        cls, settings: ViewSettings, layout: Layout, batch: int, persons: int, generator: torch.Generator
    ) -> ViewDraws:
        """Draw everything that `make_view` needs, on the generator's device.

        Args:
            settings: Length of a view, and the augmentations.
            layout: Joints and channels of the clips.
            batch: Number of clips.
            persons: Persons in a view.
            generator: Where the numbers come from.
        """
        joints, channels = len(layout.joints), layout.channels
        draws = cls.draw(batch, joints, channels, generator)
        shape = torch.Size((batch, settings.frames, joints, channels, persons))
        return replace(draws, extra=tuple(a.draw(shape, generator) for a in build_augmentations(settings)))

    def rows(self, part: slice) -> ViewDraws:
        """The numbers of some clips of the batch."""
        return ViewDraws(
            self.crop[:, part],
            self.shear[part],
            self.joints[part],
            self.erase[part],
            self.corruption[part],
            self.choice[part],
            self.turn[part],
            tuple(drawn[part] for drawn in self.extra),
        )


def transform(
    positions: Float[Tensor, "frames joints channels bodies"],
    matrices: Float[Tensor, "joints channels channels bodies"],
    out: Float[Tensor, "frames joints channels bodies"],
) -> None:
    """Each position p of joint v of body b becomes matrices[v, :, :, b] p, in `out`.

    A body is one person of one clip. A sum of one product a channel over all bodies at once: many products of small
    matrices take several times as long.

    Args:
        positions: Before.
        matrices: One a joint and body.
        out: Where the result goes.
    """
    torch.mul(positions[:, :, :1], matrices[:, :, 0], out=out)
    for channel in range(1, matrices.shape[2]):
        out.addcmul_(positions[:, :, channel : channel + 1], matrices[:, :, channel])


def joint_matrices(draws: ViewDraws, settings: ViewSettings) -> JointMatrices:
    """The matrix of each joint: its clip's shear, or its corruption, or the identity; then the clip's rotation.

    All joints of a clip are sheared, or some of them are corrupted, never both.

    Args:
        draws: The random numbers.
        settings: Probabilities and amplitudes.

    Source: docs/method.md section 2.
    """
    sheared = draws.choice < settings.shear_probability
    shears = shear_matrices(draws.shear, settings.shear)
    corruptions = corruption_matrices(draws.corruption, draws.erase)
    touched = sheared[:, None] | chosen_joints(draws.joints, settings.corrupt_fraction)
    of_clip = torch.where(sheared[:, None, None], shears, corruptions)
    unchanged = torch.eye(shears.shape[1], device=shears.device)
    matrices = torch.where(touched[:, :, None, None], of_clip[:, None], unchanged)
    return matrices @ rotation_matrices(draws.turn, settings.rotation)[:, None] if settings.rotation else matrices


def rotation_matrices(uniform: Float[Tensor, " batch"], degrees: float) -> Float[Tensor, "batch 3 3"]:
    """Rotations about the y axis by an angle uniform in [-degrees, degrees]."""
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


def chosen_joints(uniform: Float[Tensor, "batch joints"], fraction: float) -> Bool[Tensor, "batch joints"]:
    """The round(fraction * joints) joints with the smallest numbers: 15 of 25 at the published 0.6."""
    smallest = uniform.topk(round(fraction * uniform.shape[1]), dim=1, largest=False, sorted=False).indices
    return torch.zeros_like(uniform, dtype=torch.bool).scatter_(1, smallest, True)


def corruption_matrices(uniform: Matrices, erase: Float[Tensor, " batch"]) -> Matrices:
    """With probability 1/2 zero, else uniform in [-1, 1]. Source: docs/method.md section 2."""
    return (uniform * 2 - 1) * (erase >= 0.5)[:, None, None]
