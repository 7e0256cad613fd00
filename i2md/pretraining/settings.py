"""The settings of a pretraining run: nested, frozen, free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from i2md.encoders.registry import ENCODERS
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import METHODS, TERMS, Method, ObjectiveSettings
from i2md.pretraining.trackers import TRACKERS
from i2md.views.settings import AUGMENTATIONS, STREAMS, ViewSettings


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimizer and its learning rate. The defaults are the reference implementation's for NTU RGB+D."""

    name: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9) or adamw."""
    learning_rate: float = 0.01
    """Learning rate after warm-up."""
    weight_decay: float = 1e-4
    """Weight decay."""
    schedule: Literal["step", "cosine"] = "step"
    """step multiplies the rate by 0.1 after each of `milestones`; cosine takes it to 0."""
    milestones: tuple[int, ...] = (350,)
    """Epochs after which a step schedule lowers the rate."""
    warmup_epochs: float = 0.0
    """Epochs over which the rate rises from 0."""


@dataclass(frozen=True)
class PretrainSettings:
    """Everything that decides a run's weights, and how often it saves."""

    method: Method = "i2md"
    """moco: contrast alone; cmd: and across streams; imd: and within each stream; i2md: all; masked: masked motion
    prediction, a stage before these (start_from)."""
    epochs: int = 450
    """Passes over the training clips."""
    batch_size: int = 64
    """Clips a step, of all processes together."""
    seed: int = 0
    """Decides the initial weights, the order of the clips and every view."""
    split: str | None = None
    """Pretrain on the part "train" of this split; by default the first split, "all" takes every clip."""
    streams: tuple[str, ...] = ("joint", "motion", "bone")
    """Streams to pretrain on: joint, motion, bone, acceleration, angle (cosines at the joints), distance (between
    joints), or one that another package registers (group i2md.streams)."""
    start_from: str | None = None
    """Folder of a finished run of the same encoder and streams, whose encoders' weights these start from."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """bf16 computes the encoders' products in bfloat16; weights and objectives stay float32. tf32 lets a GPU round the
    factors of its float32 products to 10 bits; a CPU has no such products, and takes exact ones."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""
    checkpoint_epochs: int = 0
    """Epochs between further checkpoints; 0: none but those by the clock and at the end."""
    knn_every: int = 10
    """Epochs between two measurements of the kNN accuracy, where labels exist; 0: never. It decides nothing."""
    diagnostics_every: int = 10
    """Epochs between two measurements of the representation on training clips (docs/pretrain.md, "Diagnostics"); 0:
    never. They decide nothing."""
    trackers: tuple[str, ...] = ("tensorboard",)
    """Where the numbers of each epoch are written beside log.jsonl: tensorboard, wandb, mlflow, or one that another
    package registers (group i2md.trackers); none for no other place. They decide nothing."""
    views: ViewSettings = field(default_factory=ViewSettings)
    """Views of a clip."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    """The encoder of each stream."""
    objectives: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """The terms of the loss."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """The optimizer and its learning rate."""

    def __post_init__(self) -> None:
        for wrong, message in _contradictions(self):
            if wrong:
                raise InputError(message)
        ENCODERS.check(self.encoder.name)
        for registry, names in (
            (STREAMS, self.streams),
            (TERMS, self.objectives.extra),
            (AUGMENTATIONS, self.views.augmentations),
            (TRACKERS, self.trackers),
        ):
            for name in names:
                registry.check(name)

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the loss with their weights: those of the method, multi-crop, then `objectives.extra`."""
        o = self.objectives
        weights = {"contrast": o.w_contrast, "dna": o.w_dna, "cmd": o.w_cmd, "imd": o.w_imd, "masked_motion": 1.0}
        own = {name: weights[name] for name in METHODS[self.method]}
        return own | ({"multi_crop": o.w_multi_crop} if self.views.short_crops else {}) | dict(o.extra)

    @property
    def warmup_steps(self) -> int:
        """Steps before the terms that look at neighbours begin: as stated, or until the queues hold real keys."""
        o = self.objectives
        return o.queue_size // self.batch_size if o.warmup_steps is None else o.warmup_steps

    @property
    def cross_modal(self) -> bool:
        """Whether streams teach one another."""
        return "cmd" in self.terms

    @property
    def intra_modal(self) -> bool:
        """Whether each stream has a cluster level."""
        return "dna" in self.terms or "imd" in self.terms

    @property
    def memory(self) -> bool:
        """Whether each level has a memory of all clips."""
        return self.intra_modal and self.objectives.cluster_target == "memory"


def _contradictions(s: PretrainSettings) -> list[tuple[bool, str]]:
    o, v = s.objectives, s.views
    repeated = ", ".join(name for name in o.extra if name in METHODS[s.method])
    without_use = ", ".join(
        [f"objectives.options.{name}" for name in o.options if name not in o.extra]
        + [f"views.options.{name}" for name in v.options if name not in v.augmentations]
    )
    masked = s.method == "masked"
    return [
        (
            masked and bool(o.extra or v.short_crops),
            "method masked: objectives.extra and views.short_crops are of the contrastive methods; leave them out",
        ),
        (
            "multi_crop" in o.extra,
            "objectives.extra: multi_crop begins with views.short_crops; its weight is objectives.w_multi_crop",
        ),
        (not 0 < o.mask_fraction <= 1, f"objectives.mask_fraction {o.mask_fraction} must be above 0 and at most 1"),
        (
            masked and not 0 < o.mask_frames < v.frames,
            f"objectives.mask_frames {o.mask_frames} must be between 1 and views.frames {v.frames}",
        ),
        (not 0 <= o.memory_momentum < 1, f"objectives.memory_momentum {o.memory_momentum} must be from 0 to below 1"),
        (
            o.aggregate == "both" and o.cluster_target != "nearest",
            f"objectives.aggregate both aggregates the query too, which cluster_target {o.cluster_target} does not",
        ),
        (
            o.cluster_queue == "aggregates" and o.cluster_target in ("memory", "soft_positives"),
            f"objectives.cluster_queue aggregates: cluster_target {o.cluster_target} needs a queue of features",
        ),
        (v.short_crops < 0 or v.short_frames < 1, "views: short_crops must be at least 0, short_frames at least 1"),
        (not 0 < v.short_crop[0] <= v.short_crop[1] <= 1, f"views.short_crop {v.short_crop} must rise within 0 and 1"),
        (not s.streams, f"streams: none; choose among {', '.join(STREAMS)}"),
        (bool(repeated), f"objectives.extra: {repeated} is a term of method {s.method} already; change its weight"),
        (
            bool(without_use),
            f"{without_use}: settings of what is not chosen; add it to objectives.extra or views.augmentations",
        ),
        (len(set(s.streams)) < len(s.streams), f"streams {s.streams}: each may be named once"),
        (
            s.cross_modal and len(s.streams) < 2,
            f"method {s.method} needs at least two streams to teach one another",
        ),
        (
            s.epochs < 1 or s.batch_size < 2,
            f"epochs {s.epochs}, batch_size {s.batch_size}: at least 1 epoch and a batch of 2",
        ),
        (
            s.batch_size > 0 and o.queue_size % s.batch_size != 0,
            f"objectives.queue_size {o.queue_size} must be a multiple of batch_size {s.batch_size}",
        ),
        (
            not 0 < o.num_neighbours <= o.queue_size,
            f"objectives.num_neighbours {o.num_neighbours} must be between 1 and objectives.queue_size {o.queue_size}",
        ),
        (
            not 0 < o.dna_num_neighbours < o.queue_size,
            f"objectives.dna_num_neighbours {o.dna_num_neighbours} must be between 1 and objectives.queue_size"
            f" {o.queue_size}",
        ),
        (
            o.temperature <= 0 or o.student_temperature <= 0 or o.dna_temperature <= 0 or o.teacher_temperature < 0,
            "objectives: temperatures must be above 0 (teacher_temperature may be 0: positive mining)",
        ),
        (not 0 <= o.momentum <= 1, f"objectives.momentum {o.momentum} must be between 0 and 1"),
        (not 0 < v.crop[0] <= v.crop[1] <= 1, f"views.crop {v.crop} must rise within 0 and 1"),
        (v.frames < 1, f"views.frames {v.frames} must be at least 1"),
        (not 0 <= v.corrupt_fraction <= 1, f"views.corrupt_fraction {v.corrupt_fraction} must be between 0 and 1"),
        (not 0 <= v.rotation <= 180, f"views.rotation {v.rotation} must be between 0 and 180 degrees"),
        (
            s.encoder.hidden_size < 1 or s.encoder.num_layers < 1,
            "encoder: hidden_size and num_layers must be at least 1",
        ),
        (
            s.optimizer.learning_rate <= 0,
            f"optimizer.learning_rate {s.optimizer.learning_rate} must be above 0",
        ),
    ]
