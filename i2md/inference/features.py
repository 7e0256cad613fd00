"""Where features go: one .npz of all, or for any number of clips a folder of Parquet files, a share each.

The folder has `features-00000000.parquet` and on, with the columns `name`, `label` and a list of float32 a stream,
and `_embedding.json`, which tells what they are of and, in the end, that all are there.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2md.data.storage.remote import is_remote, list_files, remote_errors, write_bytes
from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.inference.feature_shares import Features, share_count
from i2md.runtime.io import written_whole

# pyarrow, Spark and DuckDB pass over names that begin so.
_ABOUT = "_embedding.json"


def write_npz(out: Path, clips: Clips, features: Features) -> None:
    """One file: `names`, `labels`, and an array (clips, width) a stream."""
    arrays: dict[str, Any] = {"names": clips.columns["name"].astype(str), "labels": clips.labels, **features}
    if is_remote(out):
        whole = io.BytesIO()
        np.savez(whole, **arrays)
        write_bytes(out, whole.getvalue())
        return
    with written_whole(out) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of shares at a place, of the clips and the run that `key` tells."""

    out: Path
    clips: Clips
    key: str

    def missing(self) -> list[int]:
        """The shares that are not there yet. Raises InputError where the folder is of something else."""
        if is_remote(self.out):
            names = set(list_files(self.out))
        else:
            names = {path.name for path in self.out.iterdir()} if self.out.exists() else set()
        if names:
            self._require_mine(names)
        else:
            self._tell(whole=False)
        return [share for share in range(share_count(self.clips)) if _name(share) not in names]

    def _require_mine(self, names: set[str]) -> None:
        with remote_errors(self.out):
            about = json.loads((self.out / _ABOUT).read_bytes()) if _ABOUT in names else {}
        if about.get("key") != self.key:
            raise InputError(f"{self.out}: holds something else, or of another run or clips; name another")

    def _tell(self, whole: bool) -> None:
        about = {"key": self.key, "clips": len(self.clips), "files": share_count(self.clips), "whole": whole}
        _write(self.out / _ABOUT, json.dumps(about, indent=1).encode() + b"\n")

    def finish(self) -> dict[str, list[int]]:
        """Say that all are there; the shape of each stream's features."""
        self._tell(whole=True)
        with remote_errors(self.out), (self.out / _name(0)).open("rb") as file:
            schema = pq.read_schema(file)
        return {field.name: [len(self.clips), field.type.list_size] for field in list(schema)[2:]}


def write_share(out: Path, share: int, clips: Clips, features: Features) -> Features:
    """Write one share, whole or not at all; nothing is left to be passed on."""
    columns = {
        "name": pa.array(clips.columns["name"].tolist(), pa.string()),
        "label": pa.array(clips.labels),
        **{name: _vectors(values) for name, values in features.items()},
    }
    content = io.BytesIO()
    # Features hardly shrink.
    pq.write_table(pa.table(columns), content, compression="none", use_dictionary=False)
    _write(out / _name(share), content.getvalue())
    return {}


def _vectors(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _name(share: int) -> str:
    return f"features-{share:08}.parquet"


def _write(place: Path, content: bytes) -> None:
    if is_remote(place):
        write_bytes(place, content)
        return
    with written_whole(place) as partial:
        partial.write_bytes(content)


def key_of(run: str, clips: Clips) -> str:
    """A short text for a run (by its key) and the clips: their names, lengths and preparation."""
    told = [
        run,
        str(share_count(clips)),
        clips.dataset.name,
        clips.dataset.preparation,
        *clips.columns["name"].tolist(),
    ]
    digest = hashlib.sha256("\0".join(told).encode())
    digest.update(clips.columns["frames"].tobytes())
    return digest.hexdigest()
