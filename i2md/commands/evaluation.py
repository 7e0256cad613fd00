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
    protocol: Sequence[str] = ("knn", "ridge", "linear"),
    split: str | None = None,
    baselines: Sequence[str] | None = None,
    trained: bool = True,
    corrupt: Sequence[str] = (),
    settings: EvaluationSettings | None = None,
    device: str = "auto",
) -> list[Result]:
    """Evaluate the representation of a run by the field's protocols.

    Results go to evaluation/*.json and report.html in the run's folder. On clips of another data set than the run's
    they measure transfer.

    Args:
        run: Folder of the run, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips with labels and a split.
        protocol: Protocols: knn, retrieval, cluster, ridge, calibration, open-set, linear, linear-sweep (rate chosen on
            training clips), finetune, supervised (from random initialisation), semi, few-shot, label-efficiency,
            segment (predictions over time on recordings with labelled intervals).
        split: Split to train and test on; by default the one pretrained on.
        baselines: Baselines to evaluate, too: positions, untrained (the same encoders randomly initialised),
            minirocket, none; by default the first two, by knn, retrieval and ridge.
        trained: Evaluate the run's encoders.
        corrupt: Evaluate on corrupted test clips, too, by knn, retrieval and ridge: all, or some of joints, noise,
            frames, rate, scale, camera, tilt, turn; --corruption.* are their levels.
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
    from i2md.pretraining.shipped import own_run
    from i2md.runtime.device import choose_device, fast_cpu_matmul, keep_freed_memory

    with process_group(), fast_cpu_matmul():
        opened = clips if isinstance(clips, Clips) else open_clips(clips)
        keep_freed_memory()
        where = choose_device(device)
        names = tuple(protocol), split
        return evaluate_run(own_run(run), opened, *names, where, baselines, settings, trained, tuple(corrupt))


def embed(
    *,
    run: PathLike,
    clips: PathLike | Clips,
    out: PathLike,
    windows: str | None = None,
    stride: str | None = None,
    device: str = "auto",
    jobs: int | None = None,
    cluster: str | None = None,
    readout: WeightlessReadout | None = None,
) -> dict[str, Any]:
    """Write the features of clips, of their windows, or of recordings.

    An .npz file holds `names`, `labels` and one array (clips, width) for each stream, a .parquet file the same as
    columns. A folder of Parquet files takes any number of clips; an interrupted one resumes. Recordings are prepared
    as the run's clips were; their format is recognised, and where their layout is another they are converted.

    Args:
        run: Folder of the run, or its URL, or the name of a shipped encoder: kinect-base.
        clips: Folder of clips, or its URL; or a file, .zip or folder of recordings.
        out: An .npz or .parquet file to write, or a folder of Parquet files, or its URL.
        windows: Length of the windows into which recordings are divided, such as 2s.
        stride: Time from the beginning of a window to that of the next; by default half of the length.
        device: auto, cpu, cuda or cuda:N.
        jobs: Worker processes on the CPU, for many clips; by default the features are computed in one.
        cluster: Ray cluster that does the work: auto, local or ray://HOST:PORT.
        readout: How features are read out of the encoders' states: last, mean, max or pyramid; by default as in
            pretraining.

    Returns:
        The number of clips, the shape of each stream's features, and how many joints of the clips preparation
        interpolated or found missing.

    Raises:
        InputError: Run, clips and target do not fit one another.
    """
    from i2md.data.storage.remote import to_path
    from i2md.data.windows import parse_windows
    from i2md.distributed.process_group import process_group
    from i2md.inference.embed import embed_into
    from i2md.inference.recordings import clips_or_recordings, opened_clips
    from i2md.pretraining.run import read_config
    from i2md.pretraining.shipped import find_run

    if stride is not None and windows is None:
        raise InputError("embed: stride belongs to windows; give their length by --windows, such as 2s")
    divided = None if windows is None else parse_windows(windows, stride)
    folder = find_run(run)
    prepared = opened_clips(clips)
    preset = read_config(folder).preparation if prepared is None else prepared.dataset.preparation
    source = clips if prepared is None else prepared
    with process_group(), clips_or_recordings(source, to_path(out), preset, divided) as opened:
        opened = opened if divided is None else opened.windows(divided)
        report = opened.dataset.report
        counts = {name: report[name] for name in ("joints_interpolated", "joints_missing") if report.get(name)}
        done = embed_into(folder, opened, to_path(out), device, cluster, readout, jobs)
        return {"out": str(out), **counts, **done}


def report(
    *,
    runs: Sequence[PathLike],
    out: PathLike | None = None,
    clips: PathLike | Clips | None = None,
    clusters: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Compare runs on one page, or show clips as one run sees them: a map, clusters, and each clip played.

    Runs that differ only in their seed are one row, with mean and standard deviation. With --clips one run is given;
    the clips need no labels. The page opens without a server.

    Args:
        runs: Folders of runs; those that differ only in their seed are one row.
        out: HTML page to write; by default comparison.html, or with --clips report.html in the run's folder.
        clips: Folder of clips, labelled or not, to show with one run.
        clusters: Number of clusters of the clips; by default chosen by the silhouette coefficient for clips without
            labels, and none for others.
        device: Where the features of --clips are computed: auto, cpu, cuda or cuda:N.

    Returns:
        The path of the `report`. Of runs also the `results`, the settings `differing` and `notes`, results on corrupted
        clips (`robustness`) and `pictures` of them beside the page; of clips their number, how many are shown and
        labelled, and the sizes of the `clusters`.

    Raises:
        InputError: A folder is not a run, or run and clips do not fit one another.
    """
    from i2md.evaluation.comparison import compare_runs
    from i2md.evaluation.report.pages import write_comparison
    from i2md.evaluation.report.robustness_figure import write_robustness_pngs
    from i2md.pretraining.shipped import find_run, own_run

    if not runs:
        raise InputError("no run to report on; name the folders of one or more")
    if clips is not None:
        if len(runs) > 1:
            raise InputError("report: --clips shows clips with one run; name one run, or leave --clips out")
        return _report_clips(own_run(runs[0]) if out is None else find_run(runs[0]), clips, out, clusters, device)
    if clusters is not None:
        raise InputError("report: --clusters divides clips; name their folder by --clips")
    comparison = compare_runs([Path(run) for run in runs])
    page = write_comparison(comparison, Path(out or "comparison.html"))
    robustness = comparison.robustness()
    pictures = write_robustness_pngs(page.parent, robustness)
    return {
        "results": comparison.results(),
        "differing": comparison.differing,
        "notes": list(comparison.notes),
        "robustness": robustness,
        "pictures": [str(path) for path in pictures],
        "report": str(page),
    }


def _report_clips(
    run: Path, clips: PathLike | Clips, out: PathLike | None, clusters: int | None, device: str
) -> dict[str, Any]:
    from i2md.data.store import Clips, open_clips
    from i2md.evaluation.clip_report import report_clips
    from i2md.runtime.device import choose_device, fast_cpu_matmul

    opened = clips if isinstance(clips, Clips) else open_clips(clips)
    with fast_cpu_matmul():
        return report_clips(run, opened, choose_device(device), Path(out) if out else None, clusters)
