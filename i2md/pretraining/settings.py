"""The settings of a pretraining run: nested, frozen, free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import Method, ObjectiveSettings
from i2md.views.settings import ViewSettings


@dataclass(frozen=True)
class OptimizerSettings:
    """How the weights move. The defaults are the published program's for NTU RGB+D."""

    name: Literal["sgd", "adamw"] = "sgd"
    """sgd (momentum 0.9) or adamw."""
    learning_rate: float = 0.01
    """Learning rate after warm-up."""
    weight_decay: float = 1e-4
    """Weight decay."""
    schedule: Literal["step", "cosine"] = "step"
    """step multiplies the rate by 0.1 after each of `drops`; cosine takes it to 0."""
    milestones: tuple[int, ...] = (350,)
    """Epochs after which a step schedule lowers the rate."""
    warmup_epochs: float = 0.0
    """Epochs over which the rate rises from 0."""


@dataclass(frozen=True)
class PretrainSettings:
    """Everything that decides a run's weights, and how often it saves."""

    method: Method = "i2md"
    """moco: contrast alone; cmd: and across streams; imd: and within each stream; i2md: all."""
    epochs: int = 450
    """Passes over the training clips."""
    batch_size: int = 64
    """Clips a step."""
    seed: int = 0
    """Decides the initial weights, the order of the clips and every view."""
    split: str | None = None
    """Pretrain on the part "train" of this split; by default the first split, "all" takes every clip."""
    streams: tuple[str, ...] = ("joint", "motion", "bone")
    """Streams to learn from."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """bf16 computes the encoders' products in bfloat16; weights and objectives stay float32. tf32 lets a GPU round the
    factors of its float32 products to 10 bits; a CPU has no such products, and takes exact ones."""
    checkpoint_minutes: float = 5.0
    """Save the training state so often."""
    checkpoint_epochs: int = 0
    """Save it at each multiple of so many epochs, too; 0: only by the clock and at the end."""
    knn_every: int = 10
    """Watch the nearest-neighbour accuracy each so many epochs, where labels exist; 0: never."""
    views: ViewSettings = field(default_factory=ViewSettings)
    """Views of a clip."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    """The encoder of each stream."""
    objectives: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """Contrast and distillation."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """How the weights move."""

    def __post_init__(self) -> None:
        for wrong, message in _contradictions(self):
            if wrong:
                raise InputError(message)

    @property
    def cross_modal(self) -> bool:
        """Whether streams teach one another."""
        return self.method in ("cmd", "i2md")

    @property
    def intra_modal(self) -> bool:
        """Whether each stream has a cluster level."""
        return self.method in ("imd", "i2md")


def _contradictions(s: PretrainSettings) -> list[tuple[bool, str]]:
    o, v = s.objectives, s.views
    unknown = [name for name in s.streams if name not in ("joint", "motion", "bone")]
    return [
        (bool(unknown) or not s.streams, f"streams {s.streams}: choose among joint, motion, bone"),
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
            o.queue_size % s.batch_size != 0,
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
