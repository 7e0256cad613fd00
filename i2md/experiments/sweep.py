"""Every combination of settings over every seed: run, evaluated, and put side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from i2md.commands import PathLike, plan
from i2md.data.store import Clips, open_clips
from i2md.errors import InputError
from i2md.evaluation.comparison import decides_untrained, flat
from i2md.evaluation.evaluate import choose_split
from i2md.evaluation.protocols import PROTOCOLS
from i2md.experiments.ablation import Ablation
from i2md.experiments.grid import Combination, changed, combinations, run_names, setting_names, value_word
from i2md.experiments.job import Evaluation, Job
from i2md.experiments.outcome import gather
from i2md.experiments.runner import failures, find_places
from i2md.pretraining.run import CONFIG, RunConfig, read_config
from i2md.pretraining.settings import PretrainSettings

LOGS = "logs"


def sweep(
    clips: PathLike,
    out: PathLike,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    settings: PretrainSettings | None = None,
    protocol: Sequence[str] = ("knn", "linear"),
    split: Sequence[str] = (),
    untrained: bool = False,
    against: Combination | None = None,
    jobs: int | None = None,
    device: str = "auto",
    vary: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Pretrain and evaluate each combination of the grid with each seed, and gather table, figures, report, plots.

    `grid` names values by dotted setting, `settings` holds what all runs share. With `vary` in the grid's place the
    runs are `settings` as they are and, for each value, the same with that one change, which is compared with the
    former by seed; in a grid that is done with `against`, the part of a combination to compare the others with.

    Called again with the same arguments it goes on: finished runs are kept, unfinished ones resume. A run that fails
    is named with its reason under `failed` in what is returned, and the others go on. Of several splits the first is
    pretrained on, all are evaluated; `untrained` puts the same encoders before training beside them, once where they
    are the same.

    Raises InputError where an argument is wrong or no run at all succeeds, KeyboardInterrupt when interrupted.
    """
    opened, out = open_clips(clips), Path(out)
    grid, base = grid or {}, settings or PretrainSettings()
    _require_sensible(grid, seeds, protocol, against, vary or {})
    places = find_places(device, jobs)
    splits = tuple(dict.fromkeys(choose_split(opened, name) for name in split))
    for name in splits:
        opened.part(name, "test")
    if split:
        base = replace(base, split=split[0])
    ablation = Ablation.around(base, vary) if vary else None
    chosen = ablation.combinations() if ablation else combinations(grid)
    runs = run_names(chosen, seeds)
    planned, failed = _plan_jobs(opened, out, runs, base, tuple(protocol), splits, untrained, device)
    require_any(out, planned, failed)
    failed |= failures(list(planned.values()), places, out / LOGS, "sweep")
    # In the order of the combinations, whichever seeds of them failed.
    in_order = sorted(runs, key=lambda name: chosen.index(runs[name][0]))
    done = {name: runs[name] for name in in_order if name not in failed}
    require_any(out, done, failed)
    return gather(out, done, grid, against, {name: failed[name] for name in runs if name in failed}, ablation)


def require_any(out: Path, left: Mapping, failed: Mapping[str, str]) -> None:
    """Raise InputError where no run is left."""
    if not left:
        name, reason = next(iter(failed.items()))
        raise InputError(f"{out}: all {len(failed)} runs failed; {name}: {reason}")


def _require_sensible(
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    protocol: Sequence[str],
    against: Combination | None,
    vary: Mapping[str, Sequence[Any]],
) -> None:
    unknown = [name for name in protocol if name not in PROTOCOLS]
    if unknown or not protocol:
        raise InputError(f"protocol {', '.join(unknown)!r} is not known; choose among {', '.join(PROTOCOLS)}")
    if not seeds:
        raise InputError("no seed to run with; give --seeds 0 1 2")
    if grid and vary:
        raise InputError("a grid is every combination, --vary one change at a time; give --grid or --vary, not both")
    if against and vary:
        raise InputError("--vary compares every change with the settings as they are; leave --against out")
    for name, values in {**grid, **vary}.items():
        if name not in setting_names() or name == "seed":
            raise InputError(f"{name!r} is no setting to choose values of; see i2md sweep --help")
        if not values:
            raise InputError(f"no value is given for {name}; write {name}=VALUE,VALUE")
    for name, value in (against or {}).items():
        if value not in grid.get(name, ()):
            known = ", ".join(f"{n}={value_word(v)}" for n, values in grid.items() for v in values)
            raise InputError(f"{name}={value_word(value)} is not in the grid, so nothing is against it; it has {known}")


def _plan_jobs(
    clips: Clips,
    out: Path,
    runs: Mapping[str, tuple[Combination, int]],
    base: PretrainSettings,
    protocols: tuple[str, ...],
    splits: tuple[str, ...],
    untrained: bool,
    device: str,
) -> tuple[dict[str, Job], dict[str, str]]:
    """A job for each run whose settings agree with one another; for the others, why they don't."""
    jobs: dict[str, Job] = {}
    failed: dict[str, str] = {}
    seen: set[str] = set()
    for name, (combination, seed) in runs.items():
        try:
            settings = changed(base, {**combination, "seed": seed})
            config = plan(clips, settings)[1]
        except InputError as error:
            failed[name] = str(error)
            continue
        folder = out / name
        require_same_run(folder, config)
        data = json.loads(json.dumps(asdict(settings)))
        before_training = json.dumps({n: v for n, v in flat(data) if decides_untrained(n)} | {"seed": seed})
        evaluated = splits or (choose_split(clips, config.clips["split"]),)
        beside = untrained and before_training not in seen
        seen.add(before_training)
        evaluations = [
            Evaluation.on(clips, split, protocols, untrained=kind)
            for split in evaluated
            for kind in (True, False)
            if beside or not kind
        ]
        jobs[name] = Job(str(folder), str(clips.path), data, tuple(evaluations), device)
    return jobs, failed


def require_same_run(folder: Path, config: RunConfig) -> None:
    """Refuse a folder that holds a run of another configuration."""
    if (folder / CONFIG).is_file():
        differing = [name.removeprefix("settings.") for name in read_config(folder).differences(config)]
        if differing:
            raise InputError(f"{folder}: holds a run that differs in {', '.join(differing)}; name another folder")
