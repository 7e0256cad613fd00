"""The commands as functions: what `i2md NAME` does, under the same name in Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2md.data.storage.remote import to_path
from i2md.data.store import Clips, open_clips
from i2md.distributed import collectives as ranks
from i2md.errors import InputError
from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.evaluate import evaluate_run
from i2md.evaluation.monitor import neighbour_watch
from i2md.evaluation.report.comparison_page import write_comparison
from i2md.evaluation.settings import EvaluationSettings
from i2md.inference.embed import embed_into
from i2md.pretraining.checkpoint import save_tensors
from i2md.pretraining.model import I2MD
from i2md.pretraining.official import official_settings, read_official, rename_official
from i2md.pretraining.pretrain import Pretrained, pretrain_run
from i2md.pretraining.run import CONFIG, MODEL, RunConfig, versions
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.device import choose_device, quick_products
from i2md.runtime.io import write_text
from i2md.runtime.memory import keep_freed_memory
from i2md.skeletons import get_layout

PathLike = str | os.PathLike[str]


def pretrain(
    clips: PathLike | Clips,
    run: PathLike,
    settings: PretrainSettings | None = None,
    device: str = "auto",
    recipe: str | None = None,
) -> Pretrained:
    """Pretrain on unlabelled clips into a run folder; called again with the same arguments, it goes on.

    Processes that torchrun or Slurm started work at it together, as at `evaluate` and `embed`. `recipe` is what the
    settings were taken from; results name it. Raises InputError where clips, settings and folder contradict one
    another.
    """
    clips = clips if isinstance(clips, Clips) else open_clips(clips)
    return pretrain_run(
        clips, Path(run), settings or PretrainSettings(), device=device, recipe=recipe, monitor=neighbour_watch
    )


@ranks.process_group()
def evaluate(
    run: PathLike,
    clips: PathLike | Clips,
    protocol: Sequence[str] = ("knn", "linear"),
    split: str | None = None,
    untrained: bool = False,
    device: str = "auto",
    settings: EvaluationSettings | None = None,
    trained: bool = True,
) -> list[dict[str, Any]]:
    """Evaluate a run by the field's protocols; results go to its evaluation/*.json and report.html.

    Protocols: knn, retrieval, linear, linear-sweep (the rate chosen on training clips), finetune, supervised (the
    same from the beginning), semi, few-shot. On other clips than the run's they measure transfer. `untrained` puts
    the same encoders before training beside it, or without `trained` evaluates them alone.
    """
    clips = clips if isinstance(clips, Clips) else open_clips(clips)
    keep_freed_memory()
    with quick_products():
        where = choose_device(device)
        return evaluate_run(Path(run), clips, tuple(protocol), split, where, untrained, settings, trained)


@ranks.process_group()
def embed(
    run: PathLike, clips: PathLike | Clips, out: PathLike, device: str = "auto", cluster: str | None = None
) -> dict[str, Any]:
    """Write the features of all clips: an .npz of `names`, `labels` and one array a stream (clips, width).

    Where `out` is no .npz it is a folder of Parquet files, for any number of clips; one that was not finished goes
    on. `cluster` is the address of a Ray cluster that does it; all three places may be URLs.
    """
    clips = clips if isinstance(clips, Clips) else open_clips(clips)
    return embed_into(to_path(run), clips, to_path(out), device, cluster)


def report(runs: Sequence[PathLike], out: PathLike = "comparison.html") -> dict[str, Any]:
    """Put runs beside one another in one page that opens from the disk alone: curves, table, what they differ in.

    Runs that differ in their seed alone are one line, mean and spread. Returns the `results`, the names `differing`,
    what was to be said (`notes`) and where the page is (`report`).
    """
    if not runs:
        raise InputError("no run to report on; name the folders of one or more")
    comparison = compare_runs([Path(run) for run in runs])
    page = write_comparison(comparison, Path(out))
    return {
        "results": comparison.results(),
        "differing": comparison.differing,
        "notes": list(comparison.notes),
        "report": str(page),
    }


def import_cmd(checkpoint: PathLike, run: PathLike) -> RunConfig:
    """Turn a checkpoint of the published CMD program into a run that `load` and `evaluate` take.

    Nothing in the checkpoint is executed. The clips it fits are those of preset "ntu", layout kinect-v2,
    two people.
    """
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
        raise InputError(f"{checkpoint}: not a whole checkpoint of CMD ({reason}); give another") from None
    save_tensors(run / MODEL, {k: v for k, v in model.state_dict().items() if k.startswith("query.")})
    write_text(run / CONFIG, config.to_yaml())
    return config
