"""Commands on many runs: sweep and reproduce."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings

PathLike = str | os.PathLike[str]


def sweep(
    *,
    clips: PathLike,
    out: PathLike,
    grid: Sequence[str] | Mapping[str, Sequence[Any]] = (),
    vary: Sequence[str] | Mapping[str, Sequence[Any]] = (),
    seeds: Sequence[int] = (0, 1, 2),
    recipe: str | None = None,
    settings: PretrainSettings | None = None,
    protocol: Sequence[str] = ("knn", "ridge", "linear"),
    split: Sequence[str] = (),
    baselines: Sequence[str] | None = None,
    against: Sequence[str] | Mapping[str, Any] = (),
    select: bool = False,
    rungs: Sequence[int] = (),
    verify: int = 2,
    folds: int = 1,
    jobs: int | None = None,
    slurm: Sequence[str] = (),
    device: str = "auto",
) -> dict[str, Any]:
    """Pretrain and evaluate over settings and seeds: a grid, or one change at a time.

    Called again with the same arguments it resumes: finished runs are kept. A run that fails is named with its
    reason, and the others are completed.

    Args:
        clips: Folder of clips.
        out: Folder of the runs, the table, the plots and the report; an interrupted sweep resumes.
        grid: Settings with their values, every combination of which is a run: method=cmd,i2md batch_size=16,32.
        vary: Instead of a grid, one change at a time, each compared with the unchanged settings:
            batch_size=16,32 optimizer.name=adamw.
        seeds: Seeds; each combination is run with every one.
        recipe: Recipe that the settings start from: a name (see i2md recipes) or a YAML file.
        settings: Settings that all runs share; by default those of the recipe, or the published ones.
        protocol: Protocols: knn, ridge, linear, linear-sweep and the others of i2md evaluate.
        split: Splits; the first is pretrained on, all are evaluated.
        baselines: Baselines to evaluate, too: positions, untrained (the same encoders randomly initialised),
            minirocket, none; by default the first two, by knn, retrieval and ridge.
        against: The combination of the grid to compare the others with, paired by seed: method=cmd.
        select: Choose among the combinations of the grid on held-out training subjects, by successive halving; test
            clips take no part.
        rungs: With --select, epochs of the shorter runs; by default a ninth and a third of --epochs.
        verify: With --select, how many of the best are pretrained in full.
        folds: With --select, how many times training subjects are held out, other ones each time.
        jobs: Number of runs at a time; by default one a core, or one a GPU, and no limit with --slurm.
        slurm: Submit the runs to Slurm as a job array, with options of sbatch or of submitit:
            partition=gpu timeout_min=240 gpus_per_node=1 (extra slurm).
        device: auto, cpu, cuda or cuda:N.

    Returns:
        What results.json holds, with --select selection.json; failed runs with their reasons under `failed`.

    Raises:
        InputError: An argument is wrong, or every run fails.
    """
    from i2md.experiments import sweep as sweeping
    from i2md.experiments.runner import choose_workers
    from i2md.experiments.selection import select as choose
    from i2md.recipes import load_recipe

    workers = choose_workers(device, jobs, slurm)
    base = settings if settings is not None else load_recipe(recipe) if recipe else PretrainSettings()
    if select:
        if vary or against or baselines or len(split) > 1:
            raise InputError("--select takes --grid and one --split; leave out --vary, --against and --baselines")
        of_split = split[0] if split else None
        return choose(clips, out, _values(grid), seeds, base, protocol, of_split, rungs, verify, folds, workers, device)
    return sweeping.sweep(
        clips,
        out,
        _values(grid),
        seeds,
        base,
        protocol,
        split,
        baselines,
        _single_values("--against", against),
        workers,
        device,
        _values(vary),
    )


def reproduce(
    *,
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
    epochs: int | None = None,
    precision: str | None = None,
    change: Sequence[str] | Mapping[str, Any] = (),
    dry_run: bool = False,
    jobs: int | None = None,
    slurm: Sequence[str] = (),
    device: str = "auto",
) -> dict[str, Any]:
    """Reproduce a published table: prepare, pretrain, evaluate, and print it with the published figures.

    Finished runs and results are kept, unfinished ones resume. Every departure from the recipe is named in the table.

    Args:
        table: Table: utd-mhad, msr-action3d, nw-ucla, ntu60-xsub, ntu60-xview, ntu120-xsub, ntu120-xset, pku-mmd2,
            transfer-ntu60-pku-mmd2, transfer-ntu120-pku-mmd2, or a YAML file.
        out: Folder of the runs and the table; an interrupted reproduction resumes.
        clips: Folder of clips to pretrain on; by default OUT/clips.
        source: Recordings that the clips are prepared from where they do not exist.
        target: Folder of clips to transfer to; by default OUT/target.
        target_source: Recordings that those are prepared from where they do not exist.
        runs: Folder of runs shared with another table; by default OUT.
        seeds: Seeds; by default the table's.
        methods: Some of the table's methods.
        protocol: Some of the table's protocols.
        split: Some of the table's splits.
        epochs: Epochs of pretraining, instead of the recipe's.
        precision: Precision of pretraining, instead of the recipe's: fp32, tf32 or bf16.
        change: Other settings of pretraining or evaluation to change: batch_size=32 semi.draws=1.
        dry_run: Run the full recipe for one epoch on synthetic recordings, in OUT/dry-run.
        jobs: Number of runs at a time; by default one a core, or one a GPU, and no limit with --slurm.
        slurm: Submit the runs to Slurm as a job array, with options of sbatch or of submitit:
            partition=gpu timeout_min=240 gpus_per_node=1 (extra slurm).
        device: auto, cpu, cuda or cuda:N.

    Returns:
        What table.json holds; failed runs with their reasons under `failed`.

    Raises:
        InputError: An argument is wrong, or every run fails.
    """
    from i2md.experiments.reproduce import dry_run as dry
    from i2md.experiments.reproduce import reproduce as reproducing
    from i2md.experiments.reproduce.table import load_table
    from i2md.experiments.runner import choose_workers

    changes = {} if isinstance(change, Sequence) else dict(change)
    words = list(change) if isinstance(change, Sequence) else []
    words += [f"{name}={value}" for name, value in (("epochs", epochs), ("precision", precision)) if value is not None]
    changes |= _single_values("--change", words, reproducing.KINDS)
    if dry_run and seeds is None:
        seeds = dry.SEEDS
    return reproducing.reproduce(
        load_table(table).narrowed(seeds, methods, protocol, split),
        Path(out),
        reproducing.Recorded(clips, source),
        reproducing.Recorded(target, target_source),
        Path(runs) if runs is not None else None,
        changes,
        choose_workers(device, jobs, slurm),
        device,
        dry_run,
    )


def _values(words: Sequence[str] | Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """Values by setting; words such as method=cmd,i2md are parsed."""
    from i2md.experiments.grid import parse_grid

    return words if isinstance(words, Mapping) else parse_grid(words)


def _single_values(
    option: str, words: Sequence[str] | Mapping[str, Any], kinds: Sequence[type] = (PretrainSettings,)
) -> dict[str, Any]:
    """One value by setting; words such as method=cmd are parsed."""
    from i2md.experiments.grid import parse_grid

    if isinstance(words, Mapping):
        return dict(words)
    values = parse_grid(words, kinds)
    for name, several in values.items():
        if len(several) > 1:
            raise InputError(f"{option} {name}: give one value, a list in brackets")
    return {name: value for name, (value,) in values.items()}
