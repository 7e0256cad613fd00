"""Clips on disk: a folder of frames.npy, clips.parquet and dataset.json, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64

from i2md.clips.recording import Recording
from i2md.clips.splits import Split, select_part
from i2md.errors import InputError, naming
from i2md.skeletons import Layout

FORMAT_VERSION = 1
COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("start", pa.int64()),
        ("frames", pa.int64()),
        ("people", pa.int64()),
        ("label", pa.int64()),
        ("subject", pa.int64()),
        ("camera", pa.int64()),
        ("setup", pa.int64()),
        ("trial", pa.int64()),
        ("fps", pa.float64()),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True)
class Dataset:
    """What dataset.json says of all the clips together.

    `preparation` is the preset applied; `report` counts what preparation mended or left out and names the files.
    """

    name: str
    layout: Layout
    class_names: tuple[str, ...]
    units: str
    preparation: str
    splits: Mapping[str, Split] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of dataset.json."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: Path) -> Dataset:
        """Read what `to_json` wrote; `where` names the file in errors."""
        try:
            data = json.loads(text)
            version = data.pop("format_version")
            if version != FORMAT_VERSION:
                raise InputError(f"{where}: format {version}, this program reads {FORMAT_VERSION}; prepare again")
            data["layout"] = Layout.from_dict(data["layout"])
            data["class_names"] = tuple(data["class_names"])
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: not a dataset description ({error}); prepare the clips again") from None


class Clips:
    """Prepared clips, memory-mapped: `clips[i]` is clip i as (people, frames, joints, channels).

    `columns` holds the index (clips.parquet) as arrays, a row a clip. A selection of clips is again a
    Clips, over the same frames.
    """

    def __init__(self, path: Path, dataset: Dataset, frames: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        self.path = path
        self.dataset = dataset
        self.frames = frames
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, index: int) -> Float32[np.ndarray, "people frames joints channels"]:
        people, frames = int(self.columns["people"][index]), int(self.columns["frames"][index])
        start = int(self.columns["start"][index])
        rows = self.frames[start : start + people * frames]
        return rows.reshape(people, frames, *rows.shape[1:])

    def __iter__(self) -> Iterator[Float32[np.ndarray, "people frames joints channels"]]:
        return (self[i] for i in range(len(self)))

    @property
    def labels(self) -> Int64[np.ndarray, " clips"]:
        """Class indices; -1 where a clip has no label."""
        return self.columns["label"]

    @property
    def max_people(self) -> int:
        """The largest number of people in one clip."""
        return int(self.columns["people"].max()) if len(self) else 1

    def select(self, indices: Int64[np.ndarray, " chosen"]) -> Clips:
        """The clips at `indices`, in that order."""
        columns = {name: values[indices] for name, values in self.columns.items()}
        return Clips(self.path, self.dataset, self.frames, columns)

    def part(self, split: str, part: str) -> Clips:
        """The clips of one part ("train", "test") of a named split."""
        splits = self.dataset.splits
        if split not in splits:
            known = ", ".join(splits) or "none: this data set has no splits"
            raise InputError(f"{self.path}: no split {split!r}; choose one of {known}")
        if part not in splits[split]:
            raise InputError(f"{self.path}: split {split!r} has no part {part!r}, only {', '.join(splits[split])}")
        return self.select(select_part(splits[split][part], self.columns))

    def default_split(self) -> str | None:
        """The split used when none is asked for: the first one named, if any."""
        return next(iter(self.dataset.splits), None)


def open_clips(path: str | os.PathLike[str]) -> Clips:
    """Open a folder of prepared clips; frames stay on disk until they are used.

    Raises InputError where the folder is not a whole set of clips.
    """
    folder = Path(path)
    missing = [name for name in ("dataset.json", "clips.parquet", "frames.npy") if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: not a folder of clips ({missing[0]} is missing); make one with i2md prepare")
    dataset = Dataset.from_json((folder / "dataset.json").read_bytes(), folder / "dataset.json")
    try:
        table = pq.read_table(folder / "clips.parquet", schema=COLUMNS)
        frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    except (pa.ArrowException, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder}: the clips are damaged ({reason}); prepare them again") from None
    columns = {name: table[name].to_numpy() for name in COLUMNS.names}
    rows = int((columns["people"] * columns["frames"]).sum())
    if frames.shape != (rows, len(dataset.layout.joints), dataset.layout.channels) or frames.dtype != np.float32:
        raise InputError(
            f"{folder}: frames.npy, {frames.dtype} {frames.shape}, does not fit the index; prepare them again"
        )
    return Clips(folder, dataset, frames, columns)


class ClipsWriter:
    """Write clips one at a time into a folder that appears only when all are there.

    Frames stream to a folder beside the target; leaving the `with` block without an error moves it into
    place, leaving it with one removes it.
    """

    def __init__(self, path: Path, joints: int, channels: int, overwrite: bool = False) -> None:
        self._path = path
        self._partial = path.parent / f".{path.name}.partial"
        self._row_shape = (joints, channels)
        self._overwrite = overwrite
        self._rows = 0
        self._index: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
        if path.exists() and not self._may_replace():
            mend = "add --overwrite" if (path / "dataset.json").is_file() else "name a folder that does not exist"
            raise InputError(f"{path}: already exists; {mend}")

    def _may_replace(self) -> bool:
        empty = self._path.is_dir() and not any(self._path.iterdir())
        return empty or (self._overwrite and (self._path / "dataset.json").is_file())

    def __enter__(self) -> ClipsWriter:
        shutil.rmtree(self._partial, ignore_errors=True)
        with naming(self._path):
            self._partial.mkdir(parents=True)
            self._file = open(self._partial / "frames.npy", "wb")
        self._write_header()
        return self

    def __len__(self) -> int:
        return len(self._index["name"])

    @property
    def labels(self) -> list[int]:
        """The labels written so far."""
        return self._index["label"]

    def _write_header(self) -> None:
        # NumPy pads the header of a C-ordered array so that its first axis may grow in place.
        header = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, *self._row_shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, recording: Recording) -> None:
        """Append one clip, person after person."""
        people, frames = recording.positions.shape[:2]
        with naming(self._path):
            self._file.write(np.ascontiguousarray(recording.positions, dtype="<f4").tobytes())
        row = {"start": self._rows, "frames": frames, "people": people}
        for name, values in self._index.items():
            values.append(row[name] if name in row else getattr(recording, name))
        self._rows += people * frames

    def finish(self, dataset: Dataset) -> None:
        """Write the index and the description, and move the folder into place."""
        with naming(self._path):
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            pq.write_table(pa.table(self._index, schema=COLUMNS), self._partial / "clips.parquet")
            (self._partial / "dataset.json").write_text(dataset.to_json(), encoding="utf-8")
            if self._path.exists():
                shutil.rmtree(self._path)
            os.rename(self._partial, self._path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing writes what is still buffered: a disk that was full then refuses it once more.
        with suppress(OSError):
            self._file.close()
        shutil.rmtree(self._partial, ignore_errors=True)
