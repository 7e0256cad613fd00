"""The settings of the objectives; free of torch, so that reading a recipe is quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

METHODS = ("moco", "cmd", "imd", "i2md")
Method = Literal["moco", "cmd", "imd", "i2md"]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Contrast and both kinds of mutual distillation (docs/method.md sections 3 to 6).

    The defaults of contrast and cross-modal distillation are the published program's; those of the
    intra-modal part are this project's reading of the paper.
    """

    embedding_dim: int = 128
    """Width of the embeddings that are compared."""
    queue_size: int = 16384
    """Keys in a queue; a multiple of the batch."""
    momentum: float = 0.999
    """Share of the old key weights kept at each step."""
    temperature: float = 0.07
    """Temperature of the contrast."""
    num_neighbours: int = 8192
    """K: nearest queue entries over which knowledge is distilled."""
    teacher_temperature: float = 0.05
    """Temperature of the teacher's distribution; 0 is a one-hot teacher, positive mining."""
    student_temperature: float = 0.1
    """Temperature of the student's distribution."""
    dna_num_neighbours: int = 4
    """n: nearest entries aggregated into a cluster key."""
    dna_temperature: float = 0.07
    """Temperature of the weights by which they are aggregated."""
    aggregate: Literal["key", "both"] = "key"
    """Which side of the cluster-level contrast is aggregated: the key alone, or the query too."""
    negatives: Literal["all", "exclude_neighbours"] = "exclude_neighbours"
    """Whether aggregated entries stay among the negatives of the cluster-level contrast."""
    cluster_queue: Literal["features", "aggregates"] = "features"
    """What the cluster-level queue remembers of a key."""
    heads: Literal["two", "shared"] = "two"
    """Whether the cluster level has a projection head of its own."""
    mask_self: bool = False
    """Leave a clip's own older keys out of its negatives and neighbours."""
    warmup_steps: int | None = None
    """Steps before aggregation and distillation begin; by default until the queues are filled."""
    w_cmd: float = 1.0
    """Weight of cross-modal distillation."""
    w_dna: float = 0.5
    """Weight of the cluster-level contrast."""
    w_imd: float = 0.5
    """Weight of the distillation between the levels."""
