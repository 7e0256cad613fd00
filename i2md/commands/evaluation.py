"""Commands on finished runs: evaluate, embed and report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.evaluation.settings import EvaluationSettings

if TYPE_CHECKING:
    from i2md.data.store import Clips
    from i2md.evaluation.results import Result

PathLike = str | os.PathLike[str]


def evaluate(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    protocol: Sequence[str] = ("knn", "linear"),
    split: str | None = None,
    untrained: bool = False,
    trained: bool = True,
    settings: EvaluationSettings | None = None,
    device: str = "auto",
) -> list[Result]:
    """Evaluate the representation of a run by the field's protocols.

    Results go to evaluation/*.json and report.html in the run's folder. On clips of another data set than the run's
    they measure transfer.

    Args:
        run: Folder of the run.
        clips: Folder of clips with labels and a split.
        protocol: Protocols: knn, retrieval, ridge, linear, linear-sweep (rate chosen on training clips), finetune,
            supervised (from random initialisation), semi, few-shot.
        split: Split to train and test on; by default the one pretrained on.
        untrained: Evaluate the same encoders randomly initialised, too.
        trained: Evaluate the run's encoders.
        settings: Settings of the protocols.
        device: auto, cpu, cuda or cuda:N.

    Returns:
        The results, as i2md.evaluation.results.Result.

    Raises:
        InputError: Run, clips and protocols do not fit one another.
    """
    from i2md.data.store import Clips, open_clips
    from i2md.distributed.process_group import process_group
    from i2md.evaluation.evaluate import evaluate_run
    from i2md.runtime.device import choose_device, fast_cpu_matmul, keep_freed_memory

    with process_group(), fast_cpu_matmul():
        opened = clips if isinstance(clips, Clips) else open_clips(clips)
        keep_freed_memory()
        where = choose_device(device)
        return evaluate_run(Path(run), opened, tuple(protocol), split, where, untrained, settings, trained)


def embed(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    out: PathLike,
    device: str = "auto",
    cluster: str | None = None,
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Write the features of clips.

    An .npz file holds `names`, `labels` and one array (clips, width) for each stream. A folder of Parquet files takes
    any number of clips; an interrupted one resumes.

    Args:
        run: Folder of the run, or its URL.
        clips: Folder of clips, or its URL.
        out: An .npz file to write, or a folder of Parquet files, or its URL.
        device: auto, cpu, cuda or cuda:N.
        cluster: Ray cluster that does the work: auto, local or ray://HOST:PORT.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The number of clips, and the shape of each stream's features.

    Raises:
        InputError: Run, clips and target do not fit one another.
    """
    from i2md.data.storage.remote import to_path
    from i2md.data.store import Clips, open_clips
    from i2md.distributed.process_group import process_group
    from i2md.inference.embed import embed_into

    with process_group():
        opened = clips if isinstance(clips, Clips) else open_clips(clips)
        return {"out": str(out), **embed_into(to_path(run), opened, to_path(out), device, cluster, readout)}


def report(*, runs: Sequence[PathLike], out: PathLike = "comparison.html") -> dict[str, Any]:
    """Compare runs on one page: curves, a table of results, the settings in which they differ.

    Runs that differ only in their seed are one row, with mean and standard deviation. The page opens without a
    server.

    Args:
        runs: Folders of runs; those that differ only in their seed are one row.
        out: HTML page to write.

    Returns:
        The `results`, the settings `differing`, `notes`, and the path of the `report`.

    Raises:
        InputError: A folder is not a run.
    """
    from i2md.evaluation.comparison import compare_runs
    from i2md.evaluation.report.pages import write_comparison

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
