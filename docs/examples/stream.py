"""A stream: where joints are within the body. `i2md pretrain CLIPS RUN --streams '[joint, motion, bone, relative]'`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.streams"]
    relative = "stream:relative"
"""

from torch import Tensor

from i2md.skeletons import Layout


def relative(x: Tensor, layout: Layout) -> Tensor:
    """Each joint minus the mean of all joints; (batch, frames, joints, channels, persons) as its input."""
    return x - x.mean(dim=2, keepdim=True)
