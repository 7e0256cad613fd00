"""Arrays that people already have: one .npy of positions, or one .npz of positions and what is known of them.

Keys of the .npz, all but the first optional:

- `positions` (clips, frames, joints, 3) or (clips, frames, people, joints, 3), any real type; clips shorter
  than the array end in zeros, a person absent from a frame is zeros there. A .npy holds this array alone.
- `lengths` (clips,): each clip's number of frames. Without it a clip ends after its last frame that is not
  all zeros.
- `labels` (clips,): class indices from 0 (-1 where unknown), or class names as strings.
- `class_names` (classes,): the names of the classes that indices count.
- `names` (clips,): one unique name a clip; otherwise `clip-0`, `clip-1` and on, padded to equal length.
- `subjects` (clips,): whole numbers.
- `split` (clips,): the part of each clip as a string, such as "train" and "test"; or `train` and `test`:
  indices of clips from 0. Either gives the split `given`.

Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from i2md.data.readers.arrays.array_facts import Facts
from i2md.data.readers.arrays.array_files import open_folder
from i2md.data.readers.arrays.row_passes import pass_over
from i2md.data.readers.arrays.rows import Rows, arrays_beside, open_rows
from i2md.data.readers.files import BadFile
from i2md.data.readers.padding import unpadded
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.storage.remote import is_remote, to_path
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, layout_names


def open_source(path: Path, *, layout: str = "kinect-v2", fps: float = 0.0) -> Source:
    """The clips of the .npy or .npz file at `path`, read one at a time; see the module for its keys.

    A folder or .zip of such files is read as a clip a file (i2md.data.readers.arrays.array_files). `layout` names the
    joints and `fps` is the frame rate (0: unknown). Raises InputError where the joints do not fit the layout or
    the keys do not fit one another; a clip with a coordinate that is not finite is Unreadable, told by its index.
    """
    path = to_path(path)
    known = get_layout(layout)
    if path.is_dir() or path.suffix.lower() == ".zip":
        return open_folder(path, known, fps)
    if is_remote(path):
        raise InputError(f"{path}: one array of all clips is read from a disk; copy it to one first")
    rows = open_rows(path, "positions")
    _require_fit(path, rows, known)
    facts = Facts(path, arrays_beside(path, "positions"), clips=rows.shape[0])
    labels, class_names = facts.labels()
    names = facts.names()
    return Source(
        name=path.stem,
        layout=known,
        class_names=class_names,
        units="unknown",
        preset="facing",
        read=pass_over(_Clips(rows, known, fps, names, labels, facts.subjects(), facts.lengths(rows.shape[1]))),
        count=len(names),
        splits=facts.splits(names),
    )


@dataclass(frozen=True)
class _Clips:
    """The rows, with what is known of each."""

    rows: Rows
    layout: Layout
    fps: float
    names: tuple[str, ...]
    labels: np.ndarray
    subjects: np.ndarray
    lengths: np.ndarray | None

    def part(self, start: int, stop: int) -> _Clips:
        return replace(
            self,
            rows=self.rows.part(start, stop),
            names=self.names[start:stop],
            labels=self.labels[start:stop],
            subjects=self.subjects[start:stop],
            lengths=None if self.lengths is None else self.lengths[start:stop],
        )

    def __iter__(self) -> Iterator[Recording | Unreadable]:
        for index, clip in enumerate(self.rows):
            yield self._one(index, clip[:, None] if clip.ndim == 3 else clip)

    def _one(self, index: int, clip: Shaped[np.ndarray, "frames persons joints channels"]) -> Recording | Unreadable:
        place = self.rows.start + index
        source = f"{self.rows.path.name}[{place}]"
        length = None if self.lengths is None else int(self.lengths[index])
        try:
            positions = unpadded(clip.swapaxes(0, 1), self.layout, length)
        except BadFile as error:
            return Unreadable(source, f"{self.rows.path.name}: clip {place}: {error}")
        return Recording(
            name=self.names[index],
            positions=positions,
            label=int(self.labels[index]),
            subject=int(self.subjects[index]),
            fps=self.fps,
            source=source,
        )


def _require_fit(path: Path, rows: Rows, layout: Layout) -> None:
    shape = rows.shape
    if len(shape) not in (4, 5) or 0 in shape or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: positions are {rows.dtype} of shape {shape}; "
            "give numbers of shape (clips, frames, [people,] joints, 3)"
        )
    if shape[-2:] != _size(layout):
        fitting = [name for name in layout_names() if _size(get_layout(name)) == shape[-2:]]
        raise InputError(
            f"{path}: {shape[-2]} joints of {shape[-1]} coordinates, but layout {layout.name} has "
            f"{len(layout.joints)} of {layout.channels}; layouts that fit: {', '.join(fitting) or 'none'}"
        )


def _size(layout: Layout) -> tuple[int, int]:
    return len(layout.joints), layout.channels
