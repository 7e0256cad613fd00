"""Fewer features than an encoder gives: batch norm and a linear projection after it."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from i2md.distributed.batch_norm import SyncBatchNorm1d
from i2md.encoders.base import Encoder


class ProjectedEncoder(Encoder):
    """Any encoder, its features brought to one scale and projected to `feature_size` of them.

    The projection belongs to the encoder: its output is what is pretrained, evaluated and embedded. Objectives that
    compare it directly (`objectives.projection: none`) shape these features themselves, and not those below a head that
    is thrown away.

    Args:
        encoder: Whose features are projected.
        feature_size: Number of features.
        frozen: Whether the encoder keeps its weights, and the projection alone is trained.

    >>> import torch
    >>> from i2md.encoders.settings import EncoderSettings
    >>> from i2md.encoders.registry import build_encoder
    >>> from i2md.skeletons import get_layout
    >>> settings = EncoderSettings(name="tcn", feature_size=32)
    >>> build_encoder(settings, get_layout("kinect-v1"), 1)(torch.zeros(4, 10, 20, 3, 1)).shape
    torch.Size([4, 32])
    """

    def __init__(self, encoder: Encoder, feature_size: int, frozen: bool = False) -> None:
        nn.Module.__init__(self)
        self.encoder = encoder.requires_grad_(not frozen)
        self.norm = SyncBatchNorm1d(encoder.width, affine=False)
        self.projection = nn.Linear(encoder.width, feature_size, bias=False)
        self.width = feature_size

    def forward(self, x: Float[Tensor, "batch frames joints channels persons"]) -> Float[Tensor, "batch width"]:
        """Features of a batch of clips."""
        return self.forward_parallel([self], [x])[0]

    @classmethod
    def forward_parallel(
        cls,
        encoders: Sequence[ProjectedEncoder],
        clips: Sequence[Float[Tensor, "batch frames joints channels persons"]],
    ) -> list[Float[Tensor, "batch width"]]:
        """Features by several encoders, which run as in parallel as they can without a projection."""
        below = type(encoders[0].encoder).forward_parallel([each.encoder for each in encoders], clips)
        return [each.projection(each.norm(features.float())) for each, features in zip(encoders, below, strict=True)]
