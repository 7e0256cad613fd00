"""A folder or .zip of arrays, a file a clip: .npy, or .npz with the key `positions`.

A clip is (frames, joints, 2 or 3) or (frames, people, joints, 2 or 3). What is known of it is told by

- `labels.csv` beside the clips, with the columns `name` and, as far as known, `label`, `split` and `subject`; a
  name is the file's place in the folder, with or without its suffix;
- or, without that, by folders: the one that a file lies in is its class, where there are several, and one named
  train, val or test its part of the split `given`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num

from i2md.data.readers.arrays.rows import DAMAGE
from i2md.data.readers.files import BadFile, File, any_files, find_files, load_each
from i2md.data.readers.padding import unpadded
from i2md.data.readers.reading import Reading
from i2md.data.recording import UNKNOWN, Recording, Source, Unreadable
from i2md.data.splits import Split
from i2md.errors import InputError
from i2md.skeletons import Layout

_FILE = re.compile(r"[^.].*\.np[yz]", re.IGNORECASE)
_TABLE = re.compile(r"labels\.csv", re.IGNORECASE)
_PARTS = ("train", "val", "test")
# Files of one name in two folders are two clips.
_WHOLE_PLACE = 1000
# More at once are clips in one array, not people in one clip.
_MOST_PEOPLE = 20


class _Told(NamedTuple):
    """What is told of a clip, empty where it is not."""

    label: str = ""
    split: str = ""
    subject: int = UNKNOWN


def open_folder(path: Path, layout: Layout, fps: float) -> Source:
    """The .npy and .npz files at `path`, a clip each, labelled as the module says.

    Raises InputError where there is none, where two share a name but for the suffix, and where labels.csv does
    not fit; a file that is not such an array is Unreadable.
    """
    files = find_files(path, _FILE, ".npy or .npz files", told_by=_WHOLE_PLACE)
    names = {_name(file): file for file in files}
    if len(names) < len(files):
        twice = next(file for file in files if names[_name(file)] is not file)
        raise InputError(f"{path}: {_name(twice)} is there twice, once as {twice.base}; keep one of the files")
    tables = any_files(path, _TABLE, "labels.csv", told_by=_WHOLE_PLACE)
    told = _from_table(path, tables) if tables else _from_folders(files)
    class_names = _ordered({told[name].label for name in names if name in told} - {""})
    return Source(
        name=path.stem,
        layout=layout,
        class_names=class_names,
        units="unknown",
        preset="facing" if layout.channels == 3 else "none",
        read=_Pass(files, {name: told[name] for name in names if name in told}, class_names, layout, fps),
        count=len(files),
        splits=_splits(names, told),
        left_out={"in labels.csv without a file": sum(name not in names for name in told)},
    )


@dataclass(frozen=True)
class _Pass:
    """A pass over the files, which can be divided."""

    files: tuple[File, ...]
    told: Mapping[str, _Told]
    class_names: tuple[str, ...]
    layout: Layout
    fps: float

    def __len__(self) -> int:
        return len(self.files)

    def part(self, start: int, stop: int) -> _Pass:
        files = self.files[start:stop]
        told = {_name(file): self.told[_name(file)] for file in files if _name(file) in self.told}
        return replace(self, files=files, told=told)

    def __call__(self) -> Iterator[Recording | Unreadable]:
        yield from Reading(self.files, self.layout, self._parse)()

    def _parse(self, file: File, data: bytes) -> Recording:
        name = _name(file)
        told = self.told.get(name, _Told())
        return Recording(
            name=name,
            positions=unpadded(people_of(array_in(data)), self.layout),
            label=self.class_names.index(told.label) if told.label else UNKNOWN,
            subject=told.subject,
            fps=self.fps,
            source=file.name,
        )


def array_in(data: bytes) -> np.ndarray:
    """The array of a .npy, or `positions` of an .npz; BadFile where there is none. Nothing is unpickled."""
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        array = loaded if isinstance(loaded, np.ndarray) else loaded["positions"]
    except DAMAGE as error:
        raise BadFile(f"not an array that can be read ({' '.join(str(error).split())})") from None
    return np.asarray(array)


def people_of(array: np.ndarray) -> Num[np.ndarray, "persons frames joints channels"]:
    """One clip's array with its people first; BadFile where it is no clip."""
    if array.dtype.kind not in "fiu" or array.ndim not in (3, 4):
        raise BadFile(f"{array.dtype} of shape {array.shape}, not numbers (frames, [people,] joints, 2 or 3)")
    if array.ndim == 4 and array.shape[1] > _MOST_PEOPLE:
        raise BadFile(f"{array.shape[1]} people a frame: an array of many clips is given by itself, not in a folder")
    return array[None] if array.ndim == 3 else array.swapaxes(0, 1)


def _name(file: File) -> str:
    return str(PurePosixPath(file.name).with_suffix(""))


def _from_folders(files: Sequence[File]) -> dict[str, _Told]:
    """Class and part by the folders that the files lie in, inside the one given."""
    folders = {_name(file): PurePosixPath(file.name).parts[:-1] for file in files}
    classes = {name: parts[-1] for name, parts in folders.items() if parts and parts[-1].lower() not in _PARTS}
    several = len(set(classes.values())) > 1
    return {
        name: _Told(
            classes.get(name, "") if several else "", next((p.lower() for p in parts if p.lower() in _PARTS), "")
        )
        for name, parts in folders.items()
    }


def _from_table(path: Path, tables: Sequence[File]) -> dict[str, _Told]:
    if len(tables) > 1:
        raise InputError(f"{path}: labels.csv is there twice; keep the one that names all clips")
    ((table, load),) = load_each(tables)
    place = table.container / table.name
    inside = PurePosixPath(table.name).parent
    try:
        rows = list(csv.DictReader(io.StringIO(load().decode("utf-8-sig"), newline="")))
        return dict(_row(inside, row) for row in rows)
    except (BadFile, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{place}: {error}; give the columns name, label, split and subject") from None


def _row(inside: PurePosixPath, row: Mapping[str | None, Any]) -> tuple[str, _Told]:
    """A line of labels.csv: a clip's name, and what the line tells of it."""
    name, label, split, subject = ((row.get(key) or "").strip() for key in ("name", "label", "split", "subject"))
    if not name or None in row:
        raise BadFile("a line without a name, or with more values than columns")
    if subject and not subject.isdecimal():
        raise BadFile(f"{name}: subject {subject!r} is not a whole number")
    file = inside / (name[:-4] if _FILE.fullmatch(name) else name)
    return str(file), _Told(label, split, int(subject) if subject else UNKNOWN)


def _ordered(labels: set[str]) -> tuple[str, ...]:
    """Numbers by size, then words by letter."""
    return tuple(
        sorted(labels, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))
    )


def _splits(names: Mapping[str, File], told: Mapping[str, _Told]) -> dict[str, Split]:
    parts: dict[str, list[str]] = {}
    for name in names:
        if name in told and told[name].split:
            parts.setdefault(told[name].split, []).append(name)
    return {"given": {part: {"name": tuple(chosen)} for part, chosen in parts.items()}} if parts else {}
