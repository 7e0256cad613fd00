"""Writing clips: frames stream to a place beside the target, which appears whole or not at all."""

from __future__ import annotations

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
from i2md.data.storage.local import DiskShelf, Shelf
from i2md.data.storage.remote import is_remote
from i2md.errors import InputError, Stopped, naming

_GROUP = 1024


class ClipsWriter:
    """Write clips one at a time into a folder that appears only when all are there.

    Frames stream to a hidden place beside the target; `finish` puts it into place, leaving the `with` block with
    an error removes it. With a `key` (what is being written, in so many words) a write that was killed, or
    ended by KeyboardInterrupt or Stopped, leaves that place, and the next writer with the same key goes on
    after the last `checkpoint`: `notes` are what was noted at each. `folder` takes further small files,
    `pause` times as long as on a disk should pass between two checkpoints.
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
        self._shelf = _shelf(path, overwrite)
        self.folder, self.pause = self._shelf.folder, self._shelf.pause
        self._row_shape = (joints, channels)
        self._dtype = np.dtype(PRECISIONS[precision])
        self._key = key
        self._clips = self._rows = 0
        self._pending: list[list[Any]] = []
        self._opened = ExitStack()

    def __enter__(self) -> ClipsWriter:
        with naming(self._path):
            self._journal = self._shelf.open_journal()
            try:
                if not self._goes_on():
                    self._begin()
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
        return self

    def _goes_on(self) -> bool:
        """Whether a write with the same key is there, and all that its journal tells of; then it is taken up."""
        lines, begun = iter(self._journal), self._shelf.take_up()
        if self._key is None or next(lines, None) != {"key": self._key} or not begun:
            return False
        for line in lines:
            self._clips += len(line["clips"])
            self._rows += sum(_rows_of(row) for row in line["clips"])
        self._journal.keep_whole_lines()
        self._open_frames()
        return self._frames.keep(self._rows)

    def _begin(self) -> None:
        self._clips = self._rows = 0
        self._journal.clear()
        self._shelf.begin()
        self._open_frames()
        self._journal.append({"key": self._key})

    def _open_frames(self) -> None:
        self._frames = self._shelf.open_rows(self._row_shape, self._dtype)
        self._opened.callback(self._frames.close)

    def __len__(self) -> int:
        return self._clips

    def add(self, recording: Recording) -> None:
        """Append one clip, person after person. InputError where it is beyond what the precision can hold."""
        persons, frames = recording.positions.shape[:2]
        with np.errstate(over="ignore"):
            positions = np.ascontiguousarray(recording.positions, dtype=self._dtype)
        if self._dtype.itemsize < 4 and not np.isfinite(positions).all():
            raise InputError(
                f"{recording.source or recording.name}: a coordinate is too large for float16;"
                " leave out --precision, or prepare with a preset that scales"
            )
        with naming(self._path):
            self._frames.append(positions)
        self._pending.append(_row(recording, start=self._rows, persons=persons, frames=frames))
        self._clips += 1
        self._rows += persons * frames

    def checkpoint(self, note: Any = None) -> None:
        """Make sure of all clips so far: from here a write that is killed goes on. `note` is given back by `notes`."""
        with naming(self._path):
            self._frames.make_sure()
            self._journal.append({"clips": self._pending, "note": note})
        self._pending = []

    def beside(self, name: str) -> Path:
        """Where further clips are written that belong to these."""
        return self._shelf.beside(name)

    def notes(self) -> Iterator[Any]:
        """What was noted at each checkpoint, from the first, those of an earlier process included."""
        return (line["note"] for line in self._journal if "note" in line)

    def finish(self, dataset: Dataset) -> None:
        """Write the index and the description, and move the folder into place."""
        if self._pending:
            self.checkpoint()
        with naming(self._path):
            self._frames.seal(self._rows)
            self._write_index()
            (self.folder / "dataset.json").write_text(dataset.to_json(), encoding="utf-8")
            self._shelf.publish()

    def _write_index(self) -> None:
        _write_table(self.folder / "clips.parquet", COLUMNS, (row[:-1] for row in self._kept_rows()))
        spans = ([clip, *span] for clip, row in enumerate(self._kept_rows()) for span in row[-1])
        first = next(spans, None)
        if first is not None:
            _write_table(self.folder / "intervals.parquet", INTERVALS, chain([first], spans))

    def _kept_rows(self) -> Iterator[list[Any]]:
        return (row for line in self._journal for row in line.get("clips", []))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
        goes_on = kind is not None and issubclass(kind, (KeyboardInterrupt, Stopped))
        self._shelf.let_go(keep=goes_on and self._key is not None)
        self._journal.close()


def _shelf(path: Path, overwrite: bool) -> Shelf:
    if not is_remote(path):
        return DiskShelf(path, overwrite)
    from i2md.data.storage.remote_writer import StoreShelf

    return StoreShelf(path, overwrite)


def _row(recording: Recording, **told: int) -> list[Any]:
    """A row of the journal: the index's, and then the intervals."""
    row = [_plain(told[name] if name in told else getattr(recording, name)) for name in COLUMNS.names]
    return [*row, [[int(number) for number in interval] for interval in recording.intervals]]


def _plain(value: Any) -> str | int | float:
    """For JSON and Parquet; of a file's name the bytes that are no UTF-8 are spelled out."""
    if isinstance(value, str):
        return str(value).encode("utf-8", "backslashreplace").decode()
    return float(value) if isinstance(value, (float, np.floating)) else int(value)


def _rows_of(row: list[Any]) -> int:
    return row[COLUMNS.names.index("persons")] * row[COLUMNS.names.index("frames")]


def _write_table(path: Path, schema: pa.Schema, rows: Iterator[list[Any]]) -> None:
    """Write groups of one size: in little memory, and the same bytes however often the clips' writer was stopped."""
    # Hardly a name comes twice: dictionaries would make the file larger.
    with pq.ParquetWriter(path, schema, use_dictionary=False) as file:
        while group := list(islice(rows, _GROUP)):
            columns = map(list, zip(*group, strict=True))
            file.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
