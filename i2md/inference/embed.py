"""`i2md embed`: the features of any number of clips, computed part by part, into a file or a folder.

The file is an .npz with `names`, `labels` and an array (clips, width) for each stream. The folder has files
`features-00000000.parquet` and so on, one for each part, with the columns `name`, `label` and a list of float32 for
each stream, and `_embedding.json`, which identifies run and clips and says whether all files are there. An interrupted
folder resumes with the parts that are missing.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2md.data.conversion import in_layout
from i2md.data.storage.remote import is_remote, list_files, remote_errors, write_bytes
from i2md.data.store import Clips
from i2md.distributed import collectives
from i2md.distributed.process_group import world_size
from i2md.distributed.ray_cluster import RayCluster, RayFuture, connect
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError, shortened
from i2md.inference.model import Model, RunFiles, check_clips, load_files, open_model
from i2md.runtime.io import atomic_write, check_target
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.runtime.progress import progress

# Clips of a part: a multiple of the batch size, so that features do not depend on the division into parts.
PART_SIZE = 4096
# Features (clips, width) by stream.
Features = dict[str, np.ndarray]
# Called with the number of a part, its clips and their features, where they were computed; its result is passed on.
Store = Callable[[int, Clips, Features], Features]
# pyarrow, Spark and DuckDB ignore names with a leading underscore.
_INFO = "_embedding.json"


def embed_into(
    run: Path, clips: Clips, out: Path, device: str, cluster: str | None, readout: WeightlessReadout | None = None
) -> dict[str, Any]:
    """Write the features of all clips.

    Args:
        run: Folder of the run; like `out` it may be a remote path (i2md.data.storage.remote).
        clips: The clips, of the run's preparation; those of another layout are converted to the run's.
        out: An .npz file, or a folder; an interrupted folder of the same run and clips resumes.
        device: auto, cpu, cuda or cuda:N.
        cluster: Address of the Ray cluster that computes the features; None computes them here.
        readout: How features are read out of the encoders' states; None: as in pretraining.

    Returns:
        The number of clips, and the shape of each stream's features.

    Raises:
        InputError: Run, clips and target do not fit one another.
    """
    if cluster and world_size() > 1:
        raise InputError("embed: --cluster distributes the work itself; start it without torchrun or srun")
    if not is_remote(out):
        check_target(out, file=out.suffix == ".npz")
    if out.suffix == ".npz":
        parts = list(range(part_count(clips)))
        found = [features for _, features in _with_progress(run, clips, parts, device, cluster, readout)]
        joint: Features = {name: np.concatenate([features[name] for features in found]) for name in found[0]}
        collectives.run_on_main(partial(write_npz, out, clips, joint))
        return {"clips": len(clips), "features": {name: list(value.shape) for name, value in joint.items()}}
    if out.suffix or (out.exists() and not out.is_dir()):
        raise InputError(f"{out}: features are written to an .npz file or to a folder of Parquet files; name one")
    folder = FeatureFolder(out, clips, _key(RunFiles.read(run).key, clips, readout))
    missing: list[int] = collectives.broadcast_result(folder.missing)
    store = partial(write_part, out)
    # Machines of a cluster can write to remote storage; to a local folder only this process can.
    remote_store = store if cluster and is_remote(out) else None
    for part, features in _with_progress(run, clips, missing, device, cluster, readout, remote_store):
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
) -> Iterator[tuple[int, Features]]:
    before = len(clips) - sum(len(part_clips(clips, part)) for part in parts)
    # A single part takes a moment.
    with progress(len(clips), "embed", "clip", initial=before, show=part_count(clips) > 1) as bar:
        for part, features in compute_parts(run, clips, parts, device, cluster, store, readout):
            bar.update(len(part_clips(clips, part)))
            yield part, features


def part_clips(clips: Clips, part: int) -> Clips:
    """The clips of a part, numbered from 0."""
    return clips.span(part * PART_SIZE, min((part + 1) * PART_SIZE, len(clips)))


def part_count(clips: Clips) -> int:
    """The number of parts of the clips."""
    return -(-len(clips) // PART_SIZE)


def compute_parts(
    run: Path,
    clips: Clips,
    parts: Sequence[int],
    device: str = "auto",
    cluster: str | None = None,
    store: Store | None = None,
    readout: WeightlessReadout | None = None,
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

    Yields:
        Number and features of each part, or what `store` returned.

    Raises:
        InputError: The run does not fit the clips, or the device the cluster.
    """
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
        yield from _compute_on(ray, device, RunFiles.read(run), clips, parts, store, readout)


def _compute_on(
    cluster: RayCluster,
    device: str,
    run: RunFiles,
    clips: Clips,
    parts: Sequence[int],
    store: Store | None,
    readout: WeightlessReadout | None,
) -> Iterator[tuple[int, Features]]:
    with_gpus = device == "cuda" or (device == "auto" and cluster.has_gpus)
    cluster, device = (cluster.with_gpus(), "cuda") if with_gpus else (cluster, "cpu")
    files = cluster.put(run)
    left, waiting = deque(parts), deque[tuple[int, RayFuture]]()
    while left or waiting:
        # Each worker has one part to compute and one waiting, so that none is idle and memory stays small.
        while left and len(waiting) < 2 * cluster.num_workers:
            part = left.popleft()
            features = cluster.submit(_compute_remotely, files, device, part_clips(clips, part), part, store, readout)
            waiting.append((part, features))
        part, features = waiting.popleft()
        yield part, features.result()


def _compute_remotely(
    run: RunFiles, device: str, clips: Clips, part: int, store: Store | None, readout: WeightlessReadout | None
) -> Features:
    return _compute(load_files(run, device, readout), clips, part, store)


def _compute(model: Model, clips: Clips, part: int, store: Store | None) -> Features:
    features = model.features(in_layout(clips.in_memory(), model.config.layout))
    return store(part, clips, features) if store else features


def write_npz(out: Path, clips: Clips, features: Features) -> None:
    """Write one file with `names`, `labels`, and an array (clips, width) for each stream."""
    arrays: dict[str, Any] = {"names": clips.columns["name"].astype(str), "labels": clips.labels, **features}
    if is_remote(out):
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_bytes(out, content.getvalue())
        return
    with atomic_write(out) as partial_path, open(partial_path, "wb") as file:
        np.savez(file, **arrays)


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of Parquet files, one for each part, of the run and the clips that `key` identifies."""

    out: Path
    clips: Clips
    key: str

    def missing(self) -> list[int]:
        """The parts without a file.

        Raises:
            InputError: The folder holds something else, or features of another run or of other clips.
        """
        if is_remote(self.out):
            names = set(list_files(self.out))
        else:
            # A hidden file is what a killed process was writing.
            names = {path.name for path in self.out.glob("[!.]*")} if self.out.exists() else set()
        if names:
            self._require_same(names)
        else:
            self._write_info(whole=False)
        return [part for part in range(part_count(self.clips)) if _file_name(part) not in names]

    def _require_same(self, names: set[str]) -> None:
        with remote_errors(self.out):
            content = (self.out / _INFO).read_bytes() if _INFO in names else b"{}"
        info = None
        with suppress(NotPlainData):
            info = parse_json(content)
        if not isinstance(info, dict) or info.get("key") != self.key:
            raise InputError(f"{self.out}: holds something else, or of another run or clips; name another")

    def _write_info(self, whole: bool) -> None:
        info = {"key": self.key, "clips": len(self.clips), "files": part_count(self.clips), "whole": whole}
        _write(self.out / _INFO, json.dumps(info, indent=1).encode() + b"\n")

    def finish(self) -> dict[str, list[int]]:
        """Mark the folder as complete; return the shape of each stream's features."""
        self._write_info(whole=True)
        path = self.out / _file_name(0)
        try:
            with remote_errors(self.out), path.open("rb") as file:
                schema = pq.read_schema(file)
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None:  # pyarrow's errors of damage have no number
                raise
            raise InputError(f"{path}: damaged ({shortened(error)}); remove it, and run the command again") from None
        return {field.name: [len(self.clips), getattr(field.type, "list_size", 0)] for field in list(schema)[2:]}


def write_part(out: Path, part: int, clips: Clips, features: Features) -> Features:
    """Write one part, as a whole or not at all.

    Args:
        out: The folder.
        part: Number of the part.
        clips: Its clips.
        features: Their features.

    Returns:
        No features: nothing needs to be sent back from where the part was computed.
    """
    columns = {
        "name": pa.array(clips.columns["name"].tolist(), pa.string()),
        "label": pa.array(clips.labels),
        **{n: pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), v.shape[1]) for n, v in features.items()},
    }
    content = io.BytesIO()  # not compressed: features hardly shrink
    pq.write_table(pa.table(columns), content, compression="none", use_dictionary=False)
    _write(out / _file_name(part), content.getvalue())
    return {}


def _file_name(part: int) -> str:
    return f"features-{part:08}.parquet"


def _write(path: Path, content: bytes) -> None:
    if is_remote(path):
        write_bytes(path, content)
        return
    with atomic_write(path) as partial_path:
        partial_path.write_bytes(content)


def _key(run: str, clips: Clips, readout: str | None) -> str:
    """A hash of a run (by its own key), the read-out and the clips: their names, lengths and preparation."""
    dataset = clips.dataset
    parts = [run, str(part_count(clips)), dataset.name, dataset.preparation, *clips.columns["name"].tolist()]
    parts += [] if readout is None else [readout]
    digest = hashlib.sha256("\0".join(parts).encode())
    digest.update(clips.columns["frames"].tobytes())
    return digest.hexdigest()
