"""An augmentation: hide one joint a clip. `i2md pretrain CLIPS RUN --views.augmentations '[hide_joint]'`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.augmentations"]
    hide_joint = "augmentation:HideJoint"
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from i2md.skeletons import Layout


@dataclass(frozen=True)
class HideJoint:
    probability: float = 0.5
    """Probability that a joint is hidden in a clip: --views.options.hide_joint.probability."""

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Two numbers in [0, 1) a clip, drawn for the whole batch even where processes share it."""
        return torch.rand(shape[0], 2, generator=generator, device=generator.device)

    def apply(self, x: Tensor, draws: Tensor, layout: Layout) -> Tensor:
        """Set the joint to zero in all frames of x (batch, frames, joints, channels, persons)."""
        chosen = (draws[:, 1] * len(layout.joints)).long()
        hidden = torch.nn.functional.one_hot(chosen, len(layout.joints)).bool()
        hidden &= draws[:, :1] < self.probability
        return x.masked_fill(hidden[:, None, :, None, None], 0.0)
