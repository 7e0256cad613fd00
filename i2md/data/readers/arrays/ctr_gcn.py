"""CTR-GCN's .npz of NTU RGB+D (Chen et al., ICCV 2021), which many programs read: x_train, y_train, x_test, y_test.

`x_*` are (clips, frames, 150): two persons, one after the other, of 25 joints of x y z, zeros after a clip's last
frame. Layout kinect-v2, metres, camera axes, translated so that the first person's middle of the spine is the origin
in the first frame; bodies that are noise were removed. In a clip of one person the second is zeros in the files of
NTU RGB+D 60 and a copy of the first in those of NTU RGB+D 120. `y_*` are one-hot (clips, classes). 30 frames a second;
subject and camera are not known. The split is `xsub`, `xview`, `xsub120` or `xset120` if the file is named as CTR-GCN
names it (NTU60_CS.npz, NTU120_CSub.npz), otherwise `given`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i2md.data.readers.arrays.rows import ArrayRows, open_rows, other_arrays, read_arrays
from i2md.data.readers.arrays.sample_names import one_hot_classes
from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import unread_columns
from i2md.data.readers.ntu_rgbd_splits import class_names
from i2md.data.readers.reading import without_padding
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

_LAYOUT = get_layout("kinect-v2")
_KEYS = ("x_train", "y_train", "x_test", "y_test")
_NUMBERS = 150
_SPLITS = {"ntu60_cs": "xsub", "ntu60_cv": "xview", "ntu120_csub": "xsub120", "ntu120_cset": "xset120"}


def open_source(path: Path) -> Source:
    """Open a .npz of CTR-GCN.

    Args:
        path: The file.

    Returns:
        Clips of one or two persons, training clips first, named `train_0`, `test_0` and so on.

    Raises:
        InputError: If the file is damaged or an array is missing or has another shape.
    """
    path = Path(path)
    parts, unread = _open_parts(path)
    classes = max(part.classes for part in parts)
    split = {part.name: {"name": tuple(part.clip(i) for i in range(len(part.labels)))} for part in parts}
    return Source(
        name=path.stem,
        layout=_LAYOUT,
        class_names=class_names()[:classes] if classes in (60, 120) else tuple(map(str, range(classes))),
        units="m",
        preset="ntu",
        read=read_arrays(*parts),
        count=sum(len(part.labels) for part in parts),
        splits={_SPLITS.get(path.stem.lower(), "given"): split},
        left_out=unread,
    )


@dataclass(frozen=True)
class _Part:
    name: str
    rows: ArrayRows
    labels: np.ndarray
    classes: int

    def clip(self, index: int) -> str:
        """The clip's name in CTR-GCN's own data loader."""
        return f"{self.name}_{self.rows.start + index}"

    def part(self, start: int, stop: int) -> _Part:
        return replace(self, rows=self.rows.part(start, stop), labels=self.labels[start:stop])

    def __iter__(self) -> Iterator[Recording | Unreadable]:
        for index, row in enumerate(self.rows):
            yield self._recording(index, row)

    def _recording(self, index: int, row: np.ndarray) -> Recording | Unreadable:
        source = f"{self.rows.path.name}:x_{self.name}[{self.rows.start + index}]"
        persons = row.reshape(len(row), 2, 25, 3).swapaxes(0, 1)
        with np.errstate(invalid="ignore"):
            alone = np.array_equal(persons[0], persons[1], equal_nan=True)
        try:
            positions = without_padding(persons[:1] if alone else persons, _LAYOUT)
        except BadFile as error:
            return Unreadable(source, f"{source}: {error}")
        return Recording(self.clip(index), positions, label=int(self.labels[index]), fps=30.0, source=source)


def _open_parts(path: Path) -> tuple[tuple[_Part, ...], dict[str, int]]:
    """The training and the test clips, and counts of the keys that are not read."""
    rows = {part: open_rows(path, f"x_{part}") for part in ("train", "test")}
    others = other_arrays(path, "x_train", "x_test")
    parts = tuple(_checked(path, part, rows[part], others.get(f"y_{part}", np.array(0))) for part in rows)
    return parts, unread_columns(path.name, others, _KEYS, "keys")


def _checked(path: Path, part: str, rows: ArrayRows, given: np.ndarray) -> _Part:
    if len(rows.shape) != 3 or rows.shape[2] != _NUMBERS or rows.dtype.kind != "f":
        raise InputError(
            f"{path}: x_{part} is {rows.dtype} of shape {rows.shape}; "
            f"give CTR-GCN's (clips, frames, {_NUMBERS}), or read your own arrays as format arrays"
        )
    labels = one_hot_classes(given)
    if labels is None or len(labels) != rows.shape[0]:
        raise InputError(
            f"{path}: y_{part} of shape {given.shape} is not one class for each of {rows.shape[0]} clips; "
            "give one-hot rows or class indices"
        )
    return _Part(part, rows, labels, given.shape[1] if given.ndim == 2 else int(labels.max(initial=-1)) + 1)
