"""Writing clips: frames stream to a folder beside the target, which appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2md.clips.dataset import COLUMNS, INTERVALS, PRECISIONS, Dataset
from i2md.clips.frame_rows import FrameRows
from i2md.clips.journal import Journal, empty_folder
from i2md.clips.recording import Recording
from i2md.errors import InputError, Stopped, naming

_JOURNAL = "journal.jsonl"
_GROUP = 1024


class ClipsWriter:
    """Write clips one at a time into a folder that appears only when all are there.

    Frames stream to a folder beside the target; `finish` moves it into place, leaving the `with` block with
    an error removes it. With a `key` (what is being written, in so many words) a write that was killed, or
    ended by KeyboardInterrupt or Stopped, leaves that folder, and the next writer with the same key goes on
    after the last `checkpoint`: `notes` are what was noted at each.
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
        self._partial = path.parent / f".{path.name}.partial"
        self._aside = path.parent / f".{path.name}.replaced"
        self.folder = self._partial / "clips"
        self._row_shape = (joints, channels)
        self._dtype = np.dtype(PRECISIONS[precision])
        self._overwrite = overwrite
        self._key = key
        self._clips = self._rows = 0
        self._pending: list[list[Any]] = []
        self._opened = ExitStack()
        if path.exists() and not self._may_replace():
            mend = "add --overwrite" if (path / "dataset.json").is_file() else "name a folder that does not exist"
            raise InputError(f"{path}: already exists; {mend}")

    def _may_replace(self) -> bool:
        empty = self._path.is_dir() and not any(self._path.iterdir())
        return empty or (self._overwrite and (self._path / "dataset.json").is_file())

    def __enter__(self) -> ClipsWriter:
        with naming(self._path):
            self._partial.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self._partial / _JOURNAL, self._path)
            try:
                self._put_back()
                if not self._goes_on():
                    self._begin()
            except BaseException as error:
                self.__exit__(type(error), error, None)
                raise
        return self

    def _put_back(self) -> None:
        """What a kill left of replacing: the old clips, moved aside, go back unless the new ones are in place."""
        if self._path.exists():
            shutil.rmtree(self._aside, ignore_errors=True)
        elif self._aside.exists():
            os.rename(self._aside, self._path)

    def _goes_on(self) -> bool:
        """Whether a write with the same key is there, and all that its journal tells of; then it is taken up."""
        lines = iter(self._journal)
        if self._key is None or next(lines, None) != {"key": self._key} or not self.folder.is_dir():
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
        empty_folder(self._partial, but=_JOURNAL)
        self.folder.mkdir()
        self._open_frames()
        self._journal.append({"key": self._key})

    def _open_frames(self) -> None:
        self._frames = FrameRows(self.folder / "frames.npy", self._row_shape, self._dtype)
        self._opened.callback(self._frames.close)

    def __len__(self) -> int:
        return self._clips

    def add(self, recording: Recording) -> None:
        """Append one clip, person after person. InputError where it is beyond what the precision can hold."""
        people, frames = recording.positions.shape[:2]
        with np.errstate(over="ignore"):
            positions = np.ascontiguousarray(recording.positions, dtype=self._dtype)
        if self._dtype.itemsize < 4 and not np.isfinite(positions).all():
            raise InputError(
                f"{recording.source or recording.name}: a coordinate is too large for float16;"
                " leave out --precision, or prepare with a preset that scales"
            )
        with naming(self._path):
            self._frames.append(positions)
        self._pending.append(_row(recording, start=self._rows, people=people, frames=frames))
        self._clips += 1
        self._rows += people * frames

    def checkpoint(self, note: Any = None) -> None:
        """Make sure of all clips so far: from here a write that is killed goes on. `note` is given back by `notes`."""
        with naming(self._path):
            self._frames.make_sure()
            self._journal.append({"clips": self._pending, "note": note})
        self._pending = []

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
            for name in ("clips.parquet", "dataset.json"):
                _make_sure(self.folder / name)
            if self._path.exists():
                os.rename(self._path, self._aside)
            os.rename(self.folder, self._path)
            shutil.rmtree(self._aside, ignore_errors=True)

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
        if self._key is None or kind is None or not issubclass(kind, (KeyboardInterrupt, Stopped)):
            shutil.rmtree(self._partial, ignore_errors=True)
        self._journal.close()


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
    return row[COLUMNS.names.index("people")] * row[COLUMNS.names.index("frames")]


def _write_table(path: Path, schema: pa.Schema, rows: Iterator[list[Any]]) -> None:
    """Write groups of one size: in little memory, and the same bytes however often the clips' writer was stopped."""
    # Hardly a name comes twice: dictionaries would make the file larger.
    with pq.ParquetWriter(path, schema, use_dictionary=False) as file:
        while group := list(islice(rows, _GROUP)):
            columns = map(list, zip(*group, strict=True))
            file.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))


def _make_sure(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
