"""An encoder: temporal convolution over all joints. `i2md pretrain CLIPS RUN --encoder.name my-tcn`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.encoders"]
    my-tcn = "encoder:TCN"
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from i2md.encoders.base import Encoder
from i2md.skeletons import Layout


@dataclass(frozen=True)
class TCNSettings:
    hidden_size: int = 64
    """Channels of a layer, and width of the features: --encoder.options.hidden_size."""
    num_layers: int = 3
    kernel_size: Literal[3, 5, 7] = 3


class TCN(Encoder):
    Settings = TCNSettings

    def __init__(self, layout: Layout, persons: int, settings: TCNSettings) -> None:
        super().__init__(layout, persons, settings)
        self.width = settings.hidden_size
        sizes = [len(layout.joints) * layout.channels * persons] + [self.width] * settings.num_layers
        layers: list[nn.Module] = [nn.BatchNorm1d(sizes[0])]
        for before, after in pairwise(sizes):
            layers += [nn.Conv1d(before, after, settings.kernel_size, padding="same"), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:  # (batch, frames, joints, channels, persons) -> (batch, width)
        return self.layers(x.flatten(2).transpose(1, 2)).amax(dim=2)
