"""Results of the evaluation protocols: dataclasses that are written as JSON and read back as equal objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, get_type_hints

import numpy as np

from i2md.errors import InputError, shortened
from i2md.evaluation.corruption import CORRUPTIONS
from i2md.runtime.io import write_text
from i2md.runtime.plain_data import NotPlainData, has_type, parse_json

SCHEMA_VERSION = 1
# The baseline of a randomly initialised encoder: the weights that the run's pretraining started from.
UNTRAINED = "untrained"
# The key of the streams' averaged scores beside the streams' own; no stream can have this name.
ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Scores:
    """How well the test clips are classified from one stream, or from the average of the streams' scores."""

    accuracy: float
    """Top-1 accuracy, from 0 to 1, after the last epoch where a classifier is trained."""
    best_test_accuracy: float | None = None
    """The best accuracy over the epochs that were tested: what the published CMD program reports. It is chosen on
    the test clips. None where no classifier is trained, or its learning rate was chosen on training clips."""
    penalty: float | None = None
    """Strength of the penalty that a ridge regression chose; None for the ensemble and other protocols."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Further metrics by name: "top-5", "mAP", "recall@5"."""
    confusion: list[list[int]] = field(default_factory=list)
    """Number of test clips by true class (rows) and predicted class (columns)."""
    predictions: list[int] | None = None
    """Predicted class of each test clip; None in a mean over draws and in summaries."""

    @property
    def class_accuracy(self) -> list[float | None]:
        """Accuracy of each class; None for a class without test clips."""
        counts = np.array(self.confusion)
        pairs = zip(np.diag(counts), counts.sum(axis=1), strict=True)
        return [float(right / clips) if clips else None for right, clips in pairs]


@dataclass(frozen=True)
class Variant:
    """What tells the results of one protocol on one split apart; None where it does not apply."""

    k: int | None = None
    """Number of neighbours that vote."""
    label_fraction: float | None = None
    """Fraction of the training clips that keep their labels."""
    labels_per_class: int | None = None
    """Number of training clips of each class that keep their labels."""
    draw: int | None = None
    """Number of the random draw of the labelled clips, or of the corruption, from 0."""
    readout: str | None = None
    """Read-out of the features, where it is not the run's own."""
    corruption: str | None = None
    """Kind of corruption of the test clips."""
    level: float | None = None
    """Level of the corruption, in its own unit."""
    selection: str | None = None
    """How the labelled clips were chosen: "suggested" or "random"."""
    labelled_subjects: int | None = None
    """Number of subjects whose recordings are labelled, where they are drawn among all."""


@dataclass(frozen=True)
class Outcome:
    """What a protocol computes: scores by stream and, under `ENSEMBLE`, of the streams' average where it has one."""

    scores: Mapping[str, Scores]
    variant: Variant = Variant()
    learning_rate: float | None = None
    validation: dict[str, float] | None = None
    labelled_clips: list[str] | None = None


@dataclass(frozen=True)
class Result:
    """Scores of one protocol on one split, and everything that they depend on."""

    protocol: str
    method: str
    """The run's pretraining method: "i2md", "cmd", ..."""
    dataset: str
    split: str
    seed: int
    """The run's seed."""
    streams: dict[str, Scores]
    """By stream, in the order of the run's settings."""
    ensemble: Scores | None = None
    """Of the average of the streams' scores; None for a run of one stream."""
    baseline: str | None = None
    """None for the run's pretrained encoder, "untrained" for the same encoder with its initial random weights,
    "positions" and "minirocket" for features that no encoder computes."""
    k: int | None = None
    label_fraction: float | None = None
    labels_per_class: int | None = None
    draw: int | None = None
    readout: str | None = None
    corruption: str | None = None
    level: float | None = None
    selection: str | None = None
    labelled_subjects: int | None = None
    epochs: int = 0
    """Epochs of pretraining; 0 for a baseline."""
    train_clips: int = 0
    """Number of training clips of the split, labelled or not."""
    test_clips: int = 0
    counted: str = "clips"
    """What accuracies and confusion matrices count: "clips", or "frames" of whole recordings, the "clips" then."""
    learning_rate: float | None = None
    """Of the classifier, where it has one."""
    validation: dict[str, float] | None = None
    """Accuracy on held-out training subjects by learning rate, where the rate was chosen by it."""
    pretraining_dataset: str | None = None
    pretraining_split: str | None = None
    recipe: str | None = None
    """The recipe that the run's settings were taken from."""
    labelled_clips: list[str] | None = None
    """Names of the training clips that keep their labels; None where all do."""
    class_names: list[str] = field(default_factory=list)
    clip_names: list[str] = field(default_factory=list)
    """Names of the test clips, in the order of `predictions`."""
    labels: list[int] = field(default_factory=list)
    """True class of each test clip."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The settings that decide this protocol's scores, by section of EvaluationSettings."""
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def scores(self) -> dict[str, Scores]:
        """Scores by stream, and last, under `ENSEMBLE`, of the ensemble where there is one."""
        return {**self.streams, **({ENSEMBLE: self.ensemble} if self.ensemble else {})}

    @property
    def overall(self) -> Scores:
        """The ensemble's scores; of a single stream its own."""
        return self.ensemble or next(iter(self.streams.values()))

    @property
    def variant(self) -> Variant:
        """What tells the result apart from others of its protocol."""
        labelled = self.label_fraction, self.labels_per_class, self.draw
        corrupted = self.corruption, self.level
        return Variant(self.k, *labelled, self.readout, *corrupted, self.selection, self.labelled_subjects)

    @property
    def evaluated(self) -> str:
        """The encoder that was evaluated: the baseline, or the run's method."""
        return self.baseline or self.method

    @property
    def file_name(self) -> str:
        """Name of the result's file in a run's folder `evaluation`.

        >>> Result("semi", "i2md", "ntu60", "xsub", 0, {}, label_fraction=0.05, draw=2).file_name
        'semi-label_fraction=0.05-draw=2-ntu60-xsub.json'
        """
        given = [f"{name}={_text(value)}" for name, value in asdict(self.variant).items() if value is not None]
        return "-".join([self.protocol, *given, self.dataset, self.split, *filter(None, [self.baseline])]) + ".json"

    def summary(self) -> Result:
        """The result without what it holds for each clip: predictions, names and labels."""
        streams = {name: replace(scores, predictions=None) for name, scores in self.streams.items()}
        ensemble = replace(self.ensemble, predictions=None) if self.ensemble else None
        return replace(
            self, streams=streams, ensemble=ensemble, labelled_clips=None, class_names=[], clip_names=[], labels=[]
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The result that `to_dict` gave.

        Raises:
            InputError: The data is no result, or one of another schema version.
        """
        version = data.get("schema_version")
        if type(version) is not int or version != SCHEMA_VERSION:
            shown = shortened(version) if has_type(version, str | float | None) else "of another kind"
            raise InputError(f"schema version {shown} is not {SCHEMA_VERSION}; evaluate the run again")
        try:
            streams = {name: Scores(**scores) for name, scores in data["streams"].items()}
            ensemble = Scores(**data["ensemble"]) if data.get("ensemble") else None
            result = cls(**{**data, "streams": streams, "ensemble": ensemble})
            result._require_sound()
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise InputError(f"not a result ({shortened(error)}); evaluate the run again") from None
        return result

    def _require_sound(self) -> None:
        _require_types(self)
        if not self.streams:
            raise ValueError("no stream")
        if (self.corruption is None) != (self.level is None) or self.corruption not in (None, *CORRUPTIONS):
            raise ValueError(f"corruption {shortened(str(self.corruption))} is not known")
        for name, scores in self.scores.items():
            _require_types(scores, f" of {name}")
            if len({len(row) for row in scores.confusion} | {len(scores.confusion)}) > 1:
                raise ValueError(f"the confusion matrix of {name} is not square")
            if scores.predictions is not None and len(scores.predictions) != len(self.labels):
                raise ValueError(f"{len(self.labels)} labels, but {len(scores.predictions)} predictions of {name}")


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _require_types(part: Result | Scores, of: str = "") -> None:
    for name, hint in get_type_hints(type(part)).items():
        if not has_type(getattr(part, name), hint):
            raise ValueError(f"{name}{of} is of another type")


def write_result(folder: Path, result: Result) -> Path:
    """Write a result into a run's folder `evaluation`, under its own name; an earlier one is replaced as a whole.

    Args:
        folder: The folder; it is made where it is missing.
        result: What to write.

    Returns:
        The file's path.
    """
    path = folder / result.file_name
    write_text(path, json.dumps(result.to_dict(), indent=1) + "\n")
    return path


def read_results(folder: Path, notes: list[str] | None = None) -> list[Result]:
    """The results in a folder, ordered by file name: a file holds one, as in `evaluation`, or a list of them.

    Args:
        folder: The folder; where it is missing there are no results.
        notes: Each file that cannot be read is left out, and a sentence about it is appended here.
    """
    results: list[Result] = []
    for path in sorted(folder.glob("*.json")):
        try:
            data = parse_json(path.read_bytes())
            several = data if isinstance(data, list) and data else [data]
            results += [Result.from_dict(each if isinstance(each, dict) else {}) for each in several]
        except (NotPlainData, InputError, OSError) as error:
            reason = shortened(error).partition(" (")[0] if isinstance(error, NotPlainData) else shortened(error)
            (notes if notes is not None else []).append(f"{folder.name}/{path.name} is left out: {reason}.")
    return results


def average_draws(results: Iterable[Result]) -> list[Result]:
    """Results of several draws as one: their mean; confusion matrices are added up.

    Args:
        results: Of one run or of several seeds; results without draws stay as they are.

    Returns:
        One result for each group that differs in `draw` alone, in order of first appearance, with `draw` None and
        without predictions.
    """
    groups: dict[tuple, list[Result]] = {}
    for result in results:
        same = (result.protocol, result.evaluated, result.method, result.dataset, result.split, result.seed)
        key = (*same, replace(result.variant, draw=None), result.draw is None)
        groups.setdefault(key, []).append(result)
    averaged = ([_mean_result(group)] if group[0].draw is not None else group for group in groups.values())
    return [result for group in averaged for result in group]


def _mean_result(draws: Sequence[Result]) -> Result:
    ensembles = [draw.ensemble for draw in draws if draw.ensemble]
    return replace(
        draws[0],
        streams={name: _mean_scores([draw.streams[name] for draw in draws]) for name in draws[0].streams},
        ensemble=_mean_scores(ensembles) if ensembles else None,
        draw=None,
        labelled_clips=None,
    )


def _mean_scores(draws: Sequence[Scores]) -> Scores:
    best = [scores.best_test_accuracy for scores in draws if scores.best_test_accuracy is not None]
    return Scores(
        accuracy=fmean(scores.accuracy for scores in draws),
        best_test_accuracy=fmean(best) if best else None,
        metrics={name: fmean(scores.metrics[name] for scores in draws) for name in draws[0].metrics},
        confusion=np.sum([scores.confusion for scores in draws], axis=0).tolist(),
    )
