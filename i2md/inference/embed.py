"""`i2md embed`: the features of any number of clips, computed part by part, into a file or a folder.

The file is an .npz with `names`, `labels` and an array (clips, width) for each stream, or a .parquet file with the
columns `name`, `label` and a list of float32 for each stream, which takes the memory of one part. The folder has files
`features-00000000.parquet` and so on, one for each part, with the same columns, and `_embedding.json`, which identifies
run and clips and says whether all files are there. An interrupted folder resumes with the parts that are missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.conversion import in_layout
from i2md.data.executor import Executor, Future, LocalExecutor
from i2md.data.storage.remote import is_remote
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.distributed.process_group import is_main_process, world_size
from i2md.distributed.ray_cluster import connect
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.evaluation.fit import check_clips
from i2md.inference.feature_files import (
    FeatureFolder,
    Features,
    features_key,
    parquet_file,
    part_clips,
    part_count,
    write_npz,
    write_part,
)
from i2md.inference.model import Model, RunFiles, load_files, open_model
from i2md.runtime.io import check_target
from i2md.runtime.progress import progress

# Called with the number of a part, its clips and their features, where they were computed; its result is passed on.
Store = Callable[[int, Clips, Features], Features]


def embed_into(
    run: Path,
    clips: Clips,
    out: Path,
    device: str,
    cluster: str | None,
    readout: WeightlessReadout | None = None,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Write the features of all clips.

    Args:
        run: Folder of the run; like `out` it may be a remote path (i2md.data.storage.remote).
        clips: The clips, of the run's preparation; those of another layout are converted to the run's.
        out: An .npz or .parquet file, or a folder; an interrupted folder of the same run and clips resumes.
        device: auto, cpu, cuda or cuda:N.
        cluster: Address of the Ray cluster that computes the features; None computes them here.
        readout: How features are read out of the encoders' states; None: as in pretraining.
        jobs: Worker processes on the CPU; None computes the features in this one.

    Returns:
        The number of clips, and the shape of each stream's features.

    Raises:
        InputError: Run, clips and target do not fit one another.
    """
    if cluster and world_size() > 1:
        raise InputError("embed: --cluster distributes the work itself; start it without torchrun or srun")
    if jobs is not None and (jobs < 1 or cluster or world_size() > 1):
        raise InputError("embed: --jobs counts worker processes of one machine, at least 1, without --cluster")
    if not is_remote(out):
        check_target(out, file=bool(out.suffix))
    parts = list(range(part_count(clips)))
    if out.suffix == ".parquet" and not is_remote(out) and not out.is_dir():
        with parquet_file(out) if is_main_process() else nullcontext() as file:
            shapes: dict[str, list[int]] = {}
            for part, features in _with_progress(run, clips, parts, device, cluster, readout, jobs=jobs):
                shapes = {name: [len(clips), value.shape[1]] for name, value in features.items()}
                if file is not None:
                    file.add(part_clips(clips, part), features)
        return {"clips": len(clips), "features": shapes}
    if out.suffix == ".npz":
        found = [features for _, features in _with_progress(run, clips, parts, device, cluster, readout, jobs=jobs)]
        joint: Features = {name: np.concatenate([features[name] for features in found]) for name in found[0]}
        collectives.run_on_main(partial(write_npz, out, clips, joint))
        return {"clips": len(clips), "features": {name: list(value.shape) for name, value in joint.items()}}
    if out.suffix or (out.exists() and not out.is_dir()):
        raise InputError(
            f"{out}: features are written to an .npz or a .parquet file, or to a folder of Parquet files; name one"
        )
    folder = FeatureFolder(out, clips, features_key(RunFiles.read(run).key, clips, readout))
    missing: list[int] = collectives.broadcast_result(folder.missing)
    store = partial(write_part, out)
    # Machines of a cluster can write to remote storage; to a local folder only this process can.
    remote_store = store if cluster and is_remote(out) else None
    for part, features in _with_progress(run, clips, missing, device, cluster, readout, remote_store, jobs):
        if features:
            collectives.run_on_main(partial(store, part, part_clips(clips, part), features))
    return {"clips": len(clips), "features": collectives.broadcast_result(folder.finish)}


def _with_progress(
    run: Path,
    clips: Clips,
    parts: list[int],
    device: str,
    cluster: str | None,
    readout: WeightlessReadout | None,
    store: Store | None = None,
    jobs: int | None = None,
) -> Iterator[tuple[int, Features]]:
    before = len(clips) - sum(len(part_clips(clips, part)) for part in parts)
    # A single part takes a moment.
    with progress(len(clips), "embed", "clip", initial=before, show=part_count(clips) > 1) as bar:
        for part, features in compute_parts(run, clips, parts, device, cluster, store, readout, jobs):
            bar.update(len(part_clips(clips, part)))
            yield part, features


def compute_parts(
    run: Path,
    clips: Clips,
    parts: Sequence[int],
    device: str = "auto",
    cluster: str | None = None,
    store: Store | None = None,
    readout: WeightlessReadout | None = None,
    jobs: int | None = None,
) -> Iterator[tuple[int, Features]]:
    """Compute the features of some parts, in order.

    Args:
        run: Folder of the run.
        clips: All clips.
        parts: Numbers of the parts.
        device: auto, cpu, cuda or cuda:N; with a cluster without a number.
        cluster: Address of a Ray cluster whose machines compute the features, on a GPU each where they have any and
            `device` allows it. They read clips in remote storage themselves; clips on a local disk are sent to them.
        store: Called where a part's features were computed; by default they are returned.
        readout: How features are read out of the encoders' states; None: as in pretraining.
        jobs: Worker processes on the CPU, a thread each; None computes the features in this one.

    Yields:
        Number and features of each part, or what `store` returned.

    Raises:
        InputError: The run does not fit the clips, or the device the cluster.
    """
    if jobs is not None and jobs > 1 and len(parts) > 1:
        check_clips(open_model(run, "cpu", readout).config, clips, run)
        with LocalExecutor(jobs) as workers:
            yield from _compute_on(workers, "cpu", RunFiles.read(run), clips, parts, store, readout)
        return
    if cluster is None:
        model = open_model(run, device, readout)
        check_clips(model.config, clips, run)
        for part in parts:
            yield part, _compute(model, part_clips(clips, part), part, store)
        return
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}: with a cluster choose auto, cpu or cuda")
    # Checked here, before the cluster starts work that would fail.
    config = open_model(run, "cpu", readout).config
    check_clips(config, clips, run)
    with connect(cluster) as ray:
        with_gpus = device == "cuda" or (device == "auto" and ray.has_gpus)
        executor, device = (ray.with_gpus(), "cuda") if with_gpus else (ray, "cpu")
        yield from _compute_on(executor, device, RunFiles.read(run), clips, parts, store, readout)


def _compute_on(
    executor: Executor,
    device: str,
    run: RunFiles,
    clips: Clips,
    parts: Sequence[int],
    store: Store | None,
    readout: WeightlessReadout | None,
) -> Iterator[tuple[int, Features]]:
    files = executor.put(run)
    left, waiting = deque(parts), deque[tuple[int, Future[Any]]]()
    while left or waiting:
        # Each worker has one part to compute and one waiting, so that none is idle and memory stays small.
        while left and len(waiting) < 2 * executor.num_workers:
            part = left.popleft()
            features = executor.submit(_compute_remotely, files, device, part_clips(clips, part), part, store, readout)
            waiting.append((part, features))
        part, features = waiting.popleft()
        yield part, features.result()


def _compute_remotely(
    run: RunFiles, device: str, clips: Clips, part: int, store: Store | None, readout: WeightlessReadout | None
) -> Features:
    return _compute(load_files(run, device, readout), clips, part, store)


def _compute(model: Model, clips: Clips, part: int, store: Store | None) -> Features:
    features = model.features(in_layout(clips.in_memory(), model.config.layout, model.config.preparation))
    return store(part, clips, features) if store else features
