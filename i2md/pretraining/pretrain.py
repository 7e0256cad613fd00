"""Pretraining from a folder of clips into the folder of a run: what `i2md pretrain` does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from i2md.data.checks import clips_span
from i2md.data.packed import pack
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.distributed.process_group import is_main_process, process_group, world_size
from i2md.errors import InputError, RankLost
from i2md.pretraining.checkpoint import load_tensors
from i2md.pretraining.checks import describe_sizes, few_clips_warnings, small_run_warnings, unused_settings
from i2md.pretraining.log import DIAGNOSTICS, read_log
from i2md.pretraining.loop import Monitor, Monitors, Training
from i2md.pretraining.models import Model, build_model
from i2md.pretraining.run import MODEL, STATE, RunConfig, claimed, versions
from i2md.pretraining.settings import PretrainSettings
from i2md.pretraining.start import load_start, start_of
from i2md.runtime.device import choose_device, fast_cpu_matmul, keep_freed_memory, tf32_matmul
from i2md.runtime.exit_codes import deferred_signals
from i2md.runtime.random import derive_seed
from i2md.views.augment import build_augmentations

# The recipe that was chosen for the clips.
AUTO = "auto"
# The name of a split that takes every clip.
ALL = "all"
# From the clips, the name of the run's split and the device to the run's monitor; None without labels or such a split.
MonitorFactory = Callable[[Clips, str, torch.device], Monitor | None]

# Clips from which the size of the bodies is measured, for a warning where others are evaluated.
_MEASURED = 50


@dataclass(frozen=True)
class Pretrained:
    """The result of a pretraining."""

    run: Path
    """Folder of the run."""
    clips: int
    """Number of clips pretrained on."""
    split: str
    """Name of the split whose training part they are; "all" for every clip."""
    epochs: int
    """Passes over them."""
    seconds: float
    """Time that the training steps of all epochs took."""
    losses: dict[str, float]
    """Mean of each weighted loss over the last epoch, by name; "loss" is their sum."""
    knn: dict[str, float]
    """The kNN accuracy monitored last, by stream; empty where it was not monitored."""
    diagnostics: dict[str, float]
    """The last diagnostics, by name; empty where they were not measured."""
    left_out: dict[str, str]
    """Diagnostics that could not be measured, and why."""
    begins: dict[str, int]
    """The terms of the loss that began, with the number of steps before the first step of each."""
    warnings: list[str]
    """What the settings of this run make of its clips, such as terms of the loss that never began."""


@process_group()
def pretrain_run(
    clips: Clips,
    run: Path,
    settings: PretrainSettings,
    *,
    device: str = "auto",
    recipe: str | None = None,
    monitor: MonitorFactory | None = None,
    diagnostics: MonitorFactory | None = None,
    longer: bool = False,
) -> Pretrained:
    """Pretrain on unlabelled clips into the folder of a run; called again with the same arguments, it resumes.

    Processes that torchrun or Slurm started share the work.

    Args:
        clips: All clips of the data set.
        run: Folder of the run, made if necessary.
        settings: Everything that decides the weights.
        device: "auto", "cpu", "cuda" or "cuda:N".
        recipe: Name of the recipe that the settings were taken from.
        monitor: Makes the function that measures the model every `knn_every` epochs.
        diagnostics: The same every `diagnostics_every` epochs.
        longer: Continue a run of fewer epochs in this folder where its schedule allows it.

    Returns:
        What was trained, how long it took, and the last losses and monitored accuracies.

    Raises:
        InputError: Clips, settings and folder contradict one another, another process is training the run, or a loss is
            not finite.
        KeyboardInterrupt: Interrupted, after a checkpoint was saved.
        RankLost: Another process of the job has ended.
    """
    chosen_device = choose_device(device)
    chosen, config = plan(clips, settings, recipe)
    split = config.clips["split"]
    _require_whole_batches(chosen, settings)
    warnings = [*small_run_warnings(len(chosen), settings), *unused_settings(settings.encoder)]
    if recipe == AUTO:
        warnings += few_clips_warnings(len(chosen))
    if is_main_process():
        if recipe == AUTO:
            print(f"i2md: recipe auto: {describe_sizes(len(chosen), settings)}", file=sys.stderr)
        for warning in warnings:
            print(f"i2md: warning: {warning}", file=sys.stderr)
    monitors = [
        (every, measure)
        for every, make in ((settings.knn_every, monitor), (settings.diagnostics_every, diagnostics))
        if every and make and (measure := make(clips, split, chosen_device))
    ]
    keep_freed_memory()
    with fast_cpu_matmul(), tf32_matmul(settings.precision == "tf32"):
        train(chosen, run, config, chosen_device, monitors, longer)
    log = collectives.broadcast(read_log(run))
    last = log[-1] if log else {}
    return Pretrained(
        run=run,
        clips=len(chosen),
        split=split,
        epochs=settings.epochs,
        seconds=sum(line.get("seconds", 0.0) for line in log),
        losses={name: v for name, v in last.items() if name in _losses(last)},
        knn={name.removeprefix("knn/"): value for name, value in last.items() if name.startswith("knn/")},
        diagnostics={name.removeprefix(DIAGNOSTICS): v for name, v in last.items() if name.startswith(DIAGNOSTICS)},
        left_out=last.get("left_out", {}),
        begins={term: step for line in log for term, step in line.get("begins", {}).items()},
        warnings=warnings,
    )


def _losses(line: dict[str, float]) -> set[str]:
    other = {"epoch", "step", "seconds", "clips_per_second", "learning_rate", "begins", "left_out"}
    return {name for name in line if name not in other and not name.startswith(("knn/", DIAGNOSTICS))}


def _require_whole_batches(clips: Clips, settings: PretrainSettings) -> None:
    if len(clips) < settings.batch_size:
        raise InputError(
            f"{clips.path}: {len(clips)} clips to train on are fewer than a batch of {settings.batch_size};"
            " lower --batch_size or add clips"
        )
    if settings.batch_size % world_size():
        raise InputError(
            f"batch_size {settings.batch_size} is for all processes together and must be a multiple of their number,"
            f" {world_size()}; change --batch_size or start another number of them"
        )


def plan(clips: Clips, settings: PretrainSettings, recipe: str | None = None) -> tuple[Clips, RunConfig]:
    """The clips that a run of these settings trains on, and the configuration that its folder will hold.

    Args:
        clips: All clips of the data set.
        settings: The run's settings.
        recipe: Name of the recipe that they were taken from.

    Returns:
        The training part of the chosen split, and the configuration.

    Raises:
        InputError: The split or an option of an augmentation is unknown, a setting does not fit the clips' layout, or
            the run to start from is of another encoder.
    """
    split = settings.split or clips.default_split() or ALL
    chosen = clips if split == ALL else clips.part(split, "train")
    layout = clips.dataset.layout
    build_augmentations(settings.views)  # before a folder is made, since it raises InputError for wrong options
    if settings.views.rotation and layout.channels != 3:
        raise InputError(f"views.rotation turns bodies in space but the clips of {clips.path} are 2-D; leave it at 0")
    span = clips_span(chosen, most=_MEASURED)
    return chosen, RunConfig(
        settings=settings,
        layout=layout,
        preparation=clips.dataset.preparation,
        persons=chosen.max_persons,
        clips={
            "path": str(clips.path),
            "name": clips.dataset.name,
            "split": split,
            "count": len(chosen),
            "frames": int(chosen.columns["frames"].sum()),
            "extent": None if span is None else float(f"{span:.4g}"),
            "units": clips.dataset.units,
        },
        versions=versions(),
        recipe=recipe,
        start=start_of(settings, layout, chosen.max_persons, clips.dataset.preparation),
    )


def train(
    clips: Clips,
    run: Path,
    config: RunConfig,
    device: torch.device,
    monitors: Monitors = (),
    longer: bool = False,
) -> Model:
    """Pretrain on all of `clips`, from the run's checkpoint where there is one.

    Killed at any moment and called again, it ends with the same weights as if it had never been killed (CPU, same
    number of threads). Several processes share each batch, which changes nothing but rounding; the first one writes.

    Args:
        clips: The clips to train on.
        run: Folder of the run, made if necessary.
        config: Its configuration.
        device: Where to train.
        monitors: Measure the model every few epochs.
        longer: Continue a run of fewer epochs where its schedule allows it: the step schedule does not depend on the
            number of epochs. The weights are those of a run that was this long from the start.

    Returns:
        The trained model.

    Raises:
        InputError: The folder holds a run of other settings, another process is training it, or a loss is not finite.
        KeyboardInterrupt: Interrupted, after a checkpoint was saved.
        RankLost: Another process of the job has ended.
    """
    settings = config.settings
    _require_whole_batches(clips, settings)
    torch.manual_seed(derive_seed(settings.seed, "weights"))
    model = build_model(settings, config.layout, config.persons, len(clips)).to(device)
    with ExitStack() as claims:
        collectives.run_on_main(lambda: claims.enter_context(claimed(run, config, longer)))
        _require_same_settings(config)
        training = Training(model, pack(clips, device), run, device)
        # Only the first process looks for it: a file system that machines share may show it to them at different times.
        if collectives.broadcast((run / STATE).is_file()):
            training.restore()
        elif config.start is not None:
            load_start(model, config.start)
        # A kill may have come between the last checkpoint and the finished model, or that may be damaged since.
        if collectives.broadcast(training.step < training.last_step or not _is_whole(run / MODEL)):
            with deferred_signals() as stopped:
                try:
                    training.run_to_end(stopped, monitors)
                except RankLost as lost:
                    raise RankLost(f"{run}: {lost} at step {training.step}") from lost
    return model


def _is_whole(path: Path) -> bool:
    try:
        load_tensors(path)
    except InputError:
        return False
    return True


def _require_same_settings(config: RunConfig) -> None:
    differing = {name for other in collectives.all_gather_object(config) for name in config.differences(other)}
    if differing:
        names = ", ".join(name.removeprefix("settings.") for name in sorted(differing))
        raise InputError(f"the processes of this job differ in {names}; start all of them with the same command")
