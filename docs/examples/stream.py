"""A stream: acceleration. `i2md pretrain CLIPS RUN --streams '[joint, motion, bone, acceleration]'`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.streams"]
    acceleration = "stream:acceleration"
"""

from torch import Tensor, zeros_like

from i2md.skeletons import Layout


def acceleration(x: Tensor, layout: Layout) -> Tensor:
    """x[t + 1] - 2 x[t] + x[t - 1], zero at both ends; (batch, frames, joints, channels, persons) as its input."""
    out = zeros_like(x)
    out[:, 1:-1] = x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]
    return out
