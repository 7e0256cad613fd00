"""Evaluate a run on clips: the protocols' accuracies as JSON in the run, and as rows of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2md import ranks
from i2md.clips.packed import pack
from i2md.clips.store import Clips
from i2md.errors import InputError
from i2md.evaluation.features import Encoders
from i2md.evaluation.linear import LinearSettings
from i2md.evaluation.protocols import PROTOCOLS, Outcome, Subject
from i2md.evaluation.report import UNTRAINED, MappedClips, write_report
from i2md.pretraining.encoders import load_encoders, new_encoders
from i2md.pretraining.run import RunConfig, read_config, versions, write_text


def evaluate_run(
    run: Path,
    clips: Clips,
    protocols: tuple[str, ...],
    split: str | None,
    device: torch.device,
    untrained: bool = False,
    settings: LinearSettings | None = None,
) -> list[dict[str, Any]]:
    """Results, one a protocol, each also written to evaluation/*.json; then the report is made anew.

    `untrained` adds the same encoders with their initial weights. Accuracies are those of the last epoch.
    """
    config = read_config(run)
    split = choose_split(clips, split or config.clips.get("split"))
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise InputError(f"protocol {unknown[0]!r} is not known; choose among {', '.join(PROTOCOLS)}")
    require_same_layout(config, clips, run)
    train, test = _labelled(clips.part(split, "train")), _labelled(clips.part(split, "test"))
    if not len(train) or not len(test):
        raise InputError(f"{clips.path}: split {split!r} has no labelled clips to train and test on")

    method: str = config.settings.method
    subjects = {method: _subject(load_encoders(run, config, device), config, train, test, device)}
    if untrained:
        encoders = {name: encoder.to(device) for name, encoder in new_encoders(config).items()}
        subjects[UNTRAINED] = _subject(encoders, config, train, test, device)
    results = []
    for name, subject in subjects.items():
        for protocol in protocols:
            outcome = PROTOCOLS[protocol](subject, settings or LinearSettings())
            results.append(_result(config, clips, split, name, protocol, outcome, train, test))
            suffix = f"-{UNTRAINED}" if name == UNTRAINED else ""
            path = run / "evaluation" / f"{protocol}-{clips.dataset.name}-{split}{suffix}.json"
            text = json.dumps(results[-1], indent=1) + "\n"
            ranks.first_does(partial(write_text, path, text))
    trained = [result for result in results if result["method"] == method]
    ranks.first_does(lambda: _report(run, test, subjects[method], trained))
    return results


def choose_split(clips: Clips, split: str | None) -> str:
    """The split asked for, or the data set's first."""
    chosen = split if split in clips.dataset.splits or split not in (None, "all") else clips.default_split()
    if chosen is None:
        raise InputError(f"{clips.path}: the data set names no split to evaluate on; prepare it with one")
    return chosen


def require_same_layout(config: RunConfig, clips: Clips, run: Path) -> None:
    """Refuse clips that the run's encoders cannot read."""
    theirs = clips.dataset.layout
    if theirs.joints != config.layout.joints or theirs.channels != config.layout.channels:
        raise InputError(
            f"{run}: pretrained on layout {config.layout.name!r}, but {clips.path} has {theirs.name!r};"
            " give clips of the same layout"
        )
    if clips.dataset.preparation != config.preparation:
        raise InputError(
            f"{run}: pretrained on clips prepared by {config.preparation!r}, but {clips.path} was prepared by"
            f" {clips.dataset.preparation!r}; prepare it with --preset {config.preparation}"
        )


def _labelled(clips: Clips) -> Clips:
    return clips.select(np.flatnonzero(clips.labels >= 0))


def _subject(encoders: Encoders, config: RunConfig, train: Clips, test: Clips, device: torch.device) -> Subject:
    as_labels = lambda clips: torch.as_tensor(np.array(clips.labels), device=device)  # noqa: E731
    return Subject(
        encoders=encoders,
        layout=config.layout,
        frames=config.settings.views.frames,
        people=config.people,
        train=pack(train, device),
        test=pack(test, device),
        train_labels=as_labels(train),
        test_labels=as_labels(test),
        train_people=torch.as_tensor(np.array(train.columns["subject"])),
        classes=max(len(train.dataset.class_names), int(train.labels.max()) + 1),
        seed=config.settings.seed,
    )


def _result(
    config: RunConfig,
    clips: Clips,
    split: str,
    method: str,
    protocol: str,
    outcome: Outcome,
    train: Clips,
    test: Clips,
) -> dict[str, Any]:
    s = config.settings
    accuracy = {n: float((p == test.labels).mean()) for n, p in outcome.predictions.items()}
    return {
        "protocol": protocol,
        "method": method,
        "dataset": clips.dataset.name,
        "split": split,
        "seed": s.seed,
        "epochs": 0 if method == UNTRAINED else s.epochs,
        "train_clips": len(train),
        "test_clips": len(test),
        "accuracy": accuracy,
        **outcome.extra,
        "class_names": list(clips.dataset.class_names),
        "per_class": _per_class(outcome.predictions, test.labels, len(clips.dataset.class_names)),
        "names": test.columns["name"].tolist(),
        "labels": test.labels.tolist(),
        "predictions": {n: p.tolist() for n, p in outcome.predictions.items()},
        "versions": versions(),
    }


def _per_class(predictions: Mapping[str, np.ndarray], labels: np.ndarray, classes: int) -> dict[str, Any]:
    """Accuracy of each class by stream; None for a class without test clips."""
    return {
        name: [float((predicted[labels == c] == c).mean()) if (labels == c).any() else None for c in range(classes)]
        for name, predicted in predictions.items()
    }


def _report(run: Path, test: Clips, subject: Subject, results: list[dict[str, Any]]) -> None:
    best = max(results, key=lambda result: list(result["accuracy"].values())[-1])
    write_report(
        run,
        MappedClips(
            names=test.columns["name"].tolist(),
            labels=np.array(test.labels),
            predictions=np.array(list(best["predictions"].values())[-1]),
            class_names=test.dataset.class_names,
            features=torch.cat(list(subject.test_features.values()), dim=1).cpu().numpy(),
            skeletons=[np.array(clip) for clip in test],
            layout=test.dataset.layout,
        ),
    )
