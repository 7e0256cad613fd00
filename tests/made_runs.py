"""Runs and classifiers of any layout, encoder and number of persons, with random weights, in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tiny import ENCODERS

import i2md
from i2md.encoders.registry import build_encoder
from i2md.encoders.settings import EncoderSettings
from i2md.evaluation.ridge_regression import LinearClassifier
from i2md.inference.candidates import LEARNED, POSITIONS, FeatureSets
from i2md.inference.classifier_files import ClassifierInfo, FittedParts, save_parts
from i2md.pretraining.checkpoint import save_tensors
from i2md.pretraining.run import CONFIG, MODEL, RunConfig, versions
from i2md.pretraining.settings import PretrainSettings
from i2md.skeletons import get_layout
from i2md.views.settings import ViewSettings

ENCODER_NAMES = ("gru", "tcn", "two-tower", "graph")


def settings_of(encoder: str) -> EncoderSettings:
    """Small settings of an encoder."""
    own = {each.rpartition(".")[2]: yaml.safe_load(str(value)) for each, value in ENCODERS[encoder].items()}
    return EncoderSettings(name=encoder, **(own if encoder == "gru" else {"options": own}))


def made_run(
    folder: Path,
    layout: str = "kinect-v2",
    encoder: str = "tcn",
    persons: int = 1,
    preset: str = "facing-rigid",
    streams: tuple[str, ...] = ("joint", "motion", "bone"),
    channels: int = 3,
    frames: int = 16,
    **about: Any,
) -> Path:
    """A run whose weights are random, the statistics of its batch norms too."""
    folder.mkdir(parents=True)
    chosen = get_layout(layout).with_channels(channels)
    settings = PretrainSettings(
        "moco", streams=streams, encoder=settings_of(encoder), views=ViewSettings(frames=frames)
    )
    described = {"name": "made", "split": "all", "count": 1, "frames": 60, "units": "m", **about}
    config = RunConfig(settings, chosen, preset, persons, described, versions())
    torch.manual_seed(0)
    tensors = {}
    for name in streams:
        for key, value in build_encoder(settings.encoder, chosen, persons).state_dict().items():
            if value.is_floating_point():
                noise = 0.3 * torch.rand_like(value) if value.dim() == 1 else torch.zeros_like(value)
                tensors[f"query.{name}.encoder.{key}"] = value + noise
            else:
                tensors[f"query.{name}.encoder.{key}"] = value
    save_tensors(folder / MODEL, tensors)
    (folder / CONFIG).write_text(config.to_yaml())
    return folder


def made_classifier(
    folder: Path, run: Path, candidate: tuple[str, ...] = ("learned",), known: str = "nearest", classes: int = 3
) -> Path:
    """A classifier of random weights on a run, which rejects some clips, and whose last class is the background."""
    folder.mkdir(parents=True)
    model = i2md.load(run, "cpu")
    positions = 64 * len(model.config.layout.joints) * model.config.layout.channels * model.config.persons
    widths = {"learned": {s: e.width for s, e in model.encoders.items()}}
    widths |= {"positions": dict.fromkeys(model.encoders, positions)}
    tensor, draws = torch.as_tensor, np.random.default_rng(1)
    classifiers: dict[str, dict[str, Any]] = {}
    for name in candidate:
        classifiers[name] = {}
        for s, width in widths[name].items():
            parts = draws.normal(size=width), draws.uniform(0.5, 2, width), draws.normal(size=(width, classes))
            weights = tensor(parts[2]) / width**0.5
            offset = torch.zeros(classes).double()
            classifiers[name][s] = LinearClassifier(tensor(parts[0]), tensor(parts[1]), weights, offset, 1.0)
    threshold = {"nearest": 0.5, "energy": 1.2, "probability": 0.5}[known]
    names = tuple("abcdefgh"[:classes])
    info = ClassifierInfo(names, candidate, 0.8, known, threshold, 0.05, background=classes - 1)  # type: ignore[arg-type]
    references = {s: torch.nn.functional.normalize(torch.randn(5, w), dim=1) for s, w in widths["learned"].items()}
    sets = FeatureSets(
        model.config.layout, model.config.persons, {LEARNED: model.encoders}, {LEARNED: 16, POSITIONS: 64}
    )
    save_parts(folder, run, model.config, FittedParts(info, classifiers, sets, references))
    return folder


def damaged(clips: list[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """Clips (persons, frames, joints, channels) that lack joints, frames and persons, as sensors lose them."""
    draws, found = np.random.default_rng(seed), []
    for number, clip in enumerate(clips):
        clip = clip.copy()
        persons, frames, joints, _ = clip.shape
        for _ in range(6):
            start, joint = draws.integers(frames), draws.integers(joints)
            clip[draws.integers(persons), start : start + draws.integers(1, 45), joint] = draws.choice([np.nan, 0.0])
        if number % 3 == 1:
            clip[:, : frames // 5] = 0
            clip[-1, frames - frames // 5 :] = np.nan
        if number % 3 == 2:
            clip[0, frames // 3 : frames // 3 + draws.integers(1, frames // 3)] = 0
        if persons > 1 and number % 4 == 3:
            clip[0] = 0
        found.append(clip)
    return found
