"""The settings of the protocols: nested, frozen, free of torch, so that `i2md --help` answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from i2md.errors import InputError


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained, on frozen features or together with its encoder (docs/method.md section 8)."""

    epochs: int = 80
    """Passes over the training clips."""
    batch_size: int = 64
    """Clips a step."""
    learning_rate: float = 0.1
    """Rate of SGD with momentum 0.9, multiplied by 0.1 after each of `drops`."""
    milestones: tuple[int, ...] = (50, 70)
    """Epochs after which the rate drops."""
    crop: tuple[float, float] = (0.5, 1.0)
    """Share of a training clip's frames that a crop keeps."""
    test_every: int = 5
    """The official figure is the best over each so many epochs, and the last, on the test clips."""


@dataclass(frozen=True)
class LinearSettings(TrainingSettings):
    """One linear layer a stream on frozen features."""

    exact: bool = False
    """As published: new random crops in every epoch, encoded anew."""
    crops: int = 8
    """Otherwise so many random crops of each clip are encoded once, and the epochs take them in turn."""
    sweep: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    """Rates tried by the protocol "linear-sweep", which chooses by cross-validation on the training clips."""


@dataclass(frozen=True)
class FinetuneSettings(TrainingSettings):
    """Encoder and linear layer trained together: fine-tuned, semi-supervised, or supervised from scratch."""

    learning_rate: float = 0.01
    """Rate of SGD with momentum 0.9, multiplied by 0.1 after each of `drops`."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 computes the encoders' products in bfloat16; weights and losses stay float32."""


@dataclass(frozen=True)
class KnnSettings:
    """The vote of the nearest training clips."""

    k: tuple[int, ...] = (1,)
    """How many neighbours vote, a result each."""


@dataclass(frozen=True)
class RetrievalSettings:
    """Training clips ranked by likeness to a test clip."""

    recall: tuple[int, ...] = (1, 5, 10)
    """Recall is reported at so many nearest."""


@dataclass(frozen=True)
class SemiSettings:
    """Fine-tuning on a drawn share of the training labels."""

    label_fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    """Shares of the training clips that keep their labels, a result each."""
    draws: int = 5
    """Draws a share; the result is their mean and spread."""
    balanced: bool = True
    """The share is one of each class, at least a clip of it; otherwise it is drawn from all clips alike, as the
    official program does."""


@dataclass(frozen=True)
class FewShotSettings:
    """The linear protocol on a few clips of each class."""

    labels: tuple[int, ...] = (1, 5, 10)
    """Clips of each class that keep their labels, a result each."""
    draws: int = 5
    """Draws a number of labels; the result is their mean and spread."""


@dataclass(frozen=True)
class EvaluationSettings:
    """Every protocol's settings."""

    knn: KnnSettings = field(default_factory=KnnSettings)
    """Protocol "knn"."""
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    """Protocol "retrieval"."""
    linear: LinearSettings = field(default_factory=LinearSettings)
    """Protocols "linear", "linear-sweep" and "few-shot"."""
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    """Protocols "finetune", "semi" and "supervised"."""
    semi: SemiSettings = field(default_factory=SemiSettings)
    """Protocol "semi"."""
    few_shot: FewShotSettings = field(default_factory=FewShotSettings)
    """Protocol "few-shot"."""

    def __post_init__(self) -> None:
        for wrong, message in _contradictions(self):
            if wrong:
                raise InputError(message)


def _contradictions(s: EvaluationSettings) -> Iterator[tuple[bool, str]]:
    for name, training in (("linear", s.linear), ("finetune", s.finetune)):
        counts = (training.epochs, training.batch_size, training.test_every)
        yield min(counts) < 1, f"{name}: epochs, batch and test_every {counts} must be at least 1"
        yield training.learning_rate <= 0, f"{name}.learning_rate {training.learning_rate} must be above 0"
        low, high = training.crop
        yield not 0 < low <= high <= 1, f"{name}.crop {training.crop} must rise within 0 and 1"
    yield s.linear.crops < 1, f"linear.crops {s.linear.crops} must be at least 1"
    yield not s.linear.sweep or min(s.linear.sweep) <= 0, f"linear.sweep {s.linear.sweep} must be rates above 0"
    for name, numbers in (
        ("knn.k", s.knn.k),
        ("retrieval.recall", s.retrieval.recall),
        ("few_shot.labels", s.few_shot.labels),
    ):
        yield not numbers or min(numbers) < 1, f"{name} {numbers} must be numbers from 1 on"
    wrong = not s.semi.label_fractions or not all(0 < share <= 1 for share in s.semi.label_fractions)
    yield wrong, f"semi.label_fractions {s.semi.label_fractions} must be above 0 and at most 1"
    draws = min(s.semi.draws, s.few_shot.draws)
    yield draws < 1, f"semi.draws {s.semi.draws}, few_shot.draws {s.few_shot.draws}: draw at least once"
