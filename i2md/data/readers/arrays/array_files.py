"""A folder or .zip of arrays, one file for each clip: .npy, or .npz with the key `positions`.

An array is (frames, joints, channels) or (frames, persons, joints, channels). Label, split and subject come from
i2md.data.readers.clip_table.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Num

from i2md.data.readers.arrays.axis_order import check_axes, with_channels_of
from i2md.data.readers.clip_table import ClipTable, clip_table
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.limits import DAMAGE, array_keys, parse_npy, read_member
from i2md.data.readers.name_tables import shown
from i2md.data.readers.reading import Reading, without_padding
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import Layout

_FILE = re.compile(r"[^.].*\.np[yz]", re.IGNORECASE)
_AXES = ("frames", "persons", "joints", "channels")
# Files that are tried to find whether positions are 2-D or 3-D.
_TRIED = 10
# Files of the same name in two folders are two clips, so a path is compared whole.
_WHOLE_PATH = 1000


def open_folder(path: Path, layout: Layout, fps: float) -> Source:
    """Open a folder or .zip of .npy and .npz files, one for each clip.

    Args:
        path: The folder or .zip.
        layout: Layout of the joints; whether positions are 2-D or 3-D is as in the first file that can be read.
        fps: Frame rate; 0 if unknown.

    Returns:
        The clips, named by their paths without suffix; a file that is not such an array is Unreadable.

    Raises:
        InputError: If there is no such file, if two differ only by their suffixes, or if labels.csv is invalid.
    """
    files = find_files(path, _FILE, ".npy or .npz files", unique_parts=_WHOLE_PATH)
    names = {_name(file): file for file in files}
    if len(names) < len(files):
        twice = next(file for file in files if names[_name(file)] is not file)
        raise InputError(f"{path}: {_name(twice)} appears twice, once as {twice.base}; keep one of the files")
    table = clip_table(path, names)
    layout = _as_the_first(files, layout)
    return Source(
        name=path.stem,
        layout=layout,
        class_names=table.class_names,
        units="unknown",
        preset="facing" if layout.channels == 3 else "none",
        read=_Pass(files, table, layout, fps),
        count=len(files),
        splits=table.splits,
        left_out=table.left_out,
    )


@dataclass(frozen=True)
class _Pass:
    """A pass over the files, which can be divided."""

    files: tuple[File, ...]
    table: ClipTable
    layout: Layout
    fps: float

    def __len__(self) -> int:
        return len(self.files)

    def part(self, start: int, stop: int) -> _Pass:
        files = self.files[start:stop]
        return replace(self, files=files, table=self.table.part([_name(file) for file in files]))

    def __call__(self) -> Iterator[Recording | Unreadable]:
        yield from Reading(self.files, self.layout, self._parse)()

    def _parse(self, file: File, data: bytes) -> Recording:
        name = _name(file)
        return Recording(
            name=name,
            positions=without_padding(persons_first(array_in(data), self.layout), self.layout),
            label=self.table.label(name),
            subject=self.table.subject(name),
            fps=self.fps,
            source=file.name,
            not_read=_other_keys(data),
        )


def array_in(data: bytes) -> np.ndarray:
    """Load the array of a .npy, or `positions` of an .npz, without unpickling.

    Args:
        data: The bytes of the file.

    Returns:
        The array.

    Raises:
        BadFile: If there is no such array, or it would have to be unpickled.
    """
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                keys = array_keys(archive)
                if "positions" not in keys:
                    found = shown(", ".join(keys)) or "nothing"
                    raise BadFile(f"no key positions in it, only {found}; save the clip as positions")
                data = read_member(archive, "positions.npy")
        return parse_npy(data)
    except DAMAGE as error:
        raise BadFile(f"not an array that can be read ({' '.join(str(error).split())[:200]})") from None


def _as_the_first(files: Sequence[File], layout: Layout) -> Layout:
    """The layout with the channels of the first array that fits it."""
    for file in files[:_TRIED]:
        try:
            array = array_in(load_file(file))
            return with_channels_of(array.shape, _axes(array), layout)
        except BadFile:
            continue
    return layout


def _axes(array: np.ndarray) -> tuple[str, ...]:
    return (_AXES[0], *_AXES[2:]) if array.ndim == 3 else _AXES


def _other_keys(data: bytes) -> tuple[str, ...]:
    """What of an .npz is not read, as a phrase."""
    if not data.startswith(b"PK"):
        return ()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        others = [key for key in array_keys(archive) if key != "positions"]
    return (f"keys of .npz files other than positions ({shown(others[0])})",) if others else ()


def persons_first(array: np.ndarray, layout: Layout) -> Num[np.ndarray, "persons frames joints channels"]:
    """Move the axis of persons to the front, adding one if the array has none.

    Args:
        array: Numbers of shape (frames, joints, channels) or (frames, persons, joints, channels).
        layout: Layout of the joints.

    Returns:
        A view of the array.

    Raises:
        BadFile: If it has another type or shape, or its axes are in another order.
    """
    if array.dtype.kind not in "fiu" or array.ndim not in (3, 4):
        raise BadFile(f"{array.dtype} of shape {array.shape}, not numbers of shape (frames, [persons,] joints, 2 or 3)")
    try:
        check_axes(array.shape, _axes(array), layout)
    except BadFile as error:
        many = "; an array of many clips is given by itself, not in a folder" if array.ndim == 4 else ""
        raise BadFile(f"{error}{many}") from None
    return array[None] if array.ndim == 3 else array.swapaxes(0, 1)


def _name(file: File) -> str:
    return str(PurePosixPath(file.inner).with_suffix(""))
