"""The settings of the losses, and the registry of their terms; free of torch, so that `--help` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from i2md.runtime.registry import Registry

Method = Literal["moco", "cmd", "imd", "i2md", "masked"]
# The terms of each method's loss.
METHODS: dict[str, tuple[str, ...]] = {
    "moco": ("contrast",),
    "cmd": ("contrast", "cmd"),
    "imd": ("contrast", "dna", "imd"),
    "i2md": ("contrast", "dna", "cmd", "imd"),
    "masked": ("masked_motion",),
}
# Functions of `i2md.objectives.levels.BatchLevels`, or frozen dataclasses that are called with one: see `Term` there.
TERMS: Registry[Any] = Registry(
    "loss term",
    "i2md.objectives",
    {name: f"i2md.objectives.terms:{name}_term" for name in (*METHODS["i2md"], "multi_crop")}
    | {"decorrelation": "i2md.objectives.decorrelation:Decorrelation"},
)


@dataclass(frozen=True)
class ObjectiveSettings:
    """Contrast and both kinds of mutual distillation (docs/method.md sections 3 to 6).

    The defaults of contrast and cross-modal distillation are the published program's; those of the
    intra-modal part are this project's reading of the paper.
    """

    embedding_dim: int = 128
    """Width of the embeddings that are compared."""
    projection: Literal["mlp", "linear", "none"] = "mlp"
    """Head between features and embeddings: mlp (two layers, as published), linear, or none, which compares the
    features themselves; then embedding_dim must be their width (encoder.feature_size)."""
    queue_size: int = 16384
    """Keys in a queue; a multiple of batch_size."""
    momentum: float = 0.999
    """Share of the key encoder's weights that each step keeps."""
    temperature: float = 0.07
    """Temperature of the contrast."""
    num_neighbours: int = 8192
    """K: nearest queue entries over which similarity distributions are distilled."""
    teacher_temperature: float = 0.05
    """Temperature of the teacher's distribution; 0 is a one-hot teacher, positive mining."""
    student_temperature: float = 0.1
    """Temperature of the student's distribution."""
    cluster_target: Literal["nearest", "memory", "distribution", "soft_positives"] = "nearest"
    """What the cluster level's query is contrasted with. nearest: the key plus its n nearest entries, weighted. memory:
    the mean of the clip's own and its n nearest clips' running means of keys. distribution: the mean of the K nearest
    entries, weighted as a teacher weights them. soft_positives: the key for one half, and its n nearest entries."""
    dna_num_neighbours: int = 4
    """n: nearest entries, or clips, that are one cluster with the clip."""
    dna_temperature: float = 0.07
    """Temperature of the weights by which they are aggregated."""
    aggregate: Literal["key", "both"] = "key"
    """Which side of the cluster-level contrast is aggregated: the key alone, or the query too (of "nearest")."""
    aggregate_key: bool = False
    """Of "distribution": whether the key itself is in its aggregate, with the weight of all entries together."""
    memory_momentum: float = 0.7
    """Of "memory": share of a clip's running mean that each new key keeps."""
    memory_neighbours: Literal["stream", "all_streams"] = "stream"
    """Of "memory": nearest clips by each stream's own similarities, or by the sum of all streams' standardised ones."""
    negatives: Literal["all", "exclude_neighbours"] = "exclude_neighbours"
    """Whether the n nearest entries, or all entries of the n nearest clips, stay among the cluster level's
    negatives."""
    cluster_queue: Literal["features", "aggregates"] = "features"
    """What the cluster-level queue holds: cluster-level keys, or their aggregates."""
    heads: Literal["two", "shared"] = "two"
    """Whether the cluster level has a projection head of its own."""
    mask_self: bool = False
    """Leave a clip's own older keys out of its negatives and neighbours."""
    warmup_steps: int | None = None
    """Steps before aggregation and distillation begin; by default until the queues are filled."""
    w_contrast: float = 1.0
    """Weight of the contrast."""
    w_multi_crop: float = 1.0
    """Weight of the contrast of further short crops (views.short_crops)."""
    w_cmd: float = 1.0
    """Weight of cross-modal distillation."""
    w_dna: float = 0.5
    """Weight of the cluster-level contrast."""
    w_imd: float = 0.5
    """Weight of the distillation between the levels."""
    mask_fraction: float = 0.5
    """Of method masked: share of the stretches of a view that are hidden."""
    mask_frames: int = 4
    """Of method masked: frames of a stretch."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further loss terms with their weights: decorrelation, or registered ones (entry point group i2md.objectives):
    --objectives.extra.NAME WEIGHT."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of further loss terms: --objectives.options.NAME.SETTING VALUE."""
