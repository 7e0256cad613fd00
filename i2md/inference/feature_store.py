"""The features of a run on clips, kept on disk: computed once, and extended where clips are new or have changed.

A folder of parts, each of up to PART_SIZE clips and never written to again: `vectors-00000000.npy`, the streams'
features side by side, and `clips-00000000.npy`, by which a clip is found: a hash of its name and its frames. A part is
there once its second file is, so that a killed process loses the part that it was computing. Rows of clips that are not
there any more stay until they are the most; then the parts are written anew.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt64

from i2md.data.store import Clips
from i2md.data.windows import PERSON_STEP
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.inference.embed import compute_parts
from i2md.inference.feature_files import PART_SIZE, part_clips, part_count
from i2md.inference.feature_parts import FeatureStore, complete_parts, mapped
from i2md.inference.model import RunFiles, open_model
from i2md.runtime.io import atomic_write, check_target, locked, write_text
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.runtime.progress import progress

FORMAT_VERSION = 1
_INFO = "features.json"
_LAST = "last.npy"
# Folder of the index, which numbers the rows as this module does.
INDEX = "index"


@dataclass(frozen=True)
class StoredFeatures:
    """The features of clips in a store."""

    store: FeatureStore
    rows: Int64[np.ndarray, " clips"]
    """The row of each clip."""
    added: int
    """Clips whose features were computed now."""
    removed: int
    """Rows of clips that are not among these any more; their files are kept until most are such."""

    def features(self) -> dict[str, Float32[np.ndarray, "clips _"]]:
        """The features of all clips by stream."""
        return self.store.rows(self.rows)


def default_folder(run: Path, clips: Clips) -> Path:
    """The folder of a run in which the features of some clips are kept."""
    name = "".join(letter if letter.isalnum() else "-" for letter in clips.dataset.name)[:40]
    where = sha256(str(clips.path.absolute() if isinstance(clips.path, Path) else clips.path).encode()).hexdigest()
    return run / "features" / f"{name}-{where[:8]}"


def stored_features(
    run: Path, clips: Clips, folder: Path | None = None, device: str = "auto", readout: WeightlessReadout | None = None
) -> StoredFeatures:
    """The features of clips, of which those that the store lacks are computed.

    Args:
        run: Folder of the run.
        clips: Clips of the run's preparation; those of another layout are converted.
        folder: Folder of the store; by default one in the run's folder.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states; None: as in pretraining.

    Raises:
        InputError: Run and clips do not fit one another, or the folder holds something else.
    """
    if not len(clips):
        raise InputError(f"{clips.path}: holds no clips; prepare some")
    folder = folder or default_folder(run, clips)
    check_target(folder)
    key = sha256(f"{RunFiles.read(run).key} {readout} {clips.dataset.preparation}".encode()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", wait=True):
        widths = _opened(folder, key)
        if widths is None:
            encoders = open_model(run, "cpu", readout).encoders
            widths = {name: encoder.width for name, encoder in encoders.items()}
            info = {"format_version": FORMAT_VERSION, "key": key, "streams": widths}
            write_text(folder / _INFO, json.dumps(info, indent=1) + "\n")
        state = _state(clips)
        rows = _unchanged(folder, state, len(clips))
        store = FeatureStore(folder, widths)
        if rows is not None and ((rows >= 0) & (rows < len(store))).all():
            return _found(store, rows, 0)
        hashes = clip_hashes(clips)
        missing = np.flatnonzero(_find(folder, hashes) < 0)
        _compute(run, clips.select(missing), hashes[missing], folder, device, readout)
        rows = _find(folder, hashes)
        if _without_removed(FeatureStore(folder, widths), rows):
            rows = _find(folder, hashes)
        if state is not None:
            _write(folder / _LAST, np.concatenate([state, rows]))
        return _found(FeatureStore(folder, widths), rows, len(missing))


def clip_hashes(clips: Clips) -> UInt64[np.ndarray, " clips"]:
    """A hash of the name and the frames of each clip; of a million clips two have the same by a chance of 3e-8.

    Args:
        clips: Opened clips.
    """
    found = np.empty(len(clips), np.uint64)
    names = clips.columns["name"].tolist()
    with progress(len(clips), "compare", "clip", show=len(clips) > 100_000) as bar:
        for number, name in enumerate(names):
            clip = clips[number]
            digest = blake2b(f"{name}\0{clip.shape}".encode("utf-8", "surrogateescape"), digest_size=8)
            digest.update(clip.tobytes())
            found[number] = int.from_bytes(digest.digest(), "little")
            bar.update(1)
    return found


def _opened(folder: Path, key: str) -> dict[str, int] | None:
    """The streams' widths of a store; None for an empty folder."""
    if not (folder / _INFO).exists():
        if next((path for path in folder.iterdir() if not path.name.startswith(".")), None) is not None:
            raise InputError(f"{folder}: is no folder of features, and holds something else; name another")
        return None
    with suppress(NotPlainData, TypeError, AttributeError, ValueError, KeyError):
        info = parse_json((folder / _INFO).read_bytes())
        if info["format_version"] == FORMAT_VERSION and info["key"] == key:
            return {str(name): int(width) for name, width in info["streams"].items()}
    raise InputError(f"{folder}: holds features of another run, read-out or preparation; remove it or name another")


def _find(folder: Path, hashes: UInt64[np.ndarray, " clips"]) -> Int64[np.ndarray, " clips"]:
    """The row of each clip, -1 where there is none."""
    known = np.concatenate([np.zeros(0, np.uint64), *map(_hashes_of, complete_parts(folder))])
    if not len(known):
        return np.full(len(hashes), -1)
    order = np.argsort(known, kind="stable")
    rows = order[np.minimum(np.searchsorted(known, hashes, sorter=order), len(order) - 1)]
    return np.where(known[rows] == hashes, rows, -1)


def _hashes_of(vectors: Path) -> UInt64[np.ndarray, " rows"]:
    path = vectors.with_name(vectors.name.replace("vectors", "clips"))
    hashes = np.array(mapped(path, np.uint64, 1))
    if len(hashes) != len(mapped(vectors, np.float32, 2)):
        raise InputError(f"{path}: damaged (it is not as long as {vectors.name}); remove the folder")
    return hashes


def _compute(
    run: Path,
    clips: Clips,
    hashes: UInt64[np.ndarray, " clips"],
    folder: Path,
    device: str,
    readout: WeightlessReadout | None,
) -> None:
    if not len(clips):
        return
    start = 0
    with progress(len(clips), "embed", "clip", show=part_count(clips) > 1) as bar:
        for part, features in compute_parts(run, clips, range(part_count(clips)), device, readout=readout):
            count = len(part_clips(clips, part))
            _write_part(folder, np.concatenate(list(features.values()), axis=1), hashes[start : start + count])
            start += count
            bar.update(count)


def _write_part(folder: Path, vectors: Float32[np.ndarray, "rows width"], hashes: UInt64[np.ndarray, " rows"]) -> None:
    last = max((int(path.stem.rpartition("-")[2]) for path in complete_parts(folder)), default=-1)
    number = f"{last + 1:08}.npy"
    _write(folder / f"vectors-{number}", vectors)
    _write(folder / f"clips-{number}", hashes)


def _without_removed(store: FeatureStore, rows: Int64[np.ndarray, " clips"]) -> bool:
    """Write the rows of the clips anew where most are of others; a call that is killed leaves some of them twice."""
    kept = np.unique(rows)
    if len(store) < 2 * len(kept) or len(store) < PART_SIZE:
        return False
    old = complete_parts(store.folder)
    # Its numbers of rows are not valid any more.
    shutil.rmtree(store.folder / INDEX, ignore_errors=True)
    hashes = np.concatenate([_hashes_of(path) for path in old])
    for first in range(0, len(kept), PART_SIZE):
        some = kept[first : first + PART_SIZE]
        _write_part(store.folder, np.concatenate(list(store.rows(some).values()), axis=1), hashes[some])
    for path in old:
        path.with_name(path.name.replace("vectors", "clips")).unlink()
        path.unlink()
    return True


def _write(path: Path, values: np.ndarray) -> None:
    with atomic_write(path) as partial, open(partial, "wb") as file:
        np.save(file, values, allow_pickle=False)


def _state(clips: Clips) -> Int64[np.ndarray, " four"] | None:
    """Numbers that change when clips do: of the file of their frames, and of the index; None without a local file."""
    frames = clips.frames
    if not isinstance(frames, np.memmap) or frames.filename is None:
        return None
    status = os.stat(frames.filename)
    digest = sha256("\0".join(clips.columns["name"].tolist()).encode("utf-8", "surrogateescape"))
    for name in ("start", "frames", "persons", PERSON_STEP):
        digest.update(np.asarray(clips.columns.get(name, ())).tobytes())
    of_index = np.frombuffer(digest.digest()[:16], np.int64)
    return np.array([status.st_size, status.st_mtime_ns, *of_index], np.int64)


def _unchanged(
    folder: Path, state: Int64[np.ndarray, " four"] | None, clips: int
) -> Int64[np.ndarray, " clips"] | None:
    """The rows of the clips, where they are those of the last time."""
    if state is None or not (folder / _LAST).exists():
        return None
    # Without it the rows are looked for by the hashes of the clips.
    with suppress(InputError):
        last = np.array(mapped(folder / _LAST, np.int64, 1))
        if len(last) == len(state) + clips and (last[: len(state)] == state).all():
            return last[len(state) :]
    return None


def _found(store: FeatureStore, rows: Int64[np.ndarray, " clips"], added: int) -> StoredFeatures:
    return StoredFeatures(store, rows, added, len(store) - len(np.unique(rows)))
