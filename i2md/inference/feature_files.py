"""Files of features: an .npz, a .parquet, or a folder of Parquet files, one for each part of the clips."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2md.data.storage.remote import is_remote, list_files, remote_errors, write_bytes
from i2md.data.store import Clips
from i2md.errors import InputError, shortened
from i2md.runtime.io import atomic_write
from i2md.runtime.plain_data import NotPlainData, parse_json

# Clips of a part: a multiple of the batch size, so that features do not depend on the division into parts.
PART_SIZE = 4096
# Features (clips, width) by stream.
Features = dict[str, np.ndarray]
# pyarrow, Spark and DuckDB ignore names with a leading underscore.
_INFO = "_embedding.json"


def part_clips(clips: Clips, part: int) -> Clips:
    """The clips of a part, numbered from 0."""
    return clips.span(part * PART_SIZE, min((part + 1) * PART_SIZE, len(clips)))


def part_count(clips: Clips) -> int:
    """The number of parts of the clips."""
    return -(-len(clips) // PART_SIZE)


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


class ParquetFile:
    """One Parquet file with the columns `name`, `label` and a list of float32 for each stream, part by part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def add(self, clips: Clips, features: Features) -> None:
        """Write the next part."""
        table = _table(clips, features)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="none", use_dictionary=False)
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def parquet_file(out: Path) -> Iterator[ParquetFile]:
    """A Parquet file that is there, whole, once the block ends."""
    with atomic_write(out) as partial_path:
        file = ParquetFile(partial_path)
        try:
            yield file
        finally:
            file.close()


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
    content = io.BytesIO()  # not compressed: features hardly shrink
    pq.write_table(_table(clips, features), content, compression="none", use_dictionary=False)
    _write(out / _file_name(part), content.getvalue())
    return {}


def _table(clips: Clips, features: Features) -> pa.Table:
    return pa.table(
        {
            "name": pa.array(clips.columns["name"].tolist(), pa.string()),
            "label": pa.array(clips.labels),
            **{n: pa.FixedSizeListArray.from_arrays(pa.array(v.reshape(-1)), v.shape[1]) for n, v in features.items()},
        }
    )


def _file_name(part: int) -> str:
    return f"features-{part:08}.parquet"


def _write(path: Path, content: bytes) -> None:
    if is_remote(path):
        write_bytes(path, content)
        return
    with atomic_write(path) as partial_path:
        partial_path.write_bytes(content)


def features_key(run: str, clips: Clips, readout: str | None) -> str:
    """A hash of a run (by its own key), the read-out and the clips: their names, lengths and preparation."""
    dataset = clips.dataset
    parts = [run, str(part_count(clips)), dataset.name, dataset.preparation, *clips.columns["name"].tolist()]
    parts += [] if readout is None else [readout]
    digest = hashlib.sha256("\0".join(parts).encode())
    digest.update(clips.columns["frames"].tobytes())
    return digest.hexdigest()
