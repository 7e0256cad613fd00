"""Evaluate a run on clips: the protocols' accuracies as JSON in the run, and as rows of a table."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.distributed import collectives as ranks
from i2md.errors import InputError
from i2md.evaluation.features import Encoders
from i2md.evaluation.probe_data import Subject
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.report.run_page import UNTRAINED, MappedClips, write_report
from i2md.evaluation.results import as_result
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.checkpoint import load_encoders, new_encoders
from i2md.pretraining.run import RunConfig, read_config
from i2md.runtime.io import write_text


def evaluate_run(
    run: Path,
    clips: Clips,
    protocols: tuple[str, ...],
    split: str | None,
    device: torch.device,
    untrained: bool = False,
    settings: EvaluationSettings | None = None,
    trained: bool = True,
) -> list[dict[str, Any]]:
    """Results, each written to evaluation/*.json once it is there; at the end the report is made anew.

    `untrained` adds the same encoders with their initial weights, to be had alone without `trained`. Accuracies are
    those of the last epoch.
    """
    config = read_config(run)
    settings = settings or EvaluationSettings()
    split = choose_split(clips, split, config.clips.get("split"))
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise InputError(f"protocol {unknown[0]!r} is not known; choose among {', '.join(PROTOCOLS)}")
    require_same_layout(config, clips, run)
    train, test = _labelled(clips.part(split, "train")), _labelled(clips.part(split, "test"))
    if not len(train) or not len(test):
        raise InputError(f"{clips.path}: split {split!r} has no labelled clips to train and test on")

    method: str = config.settings.method
    subject = _subject(load_encoders(run, config, device), config, train, test, device)
    # Whatever the encoders have learnt, the supervised baseline begins without.
    todo = [(UNTRAINED if name == "supervised" else method, subject, name) for name in protocols if trained]
    if untrained:
        begun = _subject(_untrained(config, device), config, train, test, device)
        todo += [(UNTRAINED, begun, name) for name in protocols if name != "supervised"]
    results = []
    for of, encoders, protocol in todo:
        for outcome in PROTOCOLS[protocol](encoders, settings):
            results.append(as_result(outcome, config, settings, of, split, train, test))
            suffix = f"-{UNTRAINED}" if of == UNTRAINED else ""
            path = run / "evaluation" / f"{outcome.name}-{clips.dataset.name}-{split}{suffix}.json"
            text = json.dumps(results[-1], indent=1) + "\n"
            ranks.run_on_main(partial(write_text, path, text))
    predicted = [result for result in results if result["method"] == method and "predictions" in result]
    ranks.run_on_main(lambda: _report(run, test, subject, predicted))
    return results


def choose_split(clips: Clips, split: str | None, pretrained: str | None = None) -> str:
    """The split asked for; else the one pretrained on, where these clips have it; else the data set's first."""
    if split and split != "all":
        return split
    chosen = pretrained if pretrained in clips.dataset.splits else clips.default_split()
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


def _untrained(config: RunConfig, device: torch.device) -> Encoders:
    return {name: encoder.to(device) for name, encoder in new_encoders(config).items()}


def _subject(encoders: Encoders, config: RunConfig, train: Clips, test: Clips, device: torch.device) -> Subject:
    as_labels = lambda clips: torch.as_tensor(np.array(clips.labels), device=device)  # noqa: E731
    return Subject(
        encoders=encoders,
        untrained=lambda: _untrained(config, device),
        layout=config.layout,
        frames=config.settings.views.frames,
        persons=config.persons,
        train=pack(train, device),
        test=pack(test, device),
        train_names=train.columns["name"].tolist(),
        train_labels=as_labels(train),
        test_labels=as_labels(test),
        train_people=torch.as_tensor(np.array(train.columns["subject"])),
        classes=1 + max(len(train.dataset.class_names) - 1, int(train.labels.max()), int(test.labels.max())),
        seed=config.settings.seed,
    )


def _report(run: Path, test: Clips, subject: Subject, results: list[dict[str, Any]]) -> None:
    best = max(results, key=lambda result: list(result["accuracy"].values())[-1], default=None)
    write_report(
        run,
        MappedClips(
            names=test.columns["name"].tolist(),
            labels=np.array(test.labels),
            predictions=None if best is None else np.array(list(best["predictions"].values())[-1]),
            class_names=test.dataset.class_names,
            features=torch.cat(list(subject.test_features.values()), dim=1).cpu().numpy(),
            skeletons=[np.array(clip) for clip in test],
            layout=test.dataset.layout,
        ),
    )
