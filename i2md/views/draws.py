"""The random numbers of a batch of views, drawn before and apart from what is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class ViewDraws:
    """Uniform numbers in [0, 1) that decide one view of each clip of a batch: all that is random about it.

    Processes that share a batch draw for the whole of it, from one seed, and apply their `rows` alone: the views
    are then those that a single process makes.
    """

    crop: Float[Tensor, "2 batch"]
    """How long the crop is, and where in its clip it lies."""
    shear: Float[Tensor, "batch channels channels"]
    """The entries of the shear."""
    joints: Float[Tensor, "batch joints"]
    """A corruption touches the joints with the smallest numbers."""
    erase: Float[Tensor, " batch"]
    """Whether a corruption erases its joints or multiplies them."""
    corruption: Float[Tensor, "batch channels channels"]
    """The entries of the matrix that it multiplies by."""
    choice: Float[Tensor, " batch"]
    """Whether the view is sheared or corrupted."""
    turn: Float[Tensor, " batch"]
    """How far the view is turned."""

    @classmethod
    def draw(cls, batch: int, joints: int, channels: int, generator: torch.Generator) -> ViewDraws:
        """All numbers of a batch at once, on the generator's device.

        >>> draws = ViewDraws.draw(8, joints=25, channels=3, generator=torch.Generator())
        >>> draws.joints.shape, draws.rows(slice(2, 4)).joints.shape
        (torch.Size([8, 25]), torch.Size([2, 25]))
        """
        matrices = (batch, channels, channels)
        shapes = [(2, batch), matrices, (batch, joints), (batch,), matrices, (batch,), (batch,)]
        sizes = [torch.Size(shape).numel() for shape in shapes]
        numbers = torch.rand(sum(sizes), generator=generator, device=generator.device).split(sizes)
        return cls(*(part.view(shape) for part, shape in zip(numbers, shapes, strict=True)))

    def rows(self, part: slice) -> ViewDraws:
        """Those of some clips of the batch."""
        return ViewDraws(
            self.crop[:, part],
            self.shear[part],
            self.joints[part],
            self.erase[part],
            self.corruption[part],
            self.choice[part],
            self.turn[part],
        )
