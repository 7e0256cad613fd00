"""Write clips: frames stream to a hidden folder next to the target, which appears complete or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2md.data.dataset import COLUMNS, INTERVALS, PRECISIONS, Dataset
from i2md.data.recording import Recording
from i2md.data.storage.local import ClipStorage, LocalStorage
from i2md.data.storage.remote import is_remote
from i2md.errors import InputError, Stopped, name_file_in_errors

_GROUP = 1024
# What a kill can cost at most, in seconds.
CHECKPOINT_SECONDS = 2.0


class ClipsWriter:
    """Write clips one at a time into a folder that appears only when all are there.

    Frames stream to a hidden folder next to the target; `finish` moves it into place, leaving the `with` block with an
    error removes it. With a `key`, a write that was killed, or ended by KeyboardInterrupt or Stopped, leaves that
    folder, as does a full disk (any OSError) after the first checkpoint; the next writer with the same key resumes
    after the last `checkpoint`; `notes` are those given at each.

    Args:
        path: the folder of clips, local or a UPath.
        joints: joints of a frame.
        channels: coordinates of a joint.
        overwrite: whether clips at `path` may be replaced.
        precision: float32 or float16.
        key: a text that is the same if and only if the same clips would be written; None never resumes.

    Attributes:
        folder: a local folder for further small files, which go with the clips.

    Raises:
        InputError: `path` exists and may not be replaced, or another process is writing it.

    >>> import tempfile
    >>> from i2md.skeletons import get_layout
    >>> from i2md.data.store import open_clips
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ClipsWriter(Path(folder) / "clips", joints=20, channels=3) as writer:
    ...         writer.add(Recording("wave", np.zeros((1, 8, 20, 3), np.float32)))
    ...         writer.finish(Dataset("mine", get_layout("kinect-v1"), ("wave",), "m", "none"))
    ...     len(open_clips(f"{folder}/clips"))
    1
    """

    def __init__(
        self,
        path: Path,
        joints: int,
        channels: int,
        overwrite: bool = False,
        precision: str = "float32",
        key: str | None = None,
    ) -> None:
        self._path = path
        self._storage = _open_storage(path, overwrite)
        self.folder = self._storage.folder
        self._row_shape = (joints, channels)
        self._dtype = np.dtype(PRECISIONS[precision])
        self._key = key
        self._clips = self._rows = 0
        self._pending: list[list[Any]] = []
        self._checkpoint_at = time.monotonic()
        self._opened = ExitStack()

    def __enter__(self) -> ClipsWriter:
        with name_file_in_errors(self._path):
            self._journal = self._storage.open_journal()
            try:
                if not self._resume():
                    self._begin()
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
        return self

    def _resume(self) -> bool:
        """Continue a write with the same key; False if there is none, or not all that its journal lists is there."""
        entries, begun = iter(self._journal), self._storage.recover()
        if self._key is None or next(entries, None) != {"key": self._key} or not begun:
            return False
        for entry in entries:
            self._clips += len(entry["clips"])
            self._rows += sum(_rows_of(row) for row in entry["clips"])
        self._journal.drop_incomplete()
        self._open_frames()
        return self._frames.truncate(self._rows)

    def _begin(self) -> None:
        self._clips = self._rows = 0
        self._journal.clear()
        self._storage.clear()
        self._open_frames()
        self._journal.append({"key": self._key})

    def _open_frames(self) -> None:
        self._frames = self._storage.open_frames(self._row_shape, self._dtype)
        self._opened.callback(self._frames.close)

    def __len__(self) -> int:
        return self._clips

    def add(self, recording: Recording) -> None:
        """Append one clip, person after person; InputError if a coordinate is too large for the precision."""
        persons, frames = recording.positions.shape[:2]
        with np.errstate(over="ignore"):
            positions = np.ascontiguousarray(recording.positions, dtype=self._dtype)
        if self._dtype.itemsize < 4 and not np.isfinite(positions).all():
            raise InputError(
                f"{recording.source or recording.name}: a coordinate is too large for float16;"
                " leave out --precision, or prepare with a preset that scales"
            )
        with name_file_in_errors(self._path):
            self._frames.append(positions)
        self._pending.append(_row(recording, start=self._rows, persons=persons, frames=frames))
        self._clips += 1
        self._rows += persons * frames

    def checkpoint(self, note: Any = None) -> None:
        """Store all clips so far safely: a write that is killed later resumes here. `notes` yields each `note`."""
        with name_file_in_errors(self._path):
            self._frames.sync()
            self._journal.append({"clips": self._pending, "note": note})
        self._pending = []
        self._checkpoint_at = time.monotonic()

    @property
    def checkpoint_is_due(self) -> bool:
        """Whether the last checkpoint is long enough ago for another one."""
        return time.monotonic() - self._checkpoint_at > CHECKPOINT_SECONDS * self._storage.checkpoint_cost

    def subfolder(self, name: str) -> Path:
        """Where further clips are written that belong to these."""
        return self._storage.subfolder(name)

    def notes(self) -> Iterator[Any]:
        """The note of each checkpoint, from the first, those of an earlier process included."""
        return (entry["note"] for entry in self._journal if "note" in entry)

    def columns(self) -> dict[str, np.ndarray]:
        """The index of all clips up to the last checkpoint, an array for each column."""
        rows = [row[:-1] for row in self._index_rows()]
        return {name: np.array([row[place] for row in rows]) for place, name in enumerate(COLUMNS.names)}

    def finish(self, dataset: Dataset) -> None:
        """Write the index and the description, and move the folder into place."""
        if self._pending:
            self.checkpoint()
        with name_file_in_errors(self._path):
            self._frames.finish(self._rows)
            self._write_index()
            (self.folder / "dataset.json").write_text(dataset.to_json(), encoding="utf-8")
            self._storage.publish()

    def _write_index(self) -> None:
        _write_table(self.folder / "clips.parquet", COLUMNS, (row[:-1] for row in self._index_rows()))
        intervals = ([clip, *interval] for clip, row in enumerate(self._index_rows()) for interval in row[-1])
        first = next(intervals, None)
        if first is not None:
            _write_table(self.folder / "intervals.parquet", INTERVALS, chain([first], intervals))

    def _index_rows(self) -> Iterator[list[Any]]:
        return (row for entry in self._journal for row in entry.get("clips", []))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
        resumable = kind is not None and issubclass(kind, (KeyboardInterrupt, Stopped))
        # A disk that is full, or a file system that fails, may be put right; what is safe by then is kept.
        has_progress = self._clips > len(self._pending)
        resumable = resumable or (has_progress and kind is not None and issubclass(kind, OSError))
        self._storage.close(keep=resumable and self._key is not None)
        self._journal.close()


def _open_storage(path: Path, overwrite: bool) -> ClipStorage:
    if not is_remote(path):
        return LocalStorage(path, overwrite)
    from i2md.data.storage.remote_writer import RemoteStorage

    return RemoteStorage(path, overwrite)


def _row(recording: Recording, **counts: int) -> list[Any]:
    """A row of the journal: that of the index, and last the list of intervals."""
    row = [_plain(counts[name] if name in counts else getattr(recording, name)) for name in COLUMNS.names]
    return [*row, [[int(number) for number in interval] for interval in recording.intervals]]


def _plain(value: Any) -> str | int | float:
    """A value for JSON and Parquet; bytes of a file name that are not UTF-8 are written as escapes."""
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode()
    return float(value) if isinstance(value, (float, np.floating)) else int(value)


def _rows_of(row: list[Any]) -> int:
    return row[COLUMNS.names.index("persons")] * row[COLUMNS.names.index("frames")]


def _write_table(path: Path, schema: pa.Schema, rows: Iterator[list[Any]]) -> None:
    """Write groups of one size: in little memory, and the same bytes however often the writer was stopped."""
    # Names are nearly all different: dictionaries would make the file larger.
    with pq.ParquetWriter(path, schema, use_dictionary=False) as file:
        while group := list(islice(rows, _GROUP)):
            columns = map(list, zip(*group, strict=True))
            file.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
