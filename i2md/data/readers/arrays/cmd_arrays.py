"""The arrays that the published CMD program prepares (Mao et al., ECCV 2022): a folder a split.

For the parts `train` and `val`: `*_data_joint.npy` (clips, 3, 300, 25, 2), `*_num_frame.npy` (clips,) and
`*_label.pkl`, a pickle of clip names and labels, which is read by i2md.data.readers.arrays.safe_pickle. The clips have
had that program's normalisation, which is preset `ntu`. Their tails are filled by repetition up to 300 frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from i2md.data.readers.arrays import safe_pickle
from i2md.data.readers.arrays.row_passes import pass_over
from i2md.data.readers.arrays.rows import Rows, open_rows
from i2md.data.readers.arrays.sample_names import class_index, classes_of, facts_of
from i2md.data.readers.files import BadFile
from i2md.data.readers.padding import unpadded
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

_LAYOUT = get_layout("kinect-v2")
_PARTS = {"train": "train", "val": "test"}
_DATA = "_data_joint.npy"


def open_source(path: Path) -> Source:
    """The clips of the folder `path`, such as `NTU-RGB-D-60-AGCN/xsub`; the arrays stay on disk.

    One or two people in layout kinect-v2, metres. The split is named after the folder, its parts are train and
    test. Preset `ntu` was applied by the program that wrote the arrays and is not applied again.
    """
    path = Path(path)
    _require_folder(path)
    parts = tuple(_open_part(path, part) for part in _PARTS)
    names = [name for part in parts for name in part.names]
    if len(set(names)) < len(names):
        raise InputError(f"{path}: a clip's name is there twice; give a folder whose clips have one name each")
    split = path.resolve().name
    return Source(
        name=f"{path.resolve().parent.name}-{split}".lstrip("-"),
        layout=_LAYOUT,
        class_names=classes_of(names, [int(label) for part in parts for label in part.labels]),
        units="m",
        preset="none",
        read=pass_over(*parts),
        count=len(names),
        splits={split: {_PARTS[part.name]: {"name": part.names} for part in parts}},
        prepared="ntu",
    )


@dataclass(frozen=True)
class _Part:
    """`train` or `val`, whole or from one clip to another."""

    name: str
    rows: Rows
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
            positions = unpadded(persons, _LAYOUT, true_length(persons, int(self.lengths[index])))
        except BadFile as error:
            return Unreadable(source, f"{source}: {error}")
        name = self.names[index]
        return Recording(name, positions, label=int(self.labels[index]), source=source, **facts_of(name))


def true_length(persons: Float[np.ndarray, "persons frames 25 3"], told: int) -> int:
    """The number of frames before the clip repeats itself, at most the number `told`.

    The program tells a recording's frames, with those at the start that it then cut because nobody was there; as
    many at the end of what is told are repeated. Where two people leave at different times each is repeated on
    their own, which cannot be told from the positions: then all that is told is kept.

    >>> clip = np.arange(1, 4).repeat(75).reshape(1, 3, 25, 3)
    >>> true_length(np.tile(clip, (1, 4, 1, 1)), 5)
    3
    """
    frames = persons.shape[1]
    for length in range(min(told, frames), 0, -1):
        starts_again = length == frames or np.array_equal(persons[:, length], persons[:, 0])
        if starts_again and np.array_equal(persons[:, length:], persons[:, : frames - length]):
            return length
    return min(told, frames)


def _require_folder(path: Path) -> None:
    if (path / f"train{_DATA}").is_file():
        return
    inside = sorted(file.parent.name for file in path.glob(f"*/train{_DATA}"))
    mend = f"give one split's folder: {', '.join(inside)}" if inside else "give the folder that holds it"
    raise InputError(f"{path}: no train{_DATA} in it; {mend}")


def _open_part(path: Path, part: str) -> _Part:
    rows = open_rows(path / f"{part}{_DATA}", "clips")
    if len(rows.shape) != 5 or rows.shape[1::2] != (3, 25) or rows.dtype.kind != "f":
        raise InputError(f"{rows.path}: {rows.dtype} of shape {rows.shape}; give CMD's (clips, 3, frames, 25, persons)")
    names, labels = _named(path / f"{part}_label.pkl", rows.shape[0])
    return _Part(part, rows, names, labels, _lengths(path / f"{part}_num_frame.npy", rows.shape[0]))


def _named(path: Path, clips: int) -> tuple[tuple[str, ...], Int64[np.ndarray, " clips"]]:
    columns = [_listed(column) for column in _listed(safe_pickle.load(path))]
    if [len(column) for column in columns] != [clips, clips]:
        raise InputError(f"{path}: not a pair of {clips} names and {clips} labels, one a clip; write it again")
    names, labels = columns
    if not all(isinstance(name, str) and name.isprintable() for name in names):
        raise InputError(f"{path}: a clip's name is no text; write it again")
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
    lengths = np.array(list(rows)).ravel() if len(rows.shape) in (1, 2) else np.array([])
    if lengths.shape != (clips,) or lengths.dtype.kind not in "iu" or (lengths < 1).any():
        raise InputError(f"{path}: not a number of frames for each of {clips} clips; write it again")
    return lengths.astype(np.int64)
