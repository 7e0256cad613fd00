"""Commands that make runs: pretrain and import_cmd."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings

if TYPE_CHECKING:
    from i2md.data.store import Clips
    from i2md.pretraining.run import RunConfig

PathLike = str | os.PathLike[str]
# The split that takes every clip.
ALL = "all"


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining run."""

    run: Path
    """Folder of the run."""
    clips: int
    """Number of clips pretrained on."""
    split: str
    """The split whose training part they are, or "all"."""
    epochs: int
    """Passes over the clips."""
    seconds: float
    """Time spent on the epochs, those of interrupted attempts included."""
    losses: dict[str, dict[str, float]]
    """Mean losses of the last epoch: {"contrast": {"joint": 2.1, ...}, ...}."""
    knn: dict[str, float]
    """Last monitored kNN accuracy by stream; empty without labels."""


def pretrain(
    *,
    clips: PathLike | Clips,
    run: PathLike,
    recipe: str | None = None,
    settings: PretrainSettings | None = None,
    device: str = "auto",
) -> Pretrained:
    """Pretrain encoders on unlabelled clips.

    Interrupted or killed, the same command resumes and ends with the same weights. Processes started by torchrun or
    Slurm share each batch.

    Args:
        clips: Folder of clips.
        run: Folder of the run, written here; an interrupted run resumes.
        recipe: Recipe that the settings start from: a name (see i2md recipes) or a YAML file.
        settings: Settings; by default those of the recipe, or the published ones.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        What was trained on, how long it took, and the last figures.

    Raises:
        InputError: Clips, settings and folder contradict one another.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.distributed.collectives import process_group
    from i2md.evaluation.monitor import neighbour_watch
    from i2md.pretraining.loop import train
    from i2md.recipes import load_recipe
    from i2md.runtime.device import choose_device, quick_products, tensor_float32
    from i2md.runtime.memory import keep_freed_memory

    with process_group():
        if settings is None:
            settings = load_recipe(recipe) if recipe else PretrainSettings()
        where = choose_device(device)
        opened = clips if isinstance(clips, Clips) else open_clips(clips)
        chosen, config = plan(opened, settings, recipe)
        watch = neighbour_watch(opened, config.clips["split"], where) if settings.knn_every else None
        keep_freed_memory()
        with quick_products(), tensor_float32(settings.precision == "tf32"):
            train(chosen, Path(run), config, where, watch)
        return _pretrained(Path(run), config)


def plan(clips: Clips, settings: PretrainSettings, recipe: str | None = None) -> tuple[Clips, RunConfig]:
    """The clips that a run of these settings pretrains on, and the configuration that its folder will hold.

    Args:
        clips: All clips of the data set.
        settings: Settings of the run.
        recipe: Recipe that the settings were taken from: a name or a YAML file.

    Returns:
        The training part of the settings' split (by default the first split), and the configuration.

    Raises:
        InputError: The clips have no such split, or the settings do not fit their layout.
    """
    from i2md.pretraining.run import RunConfig, versions

    split = settings.split or clips.default_split() or ALL
    chosen = clips if split == ALL else clips.part(split, "train")
    layout = clips.dataset.layout
    if settings.views.rotation and layout.channels != 3:
        raise InputError(f"views.rotation needs 3-D positions, but layout {layout.name} is 2-D; leave it at 0")
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
        },
        versions=versions(),
        recipe=None if recipe is None else Path(recipe).stem,
    )


def _pretrained(run: Path, config: RunConfig) -> Pretrained:
    from i2md.pretraining.log import read_log

    lines = read_log(run)
    losses: dict[str, dict[str, float]] = {}
    for name, value in (lines[-1] if lines else {}).items():
        term, _, stream = name.partition("/")
        if stream and term != "knn":
            losses.setdefault(term, {})[stream] = value
    monitored = [line for line in lines if any(name.startswith("knn/") for name in line)]
    return Pretrained(
        run=run,
        clips=config.clips["count"],
        split=config.clips["split"],
        epochs=config.settings.epochs,
        seconds=sum(line["seconds"] for line in lines),
        losses=losses,
        knn={n.removeprefix("knn/"): v for n, v in monitored[-1].items() if n.startswith("knn/")} if monitored else {},
    )


def import_cmd(*, checkpoint: PathLike, run: PathLike) -> RunConfig:
    """Turn a checkpoint of the published CMD program into a run.

    Nothing in the checkpoint is executed. It fits clips of preset "ntu" in layout kinect-v2 with two persons.

    Args:
        checkpoint: Checkpoint of CMD pretraining (.pth.tar).
        run: Folder of the run to write; it must not exist.

    Returns:
        The configuration of the run.

    Raises:
        InputError: The file is not such a checkpoint, or the folder exists.
    """
    from i2md.pretraining.checkpoint import save_tensors
    from i2md.pretraining.model import I2MD
    from i2md.pretraining.official import official_settings, read_official, rename_official
    from i2md.pretraining.run import CONFIG, MODEL, RunConfig, versions
    from i2md.runtime.io import write_text
    from i2md.skeletons import get_layout

    run = Path(run)
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(f"{run}: already exists; name a folder that does not")
    state = read_official(Path(checkpoint))
    try:
        config = RunConfig(
            settings=official_settings(state),
            layout=get_layout("kinect-v2"),
            preparation="ntu",
            persons=2,
            clips={"name": "unknown", "split": None, "imported": Path(checkpoint).name},
            versions=versions(),
        )
        model = I2MD(config.settings, config.layout, config.persons)
        model.load_state_dict(rename_official(state))
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{checkpoint}: not a complete checkpoint of CMD ({reason}); give another") from None
    save_tensors(run / MODEL, {k: v for k, v in model.state_dict().items() if k.startswith("query.")})
    write_text(run / CONFIG, config.to_yaml())
    return config
