"""Pretrain and evaluate every combination of settings with every seed, and write tables, plots and a report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from i2md.data.store import Clips, open_clips
from i2md.errors import InputError
from i2md.evaluation.baselines import baselines_to_score, choose_baselines
from i2md.evaluation.comparison import ComparedResult, baseline_key, compare_runs
from i2md.evaluation.evaluate import choose_split
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.report.pages import write_comparison
from i2md.evaluation.table import accuracy_rows, markdown
from i2md.experiments.grid import (
    Ablation,
    Combination,
    combinations,
    format_value,
    plain,
    run_names,
    setting_names,
    with_values,
)
from i2md.experiments.job import Evaluation, Job
from i2md.experiments.latex import latex_comments, latex_table
from i2md.experiments.plots import plot_ablation, plot_by_value, plot_differences
from i2md.experiments.runner import Workers, choose_workers, require_some, run_jobs
from i2md.experiments.statistics import (
    TEST_COLUMNS,
    PairedDifference,
    overall_stream,
    overall_title,
    paired_differences,
)
from i2md.experiments.workers import Failure
from i2md.pretraining.pretrain import plan
from i2md.pretraining.run import CONFIG, RunConfig, read_config
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.io import check_target, write_text
from i2md.runtime.settings import flatten

PathLike = str | os.PathLike[str]
# Folder of what each run prints, beside the runs.
LOGS = "logs"


def sweep(
    clips: PathLike,
    out: PathLike,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    settings: PretrainSettings | None = None,
    protocol: Sequence[str] = ("knn", "ridge", "linear"),
    split: Sequence[str] = (),
    baselines: Sequence[str] | None = None,
    against: Combination | None = None,
    workers: Workers | None = None,
    device: str = "auto",
    vary: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Pretrain and evaluate each combination of a grid with each seed, and write tables, plots and a report.

    Called again with the same arguments it resumes: finished runs are kept, unfinished ones continue. A failed run is
    listed with its reason, and the others continue.

    Args:
        clips: Folder of the clips.
        out: Folder of the runs, a folder each, and of the results.
        grid: Values by dotted name of the setting.
        seeds: Seeds of every combination.
        settings: Settings that all runs share.
        protocol: Evaluation protocols.
        split: Splits to evaluate on; the first is also the one to pretrain on.
        baselines: Baselines to evaluate, too, each once where runs share it; by default those that take seconds.
        against: The part of a combination that makes it the baseline of all others.
        workers: Where runs are executed; by default one process per core or GPU.
        device: "auto", "cpu", "cuda" or "cuda:N".
        vary: Values by setting, changed one at a time, in place of `grid`. The baseline is `settings` unchanged.

    Returns:
        What `results.json` holds.

    Raises:
        InputError: An argument is invalid, or every run failed.
        KeyboardInterrupt: On Ctrl-C.
    """
    opened, out = open_clips(clips), Path(out)
    check_target(out)
    grid, base = grid or {}, settings or PretrainSettings()
    choose_baselines(baselines)
    _require_valid(grid, seeds, protocol, against, vary or {})
    splits = tuple(dict.fromkeys(choose_split(opened, name) for name in split))
    for name in splits:
        opened.part(name, "test")
    if split:
        base = replace(base, split=split[0])
    ablation = Ablation.around(base, vary) if vary else None
    chosen = ablation.combinations() if ablation else combinations(grid)
    runs = run_names(chosen, seeds)
    planned, failed = _plan_jobs(opened, out, runs, base, tuple(protocol), splits, baselines, device)
    require_some(out, planned, failed)
    failed |= run_jobs(list(planned.values()), workers or choose_workers(device), out / LOGS, "sweep")
    # In the order of the combinations, whichever of their seeds failed.
    ordered = sorted(runs, key=lambda name: chosen.index(runs[name][0]))
    done = {name: runs[name] for name in ordered if name not in failed}
    require_some(out, done, failed)
    return _write_results(out, done, grid, against, {name: failed[name] for name in runs if name in failed}, ablation)


def require_same_run(folder: Path, config: RunConfig) -> None:
    """Raise InputError if the folder holds a run of another configuration."""
    if (folder / CONFIG).is_file():
        differing = [name.removeprefix("settings.") for name in read_config(folder).differences(config)]
        if differing:
            raise InputError(f"{folder}: holds a run that differs in {', '.join(differing)}; name another folder")


def _require_valid(
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    protocol: Sequence[str],
    against: Combination | None,
    vary: Mapping[str, Sequence[Any]],
) -> None:
    if not protocol:
        raise InputError(f"no protocol given; choose among {', '.join(PROTOCOLS)}")
    for name in protocol:
        PROTOCOLS.check(name)
    if not seeds:
        raise InputError("no seed given; give --seeds 0 1 2")
    if grid and vary:
        raise InputError("--grid runs every combination, --vary one change at a time; give --grid or --vary, not both")
    if against and vary:
        raise InputError("--vary compares every change with the unchanged settings; leave --against out")
    for name, values in {**grid, **vary}.items():
        if name not in setting_names() or name == "seed":
            raise InputError(f"{name!r} is not a setting that can be swept; see i2md sweep --help")
        if not values:
            raise InputError(f"{name} has no values; write {name}=VALUE,VALUE")
    for name, value in (against or {}).items():
        if value not in grid.get(name, ()):
            known = ", ".join(f"{n}={format_value(v)}" for n, values in grid.items() for v in values)
            raise InputError(f"baseline {name}={format_value(value)} is not in the grid; it has {known}")


def _plan_jobs(
    clips: Clips,
    out: Path,
    runs: Mapping[str, tuple[Combination, int]],
    base: PretrainSettings,
    protocols: tuple[str, ...],
    splits: tuple[str, ...],
    baselines: Sequence[str] | None,
    device: str,
) -> tuple[dict[str, Job], dict[str, Failure]]:
    """Jobs by the name of their run; failures of the runs whose settings contradict one another."""
    jobs: dict[str, Job] = {}
    failed: dict[str, Failure] = {}
    planned: set[str] = set()
    notes: dict[str, None] = {}
    for name, (combination, seed) in runs.items():
        try:
            settings = with_values(base, {**combination, "seed": seed})
            config = plan(clips, settings)[1]
        except InputError as error:
            failed[name] = Failure(str(error), 2)
            continue
        folder = out / name
        require_same_run(folder, config)
        data = plain(asdict(settings))
        to_score, left_out = baselines_to_score(baselines, [PROTOCOLS[n] for n in protocols], config, len(clips))
        notes |= dict.fromkeys(left_out)
        keys = {baseline: baseline_key(baseline, flatten(data), seed) for baseline in to_score}
        scored = {name: tuple(each.name for each in to_score[name]) for name, key in keys.items() if key not in planned}
        planned |= set(keys.values())
        evaluations = [
            Evaluation.of_clips(clips, split_name, names, baseline)
            for split_name in splits or (choose_split(clips, config.clips["split"]),)
            for baseline, names in [*scored.items(), (None, protocols)]
        ]
        jobs[name] = Job(str(folder), str(clips.path), data, tuple(evaluations), device)
    print(*notes, sep="\n", end="\n" * bool(notes), file=sys.stderr)
    return jobs, failed


def _write_results(
    out: Path,
    runs: Mapping[str, tuple[Combination, int]],
    grid: Mapping[str, Sequence[Any]],
    against: Combination | None,
    failed: Mapping[str, Failure],
    ablation: Ablation | None,
) -> dict[str, Any]:
    """Write tables, results.json, report.html and plots of the finished runs; return what results.json holds."""
    labels = {out / name: ablation.label(combination) for name, (combination, _) in runs.items()} if ablation else {}
    comparison = compare_runs([out / name for name in runs], labels)
    by_path = {out / name: run for name, run in runs.items()}
    pretrained = [each for each in comparison.results(average=True) if each.result.baseline is None]
    pairs = _compare_with_baseline(pretrained, by_path, against, ablation)
    whole = overall_stream([each.result for each in pretrained])
    shown = [pair for pair in pairs if pair.stream == whole]
    plots = {
        "By value": ("by-value", _plot_values(pretrained, by_path, grid, ablation)),
        "Differences by seed": ("differences", plot_differences(shown)),
    }
    data = {
        "grid": {name: list(values) for name, values in grid.items()},
        "vary": {name: list(values) for name, values in ablation.others.items()} if ablation else None,
        "base": dict(ablation.base) if ablation else None,
        "against": dict(against) if against else None,
        "results": [{"combination": dict(by_path[each.run][0]), **each.to_dict()} for each in comparison.results()],
        "differences": [asdict(pair) for pair in pairs],
        "failed": {name: asdict(failure) for name, failure in failed.items()},
        "report": str(out / "report.html"),
    }
    for name, svg in plots.values():
        if svg:
            write_text(out / "plots" / f"{name}.svg", svg)
    write_text(out / "results.json", json.dumps(data, indent=1) + "\n")
    write_text(out / "table.md", markdown_results(data) + "\n")
    write_text(out / "table.tex", latex_results(data))
    figures = [(title, svg[svg.index("<svg") :]) for title, (_, svg) in plots.items() if svg]
    notes = [f"{name} failed: {failure.reason}" for name, failure in failed.items()]
    write_comparison(comparison, out / "report.html", figures, [str(pair) for pair in shown], notes)
    return data


def _plot_values(
    results: Sequence[ComparedResult],
    runs: Mapping[Path, tuple[Combination, int]],
    grid: Mapping[str, Sequence[Any]],
    ablation: Ablation | None,
) -> str | None:
    return plot_ablation(results, runs, ablation) if ablation else plot_by_value(results, runs, grid)


def _compare_with_baseline(
    results: Sequence[ComparedResult],
    runs: Mapping[Path, tuple[Combination, int]],
    against: Combination | None,
    ablation: Ablation | None,
) -> list[PairedDifference]:
    if ablation:
        return paired_differences(results, runs, lambda combination: {})
    return paired_differences(results, runs, lambda combination: {**combination, **against}) if against else []


def markdown_results(data: Mapping[str, Any]) -> str:
    """Return what `sweep` returned as Markdown: the table, the ensemble's differences, and the failed runs.

    Args:
        data: What `sweep` returned.
    """
    title, pairs = _ensemble_differences(data)
    parts = [markdown(_accuracy_rows(data))]
    if pairs:
        parts.append("\n".join([f"Differences paired by seed, {title}, in points:\n", *(f"- {p}" for p in pairs)]))
    if data["failed"]:
        parts.append("\n".join(["Failed:\n", *(f"- {name}: {f['reason']}" for name, f in data["failed"].items())]))
    return "\n\n".join(parts)


def latex_results(data: Mapping[str, Any]) -> str:
    r"""Return what `sweep` returned as LaTeX for \usepackage{booktabs}: the table, and the ensemble's differences."""
    (_, *heading), *rows = _accuracy_rows(data)
    by_data = groupby(rows, key=lambda row: row[0])
    sections = [(title, [cells[1:] for cells in group]) for title, group in by_data]
    lines = latex_comments([r"\usepackage{booktabs}"])
    lines += latex_table("ll" + "r" * (len(heading) - 2), heading, sections)
    title, pairs = _ensemble_differences(data)
    if pairs:
        by_title = groupby(pairs, key=lambda pair: pair.title)
        sections = [
            (f"{name}, {title}", [[f"{pair.of} - {pair.baseline}", *pair.tests.cells(pair.mean)] for pair in group])
            for name, group in by_title
        ]
        lines += ["", *latex_table("lrrrrr", ["difference in points", *TEST_COLUMNS], sections)]
    return "\n".join(lines) + "\n"


def _accuracy_rows(data: Mapping[str, Any]) -> list[list[str]]:
    results = [ComparedResult.from_dict(each) for each in data["results"]]
    return accuracy_rows([each.result for each in results], [each.label for each in results])


def _ensemble_differences(data: Mapping[str, Any]) -> tuple[str, list[PairedDifference]]:
    """Title and differences of the ensemble, or of the one stream that all runs have."""
    results = [ComparedResult.from_dict(each).result for each in data["results"]]
    pretrained = [result for result in results if result.baseline is None]
    stream = overall_stream(pretrained)
    pairs = [PairedDifference(**pair) for pair in data["differences"] if pair["stream"] == stream]
    return overall_title(pretrained), pairs
