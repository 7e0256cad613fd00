"""A fitted classifier on disk: a folder without pickles that is also a run, since it carries the run's encoders.

`model.json` holds classes, decisions and figures, `classifier.safetensors` the weights of the classifiers;
`config.yaml` and `model.safetensors` are those of the run.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i2md.data.windows import Windows
from i2md.errors import InputError, shortened
from i2md.evaluation.baselines import FRAMES, MINIROCKET, POSITIONS, MiniRocketFeatures, Positions
from i2md.evaluation.features import Encoders, Features
from i2md.evaluation.open_set import KNOWN_SCORES, KnownScore
from i2md.evaluation.ridge_regression import LinearClassifier
from i2md.evaluation.smoothing import MarkovModel
from i2md.inference.candidates import KINDS, LEARNED, Classifiers, FeatureSets
from i2md.inference.model import Model
from i2md.pretraining.checkpoint import load_model_tensors, load_tensors, save_tensors
from i2md.pretraining.run import CONFIG, MODEL, RunConfig
from i2md.runtime.io import check_target, write_text
from i2md.runtime.plain_data import parse_json

INFO, WEIGHTS = "model.json", "classifier.safetensors"
FORMAT_VERSION = 1
_DAY = 86_400.0
_MARKOV = ("start", "transitions", "prior")
_LINEAR = ("mean", "deviation", "weights", "intercepts", "penalty")


@dataclass(frozen=True)
class ClassifierInfo:
    """The content of model.json."""

    class_names: tuple[str, ...]
    candidate: tuple[str, ...]
    """The classifiers whose scores are averaged."""
    temperature: float
    """Scores divided by it are logits."""
    known_score: KnownScore
    """Which score tells clips of no known class."""
    threshold: float | None
    """A clip of a smaller score is none of the classes; None rejects nothing."""
    false_alarms: float
    """Share of clips of known classes that the threshold rejects, in cross-validation."""
    background: int | None = None
    """Class of windows without an action."""
    windows: Windows | None = None
    """Windows that it was fitted to; None for clips."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the cross-validation."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of model.json."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> ClassifierInfo:
        """Read model.json.

        Args:
            path: The file.

        Raises:
            InputError: It is missing, or something else.
        """
        if not path.is_file():
            raise InputError(f"{path.parent}: not a fitted classifier ({INFO} is missing); make one with i2md fit")
        try:
            data = parse_json(path.read_bytes())
            version = data.pop("format_version")
            if version != FORMAT_VERSION:
                raise ValueError(f"format {shortened(version)}, this program reads {FORMAT_VERSION}")
            windows = data.pop("windows")
            info = cls(**data, windows=None if windows is None else Windows(**windows))
            info = replace(info, class_names=tuple(info.class_names), candidate=tuple(info.candidate))
            _check(info)
            # JSON may write a float as an integer, of any size.
            info = replace(info, temperature=float(info.temperature))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"{path}: not a fitted classifier ({shortened(error)}); fit it again") from None
        return info


def _check(info: ClassifierInfo) -> None:
    if not all(isinstance(name, str) for name in info.class_names) or len(info.class_names) < 2:
        raise ValueError("class_names must be two texts or more")
    if not info.candidate or not all(name in KINDS for name in info.candidate):
        raise ValueError(f"candidate must be of {', '.join(KINDS)}")
    if info.known_score not in KNOWN_SCORES:
        raise ValueError(f"known_score must be one of {', '.join(KNOWN_SCORES)}")
    numbers = [info.temperature, info.false_alarms, *([] if info.threshold is None else [info.threshold])]
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in numbers):
        raise ValueError("temperature, threshold and false_alarms must be numbers")
    if info.temperature <= 0:
        raise ValueError("temperature must be above 0")
    if info.windows is not None and not all(0 < each <= _DAY for each in (info.windows.length, info.windows.stride)):
        raise ValueError("length and stride of windows must be above 0, and a day at most")
    if info.background is not None and not 0 <= info.background < len(info.class_names):
        raise ValueError("background must be the number of a class")


@dataclass(frozen=True)
class FittedParts:
    """What classifies clips, apart from the run's encoders."""

    info: ClassifierInfo
    classifiers: Classifiers
    features: FeatureSets
    references: Features
    """Learned features of the training clips, by stream, of length 1."""
    markov: MarkovModel | None = None
    """Of recordings; None if clips were fitted to."""


def is_rejected(info: ClassifierInfo, known: float) -> bool:
    """Whether a clip is none of the classes.

    Args:
        info: Of the classifier.
        known: The clip's score of being known.
    """
    return info.threshold is not None and known < info.threshold


def save_parts(folder: Path, run: Path, config: RunConfig, parts: FittedParts) -> None:
    """Write a fitted classifier.

    Args:
        folder: The folder, which exists.
        run: Folder of the run whose encoders it needs.
        config: The run's configuration.
        parts: What was fitted.
    """
    tensors: dict[str, Tensor] = {f"references.{name}": value for name, value in parts.references.items()}
    for name, streams in parts.classifiers.items():
        for s, each in streams.items():
            tensors |= {f"linear.{name}.{s}.{part}": torch.as_tensor(getattr(each, part)) for part in _LINEAR}
    for s, encoder in parts.features.encoders.get(MINIROCKET, {}).items():
        assert isinstance(encoder, MiniRocketFeatures)
        tensors |= {f"minirocket.{s}.{name}": value for name, value in encoder.parameters_as_tensors().items()}
    if parts.markov is not None:
        tensors |= {f"markov.{name}": torch.as_tensor(getattr(parts.markov, name)) for name in _MARKOV}
        tensors["markov.weight"] = torch.tensor(parts.markov.weight, dtype=torch.float64)
    save_tensors(folder / WEIGHTS, tensors)
    weights = load_model_tensors(run)
    save_tensors(folder / MODEL, {name: value for name, value in weights.items() if name.startswith("query.")})
    write_text(folder / CONFIG, config.to_yaml())
    write_text(folder / INFO, parts.info.to_json())


def write_classifier(out: Path, model: Model, parts: FittedParts, overwrite: bool) -> None:
    """Write the folder of a fitted classifier as a whole or not at all.

    Args:
        out: The folder.
        model: The run.
        parts: What was fitted.
        overwrite: Replace a classifier that is there.
    """
    check_writable(out, overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as holding:
        made = Path(holding) / "made"
        made.mkdir()
        save_parts(made, model.run, model.config, parts)
        if out.exists():
            os.replace(out, Path(holding) / "before")
        os.replace(made, out)
        shutil.rmtree(Path(holding) / "before", ignore_errors=True)


def check_writable(out: Path, overwrite: bool) -> None:
    """Check that a classifier can be written, before work is spent on it.

    Args:
        out: The folder.
        overwrite: Whether a classifier that is there is replaced.

    Raises:
        InputError: Something else is there, or a classifier that shall not be replaced.
    """
    check_target(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / INFO).is_file():
        raise InputError(f"{out}: holds something else; name a folder that does not exist")
    if not overwrite:
        raise InputError(f"{out}: holds a classifier; replace it by --overwrite, or name another folder")


def load_parts(folder: Path, model: Model) -> FittedParts:
    """Read a fitted classifier.

    Args:
        folder: Its folder.
        model: The run in the same folder.

    Raises:
        InputError: The folder holds something else, or is damaged.
    """
    info = ClassifierInfo.read(folder / INFO)
    tensors = load_tensors(folder / WEIGHTS)
    config, layout = model.config, model.config.layout
    try:
        classifiers = {
            name: {s: _linear(_within(tensors, f"linear.{name}.{s}.")) for s in model.encoders}
            for name in info.candidate
        }
        encoders: dict[str, Encoders] = {LEARNED: model.encoders}
        if POSITIONS in info.candidate:
            encoders[POSITIONS] = {s: Positions(layout, config.persons) for s in model.encoders}
        if MINIROCKET in info.candidate:
            encoders[MINIROCKET] = {
                s: MiniRocketFeatures.from_tensors(layout, config.persons, _within(tensors, f"minirocket.{s}."))
                for s in model.encoders
            }
        references = {s: tensors[f"references.{s}"].to(model.device) for s in model.encoders}
        markov = None
        if info.windows is not None:
            start, transitions, prior = (np.asarray(tensors[f"markov.{name}"]) for name in _MARKOV)
            markov = MarkovModel(start, transitions, prior, float(tensors["markov.weight"]))
        frames = {kind: config.settings.views.frames if kind == LEARNED else FRAMES for kind in encoders}
        parts = FittedParts(
            info, classifiers, FeatureSets(layout, config.persons, encoders, frames), references, markov
        )
        _check_shapes(parts, model)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: not a whole classifier ({shortened(error)}); fit it again") from None
    return parts


def _within(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _linear(tensors: Mapping[str, Tensor]) -> LinearClassifier:
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError("a weight is not a finite number")
    mean, deviation, weights, intercepts, penalty = (tensors[part] for part in _LINEAR)
    return LinearClassifier(mean, deviation, weights, intercepts, float(penalty))


def _check_shapes(parts: FittedParts, model: Model) -> None:
    classes = len(parts.info.class_names)
    for name, streams in parts.classifiers.items():
        for s, each in streams.items():
            width = parts.features.encoders[KINDS[name]][s].width
            if each.weights.shape != (width, classes) or each.intercepts.shape != (classes,):
                raise ValueError(f"the weights of {name}, {s} do not fit {classes} classes")
            if each.mean.shape != (width,) or each.deviation.shape != (width,):
                raise ValueError(f"the moments of {name}, {s} do not fit its features")
    for s, value in parts.references.items():
        if value.dim() != 2 or value.shape[1] != model.encoders[s].width or not len(value):
            raise ValueError(f"the reference features of {s} do not fit its encoder")
    if parts.markov is not None and parts.markov.transitions.shape != (classes, classes):
        raise ValueError(f"the hidden Markov model does not fit {classes} classes")
