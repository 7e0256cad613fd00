"""Clips on disk: a folder of frames.npy, clips.parquet and dataset.json, written as a whole or not at all.

frames.npy holds float32, or float16 if that was asked for: clips are float32 either way. Untrimmed recordings, with
labelled intervals in them, have intervals.parquet too; the folder `untrimmed`, itself a folder of clips, holds the
recordings that the clips were cut from.
"""

from __future__ import annotations

import os
import struct
import tokenize
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from i2md.data.dataset import COLUMNS, INTERVALS, PRECISIONS, Dataset
from i2md.data.readers.limits import map_npy, max_bytes
from i2md.data.recording import Interval
from i2md.data.splits import select_part
from i2md.data.storage.remote import is_remote, to_path
from i2md.data.storage.remote_frames import RemoteFrames
from i2md.data.validation import check_index, check_intervals
from i2md.data.windows import PERSON_STEP, RECORDING, Windows, window_columns
from i2md.data.writer import ClipsWriter
from i2md.errors import InputError, name_file_in_errors, shortened

__all__ = ["Clips", "ClipsWriter", "Dataset", "open_clips"]

UNTRIMMED = "untrimmed"
# What pyarrow and NumPy raise on damaged files; tokenize and SyntaxError come from the header of a .npy.
DAMAGE = (
    *(pa.ArrowException, OSError, ValueError, TypeError, KeyError, EOFError, SyntaxError, tokenize.TokenError),
    *(OverflowError, MemoryError, RecursionError, AttributeError, struct.error),
)


class Clips:
    """Prepared clips: `clips[i]` is clip i as (persons, frames, joints, channels), memory-mapped or fetched.

    A selection of clips is again a Clips, over the same frames. Made by `open_clips`.

    Attributes:
        path: The folder, local or a UPath.
        dataset: The content of dataset.json.
        frames: The rows of all clips, (rows, joints, channels).
        columns: The index (clips.parquet) as arrays, a row per clip.
        intervals: The actions labelled within untrimmed recordings, as arrays `clip`, `start`, `end` (exclusive) and
            `label`, a row per action; None if there are none. Windows have none: their recordings have.
        recordings: The whole recordings, if these clips are windows of them; else the clips themselves.
    """

    def __init__(
        self,
        path: Path,
        dataset: Dataset,
        frames: np.ndarray | RemoteFrames,
        columns: Mapping[str, np.ndarray],
        intervals: Mapping[str, np.ndarray] | None = None,
        recordings: Clips | None = None,
    ) -> None:
        self.path = path
        self.dataset = dataset
        self.frames = frames
        self.columns = columns
        self.intervals = intervals
        self.recordings = recordings or self

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, index: int) -> Float32[np.ndarray, "persons frames joints channels"]:
        return self._by_person(index, lambda first, rows: self.frames[first : first + rows])

    def _by_person(self, index: int, rows_from: Callable[[int, int], np.ndarray]) -> np.ndarray:
        """A clip out of rows, which `rows_from` gives by the first one and their number."""
        persons, frames = int(self.columns["persons"][index]), int(self.columns["frames"][index])
        start, step = int(self.columns["start"][index]), frames
        if PERSON_STEP in self.columns:
            step = int(self.columns[PERSON_STEP][index])
        if step == frames or persons == 1:
            rows = rows_from(start, persons * frames)
        else:
            rows = np.concatenate([rows_from(start + person * step, frames) for person in range(persons)])
        return rows.reshape(persons, frames, *rows.shape[1:]).astype(np.float32, copy=False)

    def read(self, index: int) -> Float32[np.ndarray, "persons frames joints channels"]:
        """A copy of clip `index`, read from the file: unlike mapped pages it does not stay in memory.

        Args:
            index: Position of the clip.
        """
        mapped = self.frames
        if not isinstance(mapped, np.memmap) or mapped.filename is None:
            return self[index].copy()
        file, shape, dtype = mapped.filename, mapped.shape[1:], mapped.dtype

        def from_file(first: int, rows: int) -> np.ndarray:
            offset = mapped.offset + first * mapped.strides[0]
            return np.fromfile(file, dtype, rows * int(np.prod(shape)), offset=offset).reshape(rows, *shape)

        return self._by_person(index, from_file)

    def __iter__(self) -> Iterator[Float32[np.ndarray, "persons frames joints channels"]]:
        return (self[i] for i in range(len(self)))

    @property
    def labels(self) -> Int64[np.ndarray, " clips"]:
        """Class indices; -1 for a clip without a label."""
        return self.columns["label"]

    @property
    def max_persons(self) -> int:
        """The largest number of persons in one clip."""
        return int(self.columns["persons"].max()) if len(self) else 1

    def select(self, indices: Int64[np.ndarray, " chosen"]) -> Clips:
        """The clips at `indices`, in that order.

        Args:
            indices: Positions of the clips; one may occur several times.
        """
        columns = {name: values[indices] for name, values in self.columns.items()}
        intervals = None if self.intervals is None else _intervals_of(self.intervals, indices)
        return Clips(self.path, self.dataset, self.frames, columns, intervals, self._whole)

    def span(self, start: int, stop: int) -> Clips:
        """Clips `start` to `stop` - 1 with only their own frames; those of remote clips are not yet fetched.

        Args:
            start: Position of the first clip.
            stop: Position after the last clip.
        """
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        steps = columns.get(PERSON_STEP, columns["frames"])
        ends = columns["start"] + (columns["persons"] - 1) * steps + columns["frames"]
        first, last = int(columns["start"].min()), int(ends.max())
        frames = self.frames.part(first, last) if isinstance(self.frames, RemoteFrames) else self.frames[first:last]
        moved = columns | {"start": columns["start"] - first}
        return Clips(self.path, self.dataset, frames, moved, recordings=self._whole)

    def in_memory(self) -> Clips:
        """The same clips with all frames in memory; those of remote clips are fetched at once."""
        return Clips(self.path, self.dataset, np.asarray(self.frames), self.columns, self.intervals, self._whole)

    def intervals_of(self, index: int) -> tuple[Interval, ...]:
        """The actions labelled within one recording.

        Args:
            index: Position of the recording.
        """
        if self.intervals is None:
            return ()
        rows = np.flatnonzero(self.intervals["clip"] == index)
        columns = (self.intervals[name][rows].tolist() for name in ("start", "end", "label"))
        return tuple(map(Interval, *columns))

    @property
    def is_windowed(self) -> bool:
        """Whether the clips are windows of recordings."""
        return PERSON_STEP in self.columns

    @property
    def _whole(self) -> Clips | None:
        return self.recordings if self.is_windowed else None

    @property
    def split_columns(self) -> Mapping[str, np.ndarray]:
        """The columns that splits are defined by: a window has the name of its recording, so it is on its side."""
        if not self.is_windowed:
            return self.columns
        return {**self.columns, "name": self.recordings.columns["name"][self.columns[RECORDING]]}

    def windows(self, windows: Windows | None) -> Clips:
        """The windows of the recordings, over the same frames.

        Args:
            windows: Length and stride; None for the whole recordings.
        """
        whole = self.recordings
        if windows is None:
            return whole
        columns = window_columns(whole.columns, whole.intervals, windows)
        return Clips(whole.path, replace(whole.dataset, windows=windows), whole.frames, columns, recordings=whole)

    def part(self, split: str, part: str) -> Clips:
        """The clips of one part of a named split.

        Args:
            split: Name of the split: "xsub".
            part: Name of the part: "train" or "test".

        Raises:
            InputError: There is no such split or part.
        """
        splits = self.dataset.splits
        if split not in splits:
            known = ", ".join(splits)
            how = f"choose one of {known}" if splits else f"draw one: i2md split {self.path} --by subject"
            raise InputError(f"{self.path}: no split {split!r}; {how}")
        if part not in splits[split]:
            raise InputError(f"{self.path}: split {split!r} has no part {part!r}, only {', '.join(splits[split])}")
        return self.select(select_part(splits[split][part], self.split_columns))

    @property
    def untrimmed(self) -> Clips | None:
        """The untrimmed recordings that the clips were cut from, unprepared, with their intervals; None if not kept."""
        folder = self.path / UNTRIMMED
        return open_clips(folder) if folder.is_dir() else None

    def default_split(self) -> str | None:
        """The split used if none is asked for: the first one, if any."""
        return next(iter(self.dataset.splits), None)


def open_clips(path: str | os.PathLike[str]) -> Clips:
    """Open a folder of prepared clips; frames stay on the storage until they are used.

    Args:
        path: The folder that `prepare` wrote, or its URL.

    Raises:
        InputError: The folder holds no clips, or they are damaged.

    >>> import tempfile
    >>> from i2md.data.prepare import prepare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = prepare(
    ...         format="synthetic", source="x", clips=f"{folder}/clips", actions=2, subjects=2, repeats=1
    ...     )
    ...     open_clips(made.path)[0].shape[2:]
    (20, 3)
    """
    folder = to_path(path)
    missing = [name for name in ("dataset.json", "clips.parquet", "frames.npy") if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: not a folder of clips ({missing[0]} is missing); make one with i2md prepare")
    dataset = Dataset.from_json((folder / "dataset.json").read_bytes(), folder / "dataset.json")
    try:
        frames = _open_frames(folder / "frames.npy")
        shape = (len(dataset.layout.joints), dataset.layout.channels)
        if len(frames.shape) != 3 or frames.shape[1:] != shape or frames.dtype.str not in PRECISIONS.values():
            raise ValueError(f"frames.npy, {frames.dtype} {frames.shape}, does not fit the index")
        columns = _read_columns(folder / "clips.parquet", COLUMNS, frames.shape[0])
        labelled = folder / "intervals.parquet"
        intervals = _read_columns(labelled, INTERVALS, max_bytes() // 32) if labelled.is_file() else None
        check_index(columns, frames.shape[0], dataset)
        if intervals is not None:
            check_intervals(intervals, columns, dataset)
    except DAMAGE as error:
        # An error of the system has a number, as if the file may not be read; pyarrow's of damage have none.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{folder}: the clips are damaged ({shortened(error)}); prepare them again") from None
    return Clips(folder, dataset, frames, columns, intervals).windows(dataset.windows)


def _open_frames(path: Path) -> np.ndarray | RemoteFrames:
    return RemoteFrames.open(path) if is_remote(path) else map_npy(path)


def _read_columns(path: Path, schema: pa.Schema, most: int) -> dict[str, np.ndarray]:
    """The columns of a table of at most so many rows: a few bytes of Parquet can hold billions of equal ones."""
    # One group at a time, without reading ahead: read at once it takes ten times the memory of the columns.
    with ExitStack() as opened:
        opened.enter_context(name_file_in_errors(path))
        source = opened.enter_context(path.open("rb")) if is_remote(path) else path
        file = opened.enter_context(pq.ParquetFile(source, pre_buffer=False))
        if file.metadata.num_rows > most:
            raise ValueError(f"{path.name} has {file.metadata.num_rows} rows, more than {most}")
        # Not field.type.to_pandas_dtype(), which imports pandas in older versions of pyarrow.
        types = {field.name: pa.array([], field.type).to_numpy(zero_copy_only=False).dtype for field in schema}
        columns = {name: np.empty(file.metadata.num_rows, kind) for name, kind in types.items()}
        end = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False).select(schema.names).cast(schema)
            start, end = end, end + len(table)
            for name, column in columns.items():
                if table[name].null_count:
                    raise ValueError(f"{path.name}: {name} has missing values")
                column[start:end] = table[name].combine_chunks().to_numpy(zero_copy_only=False)
    return columns


def _intervals_of(intervals: Mapping[str, np.ndarray], indices: Int64[np.ndarray, " chosen"]) -> dict[str, np.ndarray]:
    """The intervals of the clips at `indices`, which `clip` then counts in that order."""
    rows = [np.flatnonzero(intervals["clip"] == index) for index in indices]
    chosen = np.concatenate([np.zeros(0, np.int64), *rows])
    return {name: values[chosen] for name, values in intervals.items()} | {
        "clip": np.repeat(np.arange(len(rows)), [len(of_clip) for of_clip in rows])
    }
