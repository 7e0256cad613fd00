"""A loss term: KoLeo, which spreads a batch's embeddings. `i2md pretrain CLIPS RUN --objectives.extra.koleo 0.1`.

Registered in pyproject.toml of the package that holds this file:

    [project.entry-points."i2md.objectives"]
    koleo = "loss:KoLeo"

Source: Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from i2md.objectives.levels import BatchLevels


@dataclass(frozen=True)
class KoLeo:
    epsilon: float = 1e-8
    """Smallest distance: --objectives.options.koleo.epsilon."""

    def __call__(self, batch: BatchLevels) -> dict[str, Tensor]:
        return {name: self.of(level.query) for name, level in batch.instance.items()}

    def of(self, embeddings: Tensor) -> Tensor:
        """Minus the mean logarithm of each embedding's distance from the nearest other one; (batch, width) -> ()."""
        with torch.no_grad():
            similarity = embeddings @ embeddings.T
            nearest = similarity.fill_diagonal_(-2.0).argmax(dim=1)
        distance = (embeddings - embeddings[nearest]).norm(dim=1)
        return -(distance + self.epsilon).log().mean()
