"""A published table: prepared, pretrained, evaluated, and printed beside the published figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from i2md.data.prepare import prepare
from i2md.data.storage.remote import to_path
from i2md.data.store import Clips, open_clips
from i2md.errors import InputError
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import folder_name, plain, settings_kind, with_values
from i2md.experiments.job import Evaluation, Job
from i2md.experiments.reproduce import dry_run as dry
from i2md.experiments.reproduce.outcome import gather
from i2md.experiments.reproduce.table import SUPERVISED, UNTRAINED, Table, load_table
from i2md.experiments.runner import Failure, require_some, run_jobs, worker_environments
from i2md.experiments.sweep import LOGS, require_same_run
from i2md.pretraining.pretrain import plan
from i2md.pretraining.settings import PretrainSettings
from i2md.recipes import load_recipe
from i2md.runtime.settings import flatten

PathLike = str | os.PathLike[str]
KINDS = (PretrainSettings, EvaluationSettings)


class Data(NamedTuple):
    """Clips to pretrain on and clips to evaluate on, mostly the same."""

    clips: Clips
    target: Clips


def reproduce(
    table: str,
    out: PathLike,
    clips: PathLike | None = None,
    source: PathLike | None = None,
    target: PathLike | None = None,
    target_source: PathLike | None = None,
    runs: PathLike | None = None,
    seeds: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    protocol: Sequence[str] | None = None,
    split: Sequence[str] | None = None,
    changes: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    device: str = "auto",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Pretrain and evaluate what a published table asks for, and write it beside the published figures.

    `table` is a name, or a YAML file of one's own. `clips` (by default `out`/clips) are prepared from the recordings at
    `source` where they are not there; `target` and `target_source` are those to transfer to. Runs lie in `runs` (by
    default `out`), a folder a method and seed; finished ones and their results are kept, unfinished ones go on.
    `seeds`, `methods`, `protocol` and `split` choose a part of the table. `changes` are settings of pretraining or
    evaluation, by dotted name, that depart from the recipe, and are told. `dry_run` tries the full recipe, for one
    epoch, on generated recordings in `out`/dry-run, where all that comes of it lies too.

    Returns what table.json holds; runs that failed stand there with their reasons under `failed`. Raises InputError
    where an argument is wrong or no run at all succeeds, KeyboardInterrupt when interrupted.
    """
    asked, out = load_table(table), Path(out)
    environments = worker_environments(device, jobs)
    changes = dict(changes or {})
    if dry_run:
        if clips or source or target or target_source:
            raise InputError("--dry_run makes its own recordings; name no clips and no recordings")
        out, runs = out / "dry-run", None
        seeds, changes = dry.SEEDS if seeds is None else seeds, dry.CHANGES | changes
    asked = asked.narrowed(seeds, methods, protocol, split)
    departing, asked, departures = _depart(asked, changes)
    if dry_run:
        source, target_source = dry.generated_recordings(asked, out)
    data = _open(asked, out, (clips, source), (target, target_source))
    for split in asked.specification.splits:
        data.target.part(split, "test")
    folder = Path(runs) if runs is not None else out
    told = {folder_name(f"{method},seed={seed}"): (method, seed) for seed in asked.seeds for method in asked.pretrained}
    planned, failed = _plan_jobs(asked, data, folder, told, departing, device)
    require_some(folder, planned, failed)
    failed |= run_jobs(list(planned.values()), environments, folder / LOGS, asked.name)
    done = {folder / name: run for name, run in told.items() if name not in failed}
    require_some(folder, done, failed)
    notes = [dry.MEANING] * dry_run + _notes(asked, departures)
    return gather(asked, out, done, data.target.dataset.name, notes, failed, dry_run)


def _depart(table: Table, changes: Mapping[str, Any]) -> tuple[Mapping[str, Any], Table, list[str]]:
    """The changes of pretraining, the table with those of evaluation, and what departs from the recipe by them."""
    decided = {"method": "--methods", "seed": "--seeds", "split": "another table"}
    for name, by in decided.items():
        if name in changes:
            raise InputError(f"{name} is no change of the recipe: the table decides it; choose by {by}")
    by_kind: dict[type, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, value in changes.items():
        by_kind[settings_kind(name, KINDS)][name] = value
    before: dict[str, Any] = {}
    for settings in (load_recipe(table.specification.recipe), table.evaluation):
        before |= dict(flatten(asdict(settings)))
    departures = [
        f"{name} {value} in place of {before[name]}" for name, value in changes.items() if value != before[name]
    ]
    evaluation = with_values(table.evaluation, by_kind[EvaluationSettings])
    return by_kind[PretrainSettings], replace(table, evaluation=evaluation), departures


def _open(
    table: Table,
    out: Path,
    first: tuple[PathLike | None, PathLike | None],
    second: tuple[PathLike | None, PathLike | None],
) -> Data:
    """The clips, prepared where they are not there and their recordings are named."""
    spec = table.specification
    if spec.target is None and any(second):
        raise InputError(f"table {table.name} transfers to no other clips; leave out --target")
    clips = _prepared(table, spec.format, out / "clips" if first[0] is None else first[0], first[1], "")
    if spec.target is None:
        return Data(clips, clips)
    other = out / "target" if second[0] is None else second[0]
    return Data(clips, _prepared(table, spec.target, other, second[1], "target_"))


def _prepared(table: Table, format: str, clips: PathLike, source: PathLike | None, which: str) -> Clips:
    if (to_path(clips) / "dataset.json").exists():
        return open_clips(clips)
    options = table.reading.get(format, {})
    if source is None:
        typed = "".join(f" --options.{name} {value}" for name, value in options.items())
        raise InputError(
            f"{clips}: no clips there; make them by i2md prepare {format} RECORDINGS {clips}{typed}, or give this"
            f" command --{which}source RECORDINGS"
        )
    return prepare(format, source, clips, **options)


def _plan_jobs(
    table: Table,
    data: Data,
    folder: Path,
    runs: Mapping[str, tuple[str, int]],
    changes: Mapping[str, Any],
    device: str,
) -> tuple[dict[str, Job], dict[str, Failure]]:
    """A job for each run whose settings agree with one another; for the others, why they don't."""
    spec, split = table.specification, table.pretrained_on
    recipe = load_recipe(spec.recipe)
    jobs: dict[str, Job] = {}
    failed: dict[str, Failure] = {}
    for name, (method, seed) in runs.items():
        try:
            # All at once: with another method of the recipe's some changes may not agree.
            settings = with_values(recipe, {**changes, "split": split, **table.pretrained[method], "seed": seed})
            require_same_run(folder / name, plan(data.clips, settings)[1])
        except InputError as error:
            failed[name] = Failure(str(error), 2)
            continue
        beside = name == _carrier(table, data.target, folder, [n for n, run in runs.items() if run[1] == seed])
        evaluations = tuple(_evaluations(table, data.target, beside))
        settings_data = plain(asdict(settings))
        jobs[name] = Job(str(folder / name), str(data.clips.path), settings_data, evaluations, device, spec.recipe)
    return jobs, failed


def _evaluations(table: Table, clips: Clips, beside: bool) -> list[Evaluation]:
    """What a run goes through: its own protocols, and `beside` them those of the methods without runs."""
    found = []
    for split in table.specification.splits:
        found += _without_runs(table, clips, split) if beside else []
        found.append(Evaluation.of_clips(clips, split, table.protocols, settings=table.evaluation))
    return found


def _without_runs(table: Table, clips: Clips, split: str) -> list[Evaluation]:
    found = []
    # Fine-tuned on all labels, the untrained encoders are the supervised ones.
    protocols = tuple(name for name in table.protocols if name != "finetune")
    if UNTRAINED in table.methods and protocols:
        found.append(Evaluation.of_clips(clips, split, protocols, untrained=True, settings=table.evaluation))
    if SUPERVISED in table.methods and "finetune" in table.protocols:
        found.append(Evaluation.of_clips(clips, split, ("supervised",), settings=table.evaluation))
    return found


def _carrier(table: Table, clips: Clips, folder: Path, names: Sequence[str]) -> str:
    """The run of a seed beside which the methods without runs are evaluated: one that has it done, or the first."""
    wanted = [each for split in table.specification.splits for each in _without_runs(table, clips, split)]
    done = (name for name in names if not any(each.missing(folder / name)[0] for each in wanted))
    return next(done, names[0])


def _notes(table: Table, departures: Sequence[str]) -> list[str]:
    """What the figures depend on."""
    told = [f"recipe {table.specification.recipe}, seeds {', '.join(map(str, table.seeds))}"]
    usual = dict(flatten(asdict(EvaluationSettings())))
    protocols = [
        f"{name} {value} in place of {usual[name]}"
        for name, value in flatten(asdict(table.evaluation))
        if value != usual[name]
    ]
    told += [f"protocols by default, but: {'; '.join(protocols)}"] if protocols else []
    return [*told, *([f"departs from the table: {'; '.join(departures)}"] if departures else [])]
