"""The arrays that the published CMD program prepares (Mao et al., ECCV 2022): one folder for each split.

For the parts `train` and `val`: `*_data_joint.npy` (clips, 3, 300, 25, 2), `*_num_frame.npy` (clips,) and
`*_label.pkl`, a pickle of clip names and labels, read by i2md.data.readers.arrays.safe_pickle. One or two persons in
layout kinect-v2, metres; that program has normalised them, which is preset `ntu`, and repeated each clip up to 300
frames. Subject, camera, setup and trial come from names of NTU RGB+D. The split is named after the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from i2md.data.readers.arrays import safe_pickle
from i2md.data.readers.arrays.axis_order import check_axes
from i2md.data.readers.arrays.rows import ArrayRows, open_rows, read_arrays
from i2md.data.readers.arrays.sample_names import class_index, classes_of, columns_of_name
from i2md.data.readers.files import BadFile
from i2md.data.readers.reading import without_padding
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

_LAYOUT = get_layout("kinect-v2")
_PARTS = {"train": "train", "val": "test"}
_DATA = "_data_joint.npy"


def open_source(path: Path) -> Source:
    """Open the arrays of one split, which are memory-mapped.

    Args:
        path: The folder, such as `NTU-RGB-D-60-AGCN/xsub`.

    Returns:
        The clips, cut to their frames, with preset `ntu` marked as applied.

    Raises:
        InputError: If a file is missing or invalid, or the number of clips differs between files.
    """
    path = Path(path)
    _check_folder(path)
    parts = tuple(_open_part(path, part) for part in _PARTS)
    names = [name for part in parts for name in part.names]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: a clip's name appears twice; give a folder whose clips have unique names")
    split = path.resolve().name
    return Source(
        name=f"{path.resolve().parent.name}-{split}".lstrip("-"),
        layout=_LAYOUT,
        class_names=classes_of(names, [int(label) for part in parts for label in part.labels]),
        units="m",
        preset="none",
        read=read_arrays(*parts),
        count=len(names),
        splits={split: {_PARTS[part.name]: {"name": part.names} for part in parts}},
        prepared="ntu",
    )


@dataclass(frozen=True)
class _Part:
    """The clips of `train` or `val`, or a range of them."""

    name: str
    rows: ArrayRows
    names: tuple[str, ...]
    labels: Int64[np.ndarray, " clips"]
    lengths: Int64[np.ndarray, " clips"]

    def part(self, start: int, stop: int) -> _Part:
        return replace(
            self,
            rows=self.rows.part(start, stop),
            names=self.names[start:stop],
            labels=self.labels[start:stop],
            lengths=self.lengths[start:stop],
        )

    def __iter__(self) -> Iterator[Recording | Unreadable]:
        for index, row in enumerate(self.rows):
            yield self._recording(index, row.transpose(3, 1, 2, 0))

    def _recording(self, index: int, persons: np.ndarray) -> Recording | Unreadable:
        source = f"{self.rows.path.name}[{self.rows.start + index}]"
        try:
            with np.errstate(invalid="ignore"):
                length = true_length(persons, int(self.lengths[index]))
            positions = without_padding(persons, _LAYOUT, length)
        except BadFile as error:
            return Unreadable(source, f"{source}: {error}")
        name = self.names[index]
        return Recording(name, positions, label=int(self.labels[index]), source=source, **columns_of_name(name))


def true_length(persons: Float[np.ndarray, "persons frames 25 3"], stated: int) -> int:
    """Find the number of frames after which a clip repeats itself.

    The program states the frames of the recording, but has cut the empty frames at its start; the last stated frames
    are then repetitions. If two persons leave at different times, each is repeated on their own, which cannot be seen
    in the positions: then all stated frames are kept.

    Args:
        persons: Positions, filled up by repetition.
        stated: The number of frames that `*_num_frame.npy` states.

    Returns:
        The number of frames, at most `stated`.

    Example:
        >>> clip = np.arange(1, 4).repeat(75).reshape(1, 3, 25, 3)
        >>> true_length(np.tile(clip, (1, 4, 1, 1)), 5)
        3
    """
    frames = persons.shape[1]
    for length in range(min(stated, frames), 0, -1):
        starts_again = length == frames or np.array_equal(persons[:, length], persons[:, 0], equal_nan=True)
        if starts_again and np.array_equal(persons[:, length:], persons[:, : frames - length], equal_nan=True):
            return length
    return min(stated, frames)


def _check_folder(path: Path) -> None:
    if (path / f"train{_DATA}").is_file():
        return
    inside = sorted(file.parent.name for file in path.glob(f"*/train{_DATA}"))
    fix = f"give one split's folder: {', '.join(inside)}" if inside else "give the folder that holds it"
    raise InputError(f"{path}: no train{_DATA} in it; {fix}")


def _open_part(path: Path, part: str) -> _Part:
    rows = open_rows(path / f"{part}{_DATA}", "clips")
    if rows.dtype.kind != "f":
        raise InputError(f"{rows.path}: {rows.dtype} values, not floating point; give CMD's arrays")
    try:
        check_axes(rows.shape, ("clips", "channels", "frames", "joints", "persons"), _LAYOUT)
    except BadFile as error:
        raise InputError(f"{rows.path}: {error}") from None
    names, labels = _named(path / f"{part}_label.pkl", rows.shape[0])
    return _Part(part, rows, names, labels, _lengths(path / f"{part}_num_frame.npy", rows.shape[0]))


def _named(path: Path, clips: int) -> tuple[tuple[str, ...], Int64[np.ndarray, " clips"]]:
    columns = [_listed(column) for column in _listed(safe_pickle.load(path))]
    if [len(column) for column in columns] != [clips, clips]:
        raise InputError(f"{path}: not a pair of {clips} names and {clips} labels, one for each clip; write it again")
    names, labels = columns
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        raise InputError(f"{path}: a clip's name is not text; write it again")
    try:
        classes = np.array([class_index(label) for label in labels], dtype=np.int64)
    except BadFile as error:
        raise InputError(f"{path}: {error}; write it again") from None
    return tuple(name.removesuffix(".skeleton") for name in names), classes


def _listed(values: Any) -> list[Any]:
    one_dimensional = isinstance(values, np.ndarray) and values.ndim == 1
    return list(values) if one_dimensional or isinstance(values, list | tuple) else []


def _lengths(path: Path, clips: int) -> Int64[np.ndarray, " clips"]:
    rows = open_rows(path, "number of frames of each clip")
    lengths = np.array(list(rows)).ravel() if rows.shape in ((clips,), (clips, 1)) else np.array([])
    if lengths.shape != (clips,) or lengths.dtype.kind not in "iu" or (lengths < 1).any():
        raise InputError(f"{path}: not a number of frames for each of {clips} clips; write it again")
    return lengths.astype(np.int64)
