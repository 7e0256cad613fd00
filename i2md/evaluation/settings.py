"""Settings of the protocols: nested frozen dataclasses that import no torch, so that `i2md --help` is quick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained, on frozen features or together with its encoder.

    Source: docs/method.md section 8.
    """

    epochs: int = 80
    """Passes over the labelled training clips."""
    batch_size: int = 64
    """Clips per step."""
    learning_rate: float = 0.1
    """Learning rate of SGD with momentum 0.9, multiplied by 0.1 after each of `milestones`."""
    milestones: tuple[int, ...] = (50, 70)
    """Epochs after which the learning rate is multiplied by 0.1."""
    crop: tuple[float, float] = (0.5, 1.0)
    """Least and greatest fraction of a training clip's frames that a random crop keeps."""
    test_every: int = 5
    """The test clips are classified every so many epochs, and after the last, for the best test accuracy."""


@dataclass(frozen=True)
class LinearSettings(TrainingSettings):
    """Linear probes: one linear layer per stream on frozen features."""

    exact: bool = False
    """Encode new random crops in every epoch, as published."""
    crops: int = 8
    """Unless `exact`: number of random crops of each clip; they are encoded once, and epochs use them in turn."""
    sweep: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    """Learning rates among which "linear-sweep" chooses by cross-validation on the training clips."""


@dataclass(frozen=True)
class FinetuneSettings(TrainingSettings):
    """Encoder and linear layer trained together: fine-tuned, semi-supervised or supervised."""

    learning_rate: float = 0.01
    """Learning rate of SGD with momentum 0.9, multiplied by 0.1 after each of `milestones`."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the encoders' matrix products: float32 or bfloat16. Weights and losses are float32."""


@dataclass(frozen=True)
class FewerLabels:
    """A classifier of frozen features with all labels, and beside it with few."""

    label_fractions: tuple[float, ...] = ()
    """Also with these fractions of the training labels: the clips that "semi" draws."""
    labels: tuple[int, ...] = ()
    """Also with so many labels of each class: the clips that "few-shot" draws."""
    draws: int = 5
    """Random draws of the labelled clips for each fraction and number of labels; one result for each."""
    balanced: bool = True
    """Draw a fraction from each class, as `semi.balanced`."""


@dataclass(frozen=True)
class KnnSettings(FewerLabels):
    """kNN evaluation, with all labels and with few."""

    k: tuple[int, ...] = (1,)
    """Number of neighbours that vote; one result for each."""


@dataclass(frozen=True)
class RetrievalSettings:
    """Retrieval of training clips by their cosine similarity to a test clip."""

    recall: tuple[int, ...] = (1, 5, 10)
    """Each k of recall@k."""


@dataclass(frozen=True)
class ClusterSettings:
    """Clusters of the test clips by k-means, as many as they have classes."""

    draws: int = 3
    """Seeds of k-means; one result for each."""


@dataclass(frozen=True)
class RidgeSettings(FewerLabels):
    """Ridge evaluation: ridge regression on standardised frozen features, with all labels and with few."""

    penalties: tuple[float, ...] = (
        *(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        *(100.0, 300.0, 1000.0, 3000.0, 10000.0, 30000.0, 100000.0),
    )
    """Strengths of the penalty; leave-one-out on the labelled training clips chooses one for each stream."""


@dataclass(frozen=True)
class LabelEfficiencySettings:
    """Ridge regression on few labels, of clips that are suggested and of clips at random."""

    labels: tuple[int, ...] = (1, 2, 5)
    """Labels for each class, on average: so many times the number of classes are labelled, whatever their classes."""
    draws: int = 3
    """Random draws, and seeds of the suggestions; one result for each."""
    penalties: tuple[float, ...] = RidgeSettings.penalties
    """Strengths of the penalty; leave-one-out on the labelled clips chooses one for each stream."""


@dataclass(frozen=True)
class SegmentSettings:
    """Predictions over time for long recordings with labelled intervals."""

    windows: str | None = None
    """Length of a window, such as 2s; by default that of the folder, or 2s."""
    stride: str | None = None
    """Time from a window to the next; by default that of the folder, or a tenth of the length."""
    subjects: int = 0
    """Label the recordings of so many subjects, drawn among all, and test on those of all others; 0: label the training
    part of the split, and test on its test part."""
    draws: int = 3
    """Random draws of the labelled subjects; one result for each."""
    smooth: Literal["hmm", "median", "none"] = "hmm"
    """Smoothing of the windows' predictions: a hidden Markov model of the labelled recordings, a median, or none."""
    penalties: tuple[float, ...] = RidgeSettings.penalties
    """Strengths of the penalty; leave-one-out on the labelled windows chooses one for each stream."""


@dataclass(frozen=True)
class SemiSettings:
    """Semi-supervised evaluation: fine-tuning on a fraction of the training labels."""

    label_fractions: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    """Fractions of the training clips that keep their labels."""
    draws: int = 5
    """Random draws of the labelled clips for each fraction; one result for each."""
    balanced: bool = True
    """Draw the fraction from each class, at least one clip of it; otherwise from all clips together, as the published
    CMD program does."""


@dataclass(frozen=True)
class FewShotSettings:
    """Few-shot evaluation: linear probes trained on a few clips of each class."""

    labels: tuple[int, ...] = (1, 5, 10)
    """Clips of each class that keep their labels."""
    draws: int = 5
    """Random draws of the labelled clips for each number of labels; one result for each."""


@dataclass(frozen=True)
class CorruptionSettings:
    """Levels of the corruptions of test clips, by kind, and their random numbers."""

    joints: tuple[float, ...] = (0.1, 0.3, 0.5)
    """Fractions of the joints that are missing throughout a clip."""
    noise: tuple[float, ...] = (1.0, 2.0, 5.0)
    """Standard deviations of the noise of each coordinate, in centimetres."""
    frames: tuple[float, ...] = (0.1, 0.3, 0.5)
    """Probabilities that a frame is lost."""
    rate: tuple[float, ...] = (0.125, 0.25, 0.5, 2.0)
    """Frame rates as multiples of that of the clips."""
    scale: tuple[float, ...] = (0.8, 0.9, 1.1, 1.25)
    """Sizes of the body as multiples of its own."""
    camera: tuple[float, ...] = (30.0, 60.0, 90.0)
    """Angles, in degrees, by which the camera is turned about the vertical."""
    tilt: tuple[float, ...] = (10.0, 20.0, 30.0)
    """Angles, in degrees, by which the camera is tilted; of 2-D clips, turned in the image."""
    turn: tuple[float, ...] = (15.0, 30.0, 60.0, 90.0)
    """Angles, in degrees, by which bodies are turned about the vertical after preparation."""
    draws: int = 3
    """Random draws of joints, noise and frames."""
    seed: int = 0
    """Of the random numbers, whatever the run's seed."""


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of all protocols."""

    knn: KnnSettings = field(default_factory=KnnSettings)
    """Protocol "knn"."""
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    """Protocol "retrieval"."""
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    """Protocol "cluster"."""
    ridge: RidgeSettings = field(default_factory=RidgeSettings)
    """Protocol "ridge"."""
    linear: LinearSettings = field(default_factory=LinearSettings)
    """Protocols "linear", "linear-sweep" and "few-shot"."""
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    """Protocols "finetune", "semi" and "supervised"."""
    label_efficiency: LabelEfficiencySettings = field(default_factory=LabelEfficiencySettings)
    """Protocol "label-efficiency"."""
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    """Protocol "segment"."""
    semi: SemiSettings = field(default_factory=SemiSettings)
    """Protocol "semi"."""
    few_shot: FewShotSettings = field(default_factory=FewShotSettings)
    """Protocol "few-shot"."""
    corruption: CorruptionSettings = field(default_factory=CorruptionSettings)
    """Corruptions of the test clips (--corrupt)."""
    readout: WeightlessReadout | None = None
    """How features are read out of the encoders' states: last, mean, max or pyramid, as `encoder.readout` describes; by
    default as in pretraining."""
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of protocols that other packages register, by protocol: {"nearest-mean": {"metric": "cosine"}}."""

    def __post_init__(self) -> None:
        for invalid, message in _checks(self):
            if invalid:
                raise InputError(message)


def _checks(s: EvaluationSettings) -> Iterator[tuple[bool, str]]:
    for name, training in (("linear", s.linear), ("finetune", s.finetune)):
        counts = (training.epochs, training.batch_size, training.test_every)
        yield min(counts) < 1, f"{name}: epochs, batch_size and test_every {counts} must be at least 1"
        yield training.learning_rate <= 0, f"{name}.learning_rate {training.learning_rate} must be above 0"
        low, high = training.crop
        yield (
            not 0 < low <= high <= 1,
            f"{name}.crop {training.crop} must be two increasing fractions within 0 and 1",
        )
    yield s.linear.crops < 1, f"linear.crops {s.linear.crops} must be at least 1"
    rates = s.linear.sweep
    yield not rates or min(rates) <= 0, f"linear.sweep {rates} must be learning rates above 0"
    yield not s.ridge.penalties or min(s.ridge.penalties) <= 0, f"ridge.penalties {s.ridge.penalties} must be above 0"
    for name, numbers in (
        ("knn.k", s.knn.k),
        ("retrieval.recall", s.retrieval.recall),
        ("few_shot.labels", s.few_shot.labels),
        ("ridge.labels", s.ridge.labels or (1,)),
        ("knn.labels", s.knn.labels or (1,)),
        ("label_efficiency.labels", s.label_efficiency.labels),
    ):
        yield not numbers or min(numbers) < 1, f"{name} {numbers} must be numbers of at least 1"
    for name, fractions in (
        ("semi.label_fractions", s.semi.label_fractions),
        ("ridge.label_fractions", s.ridge.label_fractions or (1.0,)),
        ("knn.label_fractions", s.knn.label_fractions or (1.0,)),
    ):
        invalid = not fractions or not all(0 < fraction <= 1 for fraction in fractions)
        yield invalid, f"{name} {fractions} must be above 0 and at most 1"
    c = s.corruption
    for name, levels, low, high in (
        ("joints", c.joints, 0.0, 1.0),
        ("noise", c.noise, 0.0, 1000.0),
        ("frames", c.frames, 0.0, 0.99),
        ("rate", c.rate, 0.01, 100.0),
        ("scale", c.scale, 0.01, 100.0),
        *((name, getattr(c, name), -180.0, 180.0) for name in ("camera", "tilt", "turn")),
    ):
        invalid = not levels or not all(low <= level <= high for level in levels)
        yield invalid, f"corruption.{name} {levels} must be from {low:g} to {high:g}"
    yield s.segment.subjects < 0, f"segment.subjects {s.segment.subjects} must be at least 0"
    yield c.seed < 0, f"corruption.seed {c.seed} must be at least 0"
    for name, draws in (
        *(("semi", s.semi.draws), ("few_shot", s.few_shot.draws), ("ridge", s.ridge.draws), ("knn", s.knn.draws)),
        ("corruption", c.draws),
        ("cluster", s.cluster.draws),
        ("label_efficiency", s.label_efficiency.draws),
        ("segment", s.segment.draws),
    ):
        yield draws < 1, f"{name}.draws {draws} must be at least 1"
