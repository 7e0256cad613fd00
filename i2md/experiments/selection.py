"""Settings chosen on held-out training subjects by successive halving, and the best few verified at full length.

Every combination of a grid is pretrained for a few epochs and evaluated on training subjects that it did not see; the
best third is pretrained for more, and so on; the best few are pretrained in full, and the first of these is chosen.
Workers read a folder that holds training clips alone, so that no test clip can take part. All runs of a rung end before
it is decided which go on: unlike with asynchronous schedulers, the choice does not depend on which worker is faster,
and the same command after a kill ends with the same.

Source: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from i2md.data.held_out import held_out_clips
from i2md.data.store import Clips, open_clips
from i2md.errors import InputError
from i2md.evaluation.evaluate import choose_split
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.table import markdown
from i2md.experiments.grid import Combination, combinations, format_value, plain, run_names, with_values
from i2md.experiments.job import Evaluation, Job
from i2md.experiments.runner import Workers, choose_workers, require_some, run_jobs
from i2md.experiments.workers import Failure
from i2md.pretraining.pretrain import plan
from i2md.pretraining.run import MODEL
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.io import check_target, write_text

PathLike = str | os.PathLike[str]

# One of so many combinations goes on to the next rung.
REDUCTION = 3
# Folder of the training clips, and of what each run prints.
CLIPS, LOGS = "clips", "logs"


@dataclass
class Candidate:
    """A combination of the grid, and how it did."""

    combination: Combination
    scores: dict[int, float] = field(default_factory=dict)
    """Mean accuracy, from 0 to 1, on held-out training subjects by the number of epochs."""
    runs: dict[int, dict[str, float]] = field(default_factory=dict)
    """By the number of epochs: the accuracy of each run by its folder within the selection's."""
    failed: Failure | None = None
    """Why a run of it failed; it is then out."""


@dataclass(frozen=True)
class Search:
    """What all rungs share."""

    clips: Clips
    """The training clips; their splits hold some of them out."""
    out: Path
    seeds: tuple[int, ...]
    settings: PretrainSettings
    protocols: tuple[str, ...]
    workers: Workers
    device: str


def default_rungs(epochs: int) -> tuple[int, ...]:
    """A ninth and a third of the epochs.

    >>> default_rungs(90), default_rungs(4)
    ((10, 30), (1,))
    """
    return tuple(dict.fromkeys(max(1, epochs // parts) for parts in (REDUCTION**2, REDUCTION)))


def select(
    clips: PathLike,
    out: PathLike,
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] = (0,),
    settings: PretrainSettings | None = None,
    protocol: Sequence[str] = ("knn", "ridge"),
    split: str | None = None,
    rungs: Sequence[int] = (),
    verify: int = 2,
    folds: int = 1,
    workers: Workers | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Choose among the combinations of a grid on held-out training subjects. Called again, it resumes.

    Args:
        clips: Folder of the clips; only training clips of `split` are used, for whatever purpose.
        out: Folder of the training clips, the runs and the record.
        grid: Values by dotted name of the setting.
        seeds: Seeds of every combination.
        settings: Settings that all runs share; `epochs` is the full length.
        protocol: Protocols; the score is the mean of their accuracies.
        split: Split whose training clips are used; by default that of the settings, or the clips' first.
        rungs: Epochs of the shorter runs, increasing; by default a ninth and a third of the full length.
        verify: How many of the best are pretrained in full.
        folds: How many times subjects are held out, other ones each time.
        workers: Where runs are executed; by default one process per core or GPU.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        What `selection.json` holds.

    Raises:
        InputError: An argument is invalid, or every run failed.
    """
    opened, out, base = open_clips(clips), Path(out), settings or PretrainSettings()
    rungs = tuple(rungs) or default_rungs(base.epochs)
    check_target(out)
    _require_valid(grid, seeds, protocol, rungs, base.epochs, verify, folds)
    split = choose_split(opened, split, base.split)
    training = held_out_clips(opened, split, out / CLIPS, folds)
    search = Search(training, out, tuple(seeds), base, tuple(protocol), workers or choose_workers(device), device)
    candidates = [Candidate(each) for each in combinations(grid)]
    left: Sequence[Candidate] = candidates
    before: int | None = None
    data: dict[str, Any] = {}
    for epochs in (*rungs, base.epochs):
        _run_rung(search, left, epochs, before)
        ranked = sorted((each for each in left if each.failed is None), key=lambda each: -each.scores[epochs])
        kept = verify if epochs == rungs[-1] else max(verify, ceil(len(ranked) / REDUCTION))
        left, before = ranked[:kept], epochs
        data = _write(search, grid, split, rungs, candidates, ranked if epochs == base.epochs else [])
    return data


def _require_valid(
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    protocol: Sequence[str],
    rungs: Sequence[int],
    epochs: int,
    verify: int,
    folds: int,
) -> None:
    for name in protocol:
        PROTOCOLS.check(name)
    taken = {"seed", "epochs", "split"} & set(grid)
    for wrong, message in (
        (not protocol, "no protocol given; --protocol knn ridge"),
        (not seeds, "no seed given; give --seeds 0"),
        (
            not any(len(values) > 1 for values in grid.values()),
            "--select chooses among the values of --grid; give some",
        ),
        (taken, f"--select decides {', '.join(sorted(taken))} itself; leave it out of --grid"),
        (verify < 1 or folds < 1, f"--verify {verify}, --folds {folds}: give at least 1"),
        (
            list(rungs) != sorted(set(rungs)) or not all(0 < each < epochs for each in rungs),
            f"--rungs {' '.join(map(str, rungs))}: give increasing numbers of epochs below --epochs {epochs}",
        ),
    ):
        if wrong:
            raise InputError(message)


def _run_rung(search: Search, candidates: Sequence[Candidate], epochs: int, before: int | None) -> None:
    """Pretrain candidates for so many epochs and evaluate them, as far as that has not been done."""
    jobs: dict[str, Job] = {}
    of_run: dict[str, Candidate] = {}
    folder = search.out / f"{epochs}-epochs"
    for candidate in candidates:
        chosen = [{**candidate.combination, "split": fold} for fold in search.clips.dataset.splits]
        for name, (combination, seed) in run_names(chosen, search.seeds).items():
            try:
                settings = with_values(search.settings, {**combination, "seed": seed, "epochs": epochs})
                plan(search.clips, settings)
            except InputError as error:
                candidate.failed = Failure(str(error), 2)
                break
            if before is not None and settings.optimizer.schedule == "step":
                _copy_run(search.out / f"{before}-epochs" / name, folder / name)
            evaluation = Evaluation.of_clips(search.clips, str(combination["split"]), search.protocols)
            data = plain(asdict(settings))
            jobs[name] = Job(
                str(folder / name), str(search.clips.path), data, (evaluation,), search.device, longer=True
            )
            of_run[name] = candidate
    chosen_jobs = [job for name, job in jobs.items() if of_run[name].failed is None]
    failures = run_jobs(chosen_jobs, search.workers, search.out / LOGS, f"{epochs} epochs")
    for name, failure in failures.items():
        of_run[name].failed = of_run[name].failed or failure
    failed = _failures(candidates)
    if len(failed) == len(candidates):
        require_some(search.out, {}, failed)
    for name, candidate in of_run.items():
        if candidate.failed is None:
            run = folder / name
            accuracy = _score(read_results(run / "evaluation"), search.protocols)
            candidate.runs.setdefault(epochs, {})[str(run.relative_to(search.out))] = accuracy
            candidate.scores[epochs] = fmean(candidate.runs[epochs].values())


def _failures(candidates: Sequence[Candidate]) -> dict[str, Failure]:
    """Why candidates failed, by their combinations."""
    return {_label(each.combination): each.failed for each in candidates if each.failed}


def _score(results: Sequence[Result], protocols: Sequence[str]) -> float:
    """Mean over the protocols of the ensemble's accuracy; of several numbers of neighbours or labels their mean."""
    by_protocol = [[each.overall.accuracy for each in results if each.protocol == name] for name in protocols]
    return fmean(fmean(accuracies) for accuracies in by_protocol)


def _copy_run(run: Path, target: Path) -> None:
    """Copy a finished run to continue it: by a step schedule it ends as one that was this long from the start."""
    if (run / MODEL).is_file() and not target.exists():
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run, partial, ignore=shutil.ignore_patterns("evaluation", "report.html"))
        partial.rename(target)


def _write(
    search: Search,
    grid: Mapping[str, Sequence[Any]],
    split: str,
    rungs: Sequence[int],
    candidates: Sequence[Candidate],
    verified: Sequence[Candidate],
) -> dict[str, Any]:
    """Write the record, the table and, at the end, the chosen settings as a recipe; return the record."""
    out = search.out
    data: dict[str, Any] = {
        "grid": {name: list(values) for name, values in grid.items()},
        "split": split,
        "held_out": list(search.clips.dataset.splits),
        "clips": len(search.clips),
        "protocols": list(search.protocols),
        "seeds": list(search.seeds),
        "epochs": [*rungs, search.settings.epochs],
        "failed": {name: asdict(failure) for name, failure in _failures(candidates).items()},
        "candidates": [plain(asdict(each)) for each in candidates],
        "selected": plain(dict(verified[0].combination)) if verified else None,
        "order_kept": _order_kept(verified, rungs[-1]),
        "recipe": str(out / "selected.yaml") if verified else None,
    }
    if verified:
        settings = with_values(search.settings, verified[0].combination)
        head = f"# Chosen on held-out training subjects of {search.clips.dataset.name}, split {split}: selection.md\n"
        chosen = {name: value for name, value in plain(asdict(settings)).items() if name not in ("seed", "split")}
        write_text(out / "selected.yaml", head + yaml.safe_dump(chosen, sort_keys=False))
    write_text(out / "selection.json", json.dumps(data, indent=1) + "\n")
    write_text(out / "selection.md", markdown_selection(data) + "\n")
    return data


def _order_kept(verified: Sequence[Candidate], last_rung: int) -> bool | None:
    """Whether the best few have the same order in full length as at the last rung; None for fewer than two."""
    if len(verified) < 2:
        return None
    earlier = [each.scores[last_rung] for each in verified]
    return earlier == sorted(earlier, reverse=True)


def markdown_selection(data: Mapping[str, Any]) -> str:
    """The record as Markdown: a row for each combination, the chosen one first, and what was held out.

    Args:
        data: What `select` returned.
    """
    epochs = data["epochs"]
    order = lambda each: tuple(-each["scores"].get(str(n), -1.0) for n in reversed(epochs))  # noqa: E731
    candidates = sorted(data["candidates"], key=order)
    rows = [["settings", *(f"{n} epochs" for n in epochs)]]
    for each in candidates:
        cells = [f"{100 * each['scores'][str(n)]:.1f}" if str(n) in each["scores"] else "-" for n in epochs]
        rows.append([_label(each["combination"]), *cells])
    runs = len(data["held_out"]) * len(data["seeds"])
    parts = [
        markdown(rows),
        f"Mean accuracy in percent by {', '.join(data['protocols'])} on held-out training subjects of split"
        f" {data['split']} ({data['clips']} training clips; {', '.join(data['held_out'])}); runs each: {runs}. Test"
        " clips took no part.",
    ]
    if data["selected"] is not None:
        parts.append(f"Selected: {_label(data['selected'])}.")
    if data["order_kept"] is False:
        parts.append(f"The best few have another order after {epochs[-1]} epochs than after {epochs[-2]}.")
    failed = [f"- {name}: {failure['reason']}" for name, failure in data["failed"].items()]
    return "\n\n".join([*parts, *(["\n".join(["Failed:\n", *failed])] if failed else [])])


def _label(combination: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={format_value(value)}" for name, value in combination.items())
