"""Commands that make runs: pretrain and import_cmd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings

if TYPE_CHECKING:
    from i2md.data.store import Clips
    from i2md.pretraining.pretrain import Pretrained
    from i2md.pretraining.run import RunConfig

PathLike = str | os.PathLike[str]


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
        run: Folder of the run, written here; an interrupted run resumes, and one of fewer
            epochs by a step schedule continues.
        recipe: Recipe that the settings start from: a name (see i2md recipes) or a YAML file; by default auto, which
            is chosen for the clips. The published settings are recipe ntu60.
        settings: Settings; by default those of the recipe.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        What was trained on, how long it took, and the last figures.

    Raises:
        InputError: Clips, settings and folder contradict one another.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.evaluation.diagnostics import diagnostics_monitor
    from i2md.evaluation.monitor import knn_monitor
    from i2md.pretraining.pretrain import pretrain_run
    from i2md.recipes import load_recipe
    from i2md.recipes.auto import AUTO, auto_settings

    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    if settings is None:
        recipe = recipe or AUTO
        settings = auto_settings(opened) if recipe == AUTO else load_recipe(recipe)
    return pretrain_run(
        opened,
        Path(run),
        settings,
        device=device,
        recipe=None if recipe is None else Path(recipe).stem,
        monitor=knn_monitor,
        diagnostics=diagnostics_monitor,
        longer=True,
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
    from i2md.pretraining.reference_checkpoint import (
        read_reference_checkpoint,
        reference_settings,
        rename_reference_state,
    )
    from i2md.pretraining.run import CONFIG, MODEL, RunConfig, versions
    from i2md.runtime.io import write_text
    from i2md.skeletons import get_layout

    run = Path(run)
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise InputError(f"{run}: already exists; name a folder that does not")
    state = read_reference_checkpoint(Path(checkpoint))
    try:
        config = RunConfig(
            settings=reference_settings(state),
            layout=get_layout("kinect-v2"),
            preparation="ntu",
            persons=2,
            clips={"name": "unknown", "split": None, "imported": Path(checkpoint).name},
            versions=versions(),
        )
        model = I2MD(config.settings, config.layout, config.persons)
        model.load_state_dict(rename_reference_state(state))
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{checkpoint}: not a complete checkpoint of CMD ({reason}); give another") from None
    save_tensors(run / MODEL, {k: v for k, v in model.state_dict().items() if k.startswith("query.")})
    write_text(run / CONFIG, config.to_yaml())
    return config
