"""Reproduce a published table: prepare, pretrain and evaluate its methods, and write them next to published results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from i2md.data.prepare import prepare
from i2md.data.storage.remote import to_path
from i2md.data.store import Clips, open_clips
from i2md.errors import InputError
from i2md.evaluation.baselines import takes
from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.report.pages import write_comparison
from i2md.evaluation.results import UNTRAINED
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import folder_name, plain, settings_kind, with_values
from i2md.experiments.job import Evaluation, Job
from i2md.experiments.reproduce import dry_run as dry
from i2md.experiments.reproduce.claims import evaluate_claims, format_verdict
from i2md.experiments.reproduce.figures import make_blocks, read_figures
from i2md.experiments.reproduce.pages import latex_page, markdown_page
from i2md.experiments.reproduce.table import SUPERVISED, Table
from i2md.experiments.runner import Workers, choose_workers, require_some, run_jobs
from i2md.experiments.sweep import LOGS, PathLike, require_same_run
from i2md.experiments.workers import Failure
from i2md.pretraining.pretrain import plan
from i2md.pretraining.settings import PretrainSettings
from i2md.recipes import load_recipe
from i2md.runtime.io import check_target, write_text
from i2md.runtime.settings import flatten

KINDS = (PretrainSettings, EvaluationSettings)


class Recorded(NamedTuple):
    """A data set as a user names it: a folder of clips, or the recordings that they are prepared from."""

    clips: PathLike | None = None
    source: PathLike | None = None


class Data(NamedTuple):
    """The clips to pretrain on and the clips to evaluate on; the same unless the table transfers."""

    clips: Clips
    target: Clips


def reproduce(
    table: Table,
    out: Path,
    clips: Recorded,
    target: Recorded,
    runs: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    device: str = "auto",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Pretrain and evaluate the methods of a table or of a part of it, and write them next to published results.

    Args:
        table: The table.
        out: Folder of the table, and by default of runs and clips.
        clips: The clips to pretrain on; they are prepared if they do not exist.
        target: The clips to transfer to.
        runs: Folder of the runs, one per method and seed; by default `out`.
        changes: Settings of pretraining or evaluation to change, by dotted name; the table lists them.
        workers: Where runs are executed; by default one process per core or GPU.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dry_run: Write and use synthetic recordings, all in `out`/dry-run, and shorten everything.

    Returns:
        What `table.json` holds.

    Raises:
        InputError: An argument is invalid, or every run failed.
        KeyboardInterrupt: On Ctrl-C.
    """
    check_target(out)
    changes = dict(changes or {})
    if dry_run:
        if any(clips) or any(target):
            raise InputError("--dry_run writes its own recordings; leave clips and recordings out")
        out, runs, changes = out / "dry-run", None, dry.CHANGES | changes
    departing, table, departures = _apply_changes(table, changes)
    if dry_run:
        clips, target = (Recorded(source=path) for path in dry.synthetic_recordings(table, out))
    data = _open(table, out, clips, target)
    for split in table.specification.splits:
        data.target.part(split, "test")
    folder = out if runs is None else runs
    by_name = {
        folder_name(f"{method},seed={seed}"): (method, seed) for seed in table.seeds for method in table.pretrained
    }
    planned, failed = _plan_jobs(table, data, folder, by_name, departing, device)
    require_some(folder, planned, failed)
    failed |= run_jobs(list(planned.values()), workers or choose_workers(device), folder / LOGS, table.name)
    done = {folder / name: run for name, run in by_name.items() if name not in failed}
    require_some(folder, done, failed)
    notes = [dry.NOTE] * dry_run + _notes(table, departures)
    return _write_table(table, out, done, data.target.dataset.name, notes, failed, dry_run)


def _write_table(
    table: Table,
    out: Path,
    runs: Mapping[Path, tuple[str, int]],
    dataset: str,
    notes: Sequence[str],
    failed: Mapping[str, Failure],
    dry_run: bool,
) -> dict[str, Any]:
    """Write table.md, table.tex, table.json and report.html for the finished runs; return what table.json holds."""
    blocks: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    sizes: list[str] = []
    streams: dict[str, None] = {}
    for split in table.specification.splits:
        figures = read_figures(table, runs, dataset, split)
        streams |= dict.fromkeys(figures.streams)
        blocks += make_blocks(table, split, figures)
        claims += [{"split": split, **evaluated} for evaluated in evaluate_claims(table.claims, figures.cells)]
        sizes.append(f"{dataset} {split}: {figures.train_clips} training clips, {figures.test_clips} test clips")
    data = {
        "table": table.name,
        "title": table.specification.title,
        "dry_run": dry_run,
        "notes": [*notes, *sizes],
        "streams": list(streams),
        "blocks": blocks,
        "claims": claims,
        "failed": {name: asdict(failure) for name, failure in failed.items()},
        "report": str(out / "report.html"),
    }
    write_text(out / "table.md", markdown_page(data) + "\n")
    write_text(out / "table.tex", latex_page(data))
    write_text(out / "table.json", json.dumps(data, indent=1) + "\n")
    lines = [*notes, *sizes, *(f"{name} failed: {failure.reason}" for name, failure in failed.items())]
    write_comparison(compare_runs(list(runs)), out / "report.html", (), list(map(format_verdict, claims)), lines)
    return data


def _apply_changes(table: Table, changes: Mapping[str, Any]) -> tuple[Mapping[str, Any], Table, list[str]]:
    """The changes of pretraining, the table with the changes of the evaluation, and a line for each departure."""
    decided = {"method": "--methods", "seed": "--seeds", "split": "another table"}
    for name, by in decided.items():
        if name in changes:
            raise InputError(f"{name} cannot be changed: the table sets it; choose by {by}")
    by_kind: dict[type, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, value in changes.items():
        by_kind[settings_kind(name, KINDS)][name] = value
    before: dict[str, Any] = {}
    for settings in (load_recipe(table.specification.recipe), table.evaluation):
        before |= dict(flatten(asdict(settings)))
    departures = [
        f"{name} {value} instead of {before[name]}" for name, value in changes.items() if value != before[name]
    ]
    evaluation = with_values(table.evaluation, by_kind[EvaluationSettings])
    return by_kind[PretrainSettings], replace(table, evaluation=evaluation), departures


def _open(table: Table, out: Path, first: Recorded, second: Recorded) -> Data:
    """The clips, prepared from their recordings if they do not exist."""
    spec = table.specification
    if spec.target is None and any(second):
        raise InputError(f"table {table.name} does not transfer to other clips; leave --target out")
    clips = _prepared(table, spec.format, out / "clips" if first.clips is None else first.clips, first.source, "")
    if spec.target is None:
        return Data(clips, clips)
    other = out / "target" if second.clips is None else second.clips
    return Data(clips, _prepared(table, spec.target, other, second.source, "target_"))


def _prepared(table: Table, format: str, clips: PathLike, source: PathLike | None, which: str) -> Clips:
    if (to_path(clips) / "dataset.json").exists():
        return open_clips(clips)
    options = table.reader_options.get(format, {})
    if source is None:
        typed = "".join(f" --options.{name} {value}" for name, value in options.items())
        raise InputError(
            f"{clips}: no clips; prepare them with i2md prepare {format} RECORDINGS {clips}{typed}, or give this"
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
    """Jobs by the name of their run; failures of the runs whose settings contradict one another."""
    spec, split = table.specification, table.pretrained_on
    recipe = load_recipe(spec.recipe)
    jobs: dict[str, Job] = {}
    failed: dict[str, Failure] = {}
    for name, (method, seed) in runs.items():
        try:
            # All at once: some changes may contradict the recipe's own method.
            settings = with_values(recipe, {**changes, "split": split, **table.pretrained[method], "seed": seed})
            require_same_run(folder / name, plan(data.clips, settings)[1])
        except InputError as error:
            failed[name] = Failure(str(error), 2)
            continue
        with_baselines = name == _baseline_run(
            table, data.target, folder, [n for n, run in runs.items() if run[1] == seed]
        )
        evaluations = tuple(_evaluations(table, data.target, with_baselines))
        settings_data = plain(asdict(settings))
        jobs[name] = Job(str(folder / name), str(data.clips.path), settings_data, evaluations, device, spec.recipe)
    return jobs, failed


def _evaluations(table: Table, clips: Clips, with_baselines: bool) -> list[Evaluation]:
    """The evaluations of a run: its own, and with them those of the methods that need no pretraining."""
    found = []
    for split in table.specification.splits:
        found += _baselines(table, clips, split) if with_baselines else []
        found.append(Evaluation.of_clips(clips, split, table.protocols, settings=table.evaluation))
    return found


def _baselines(table: Table, clips: Clips, split: str) -> list[Evaluation]:
    """The evaluations of the methods that need no pretraining."""
    found = []
    # Fine-tuned on all labels, the untrained encoders are the supervised ones.
    protocols = tuple(n for n in table.protocols if n != "finetune" and takes(PROTOCOLS[n], UNTRAINED, asked=True))
    if UNTRAINED in table.methods and protocols:
        found.append(Evaluation.of_clips(clips, split, protocols, UNTRAINED, table.evaluation))
    if SUPERVISED in table.methods and "finetune" in table.protocols:
        found.append(Evaluation.of_clips(clips, split, ("supervised",), settings=table.evaluation))
    return found


def _baseline_run(table: Table, clips: Clips, folder: Path, names: Sequence[str]) -> str:
    """The run of a seed whose folder gets the results of the methods without runs: one that has them, or the first."""
    wanted = [each for split in table.specification.splits for each in _baselines(table, clips, split)]
    done = (name for name in names if not any(each.missing(folder / name)[0] for each in wanted))
    return next(done, names[0])


def _notes(table: Table, departures: Sequence[str]) -> list[str]:
    """Lines about recipe, seeds and settings."""
    notes = [f"recipe {table.specification.recipe}, seeds {', '.join(map(str, table.seeds))}"]
    defaults = dict(flatten(asdict(EvaluationSettings())))
    protocols = [
        f"{name} {value} instead of {defaults[name]}"
        for name, value in flatten(asdict(table.evaluation))
        if value != defaults[name]
    ]
    notes += [f"settings of the protocols: {'; '.join(protocols)}"] if protocols else []
    return [*notes, *([f"departs from the table: {'; '.join(departures)}"] if departures else [])]
