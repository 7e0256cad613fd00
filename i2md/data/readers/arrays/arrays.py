"""The format `arrays`: one .npy of positions, or one .npz of positions and what is known of the clips.

Keys of the .npz, all but the first optional:

- `positions` (clips, frames, joints, channels) or (clips, frames, persons, joints, channels), of any real type; clips
  shorter than the array end in zeros, a person absent from a frame is zeros there. A .npy holds this array alone.
- `lengths` (clips,): the number of frames of each clip. By default a clip ends after its last frame that is not
  all zeros.
- `labels` (clips,): class indices from 0 (-1 if unknown), or class names as strings.
- `class_names` (classes,): names of the classes that the indices count; by default the numbers, or the names in
  `labels`, sorted.
- `names` (clips,): a unique name for each clip; by default `clip-0`, `clip-1` and so on, padded to equal length.
- `subjects` (clips,): whole numbers.
- `split` (clips,): the part of each clip as a string, such as "train" and "test"; or `train` and `test`:
  indices of clips from 0. Both define the split `given`.

The unit, the axes and the order of the joints are those of the layout that the option `layout` names, unless the
options `units`, `axes` and `joints` describe others (i2md.data.coordinates). Nothing is unpickled. A folder or .zip of
arrays is read by i2md.data.readers.arrays.array_files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from i2md.data.coordinates import convert
from i2md.data.readers.arrays.array_files import open_folder
from i2md.data.readers.arrays.axis_order import with_channels_of
from i2md.data.readers.arrays.rows import ArrayRows, open_rows, other_arrays, read_arrays
from i2md.data.readers.arrays.sample_names import MOST_CLASSES
from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import unread_columns
from i2md.data.readers.reading import without_padding
from i2md.data.recording import UNKNOWN, Recording, Source, Unreadable
from i2md.data.splits import Split
from i2md.data.storage.remote import is_remote, to_path
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

_KEYS = ("positions", "lengths", "labels", "class_names", "names", "subjects", "split", "train", "test")
_AXES = ("clips", "frames", "persons", "joints", "channels")
_AXES_ONE_PERSON = ("clips", "frames", "joints", "channels")
# A file of so short clips is more likely one clip of as many persons.
_MAX_PERSONS_OF_A_CLIP = 2


def open_source(
    path: Path,
    *,
    layout: str = "kinect-v2",
    fps: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open a .npy or .npz file of clips, or a folder or .zip of such files, one for each clip.

    Args:
        path: The file, folder or .zip.
        layout: Layout of the joints.
        fps: Frame rate; 0 if unknown.
        units: Unit of the coordinates: m, cm or mm; clips are in metres if it is given.
        axes: What the file's coordinates are, in their order: "x,-z,y" for z-up coordinates.
        joints: Names of the layout's joints in the file's order, a list or separated by commas.

    Returns:
        The clips. NaN is a missing joint. One with an infinite coordinate is Unreadable and named by its index.

    Raises:
        InputError: If the joints do not fit the layout, or the keys do not fit each other.
    """
    return convert(_open(to_path(path), get_layout(layout), fps), units, axes, joints)


def _open(path: Path, known: Layout, fps: float) -> Source:
    if path.is_dir() or path.suffix.lower() == ".zip":
        return open_folder(path, known, fps)
    if is_remote(path):
        raise InputError(f"{path}: one array of all clips is read from a local disk; copy it to one first")
    rows = open_rows(path, "positions")
    known = _fitted(path, rows, known)
    metadata = _Metadata(path, other_arrays(path, "positions"), clips=rows.shape[0])
    labels, class_names = metadata.labels()
    names = metadata.names()
    lengths = metadata.lengths(rows.shape[1])
    return Source(
        name=path.stem,
        layout=known,
        class_names=class_names,
        units="unknown",
        preset="facing" if known.channels == 3 else "none",
        read=read_arrays(_Clips(rows, known, fps, names, labels, metadata.subjects(), lengths)),
        count=len(names),
        splits=metadata.splits(names),
        left_out=unread_columns(path.name, metadata.arrays, _KEYS, "keys"),
    )


@dataclass(frozen=True)
class _Clips:
    """The rows, with the metadata of each."""

    rows: ArrayRows
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
            yield self._recording(index, clip[:, None] if clip.ndim == 3 else clip)

    def _recording(
        self, index: int, clip: Shaped[np.ndarray, "frames persons joints channels"]
    ) -> Recording | Unreadable:
        clip_index = self.rows.start + index
        source = f"{self.rows.path.name}[{clip_index}]"
        length = None if self.lengths is None else int(self.lengths[index])
        try:
            positions = without_padding(clip.swapaxes(0, 1), self.layout, length)
        except BadFile as error:
            return Unreadable(source, f"{self.rows.path.name}: clip {clip_index}: {error}")
        return Recording(
            name=self.names[index],
            positions=positions,
            label=int(self.labels[index]),
            subject=int(self.subjects[index]),
            fps=self.fps,
            source=source,
        )


def _fitted(path: Path, rows: ArrayRows, layout: Layout) -> Layout:
    """The layout with the channels of the array, whose shape must fit."""
    shape = rows.shape
    if len(shape) not in (4, 5) or 0 in shape or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: positions are {rows.dtype} of shape {shape}; "
            "give numbers of shape (clips, frames, [persons,] joints, 2 or 3)"
        )
    try:
        fitted = with_channels_of(shape, _AXES if len(shape) == 5 else _AXES_ONE_PERSON, layout)
    except BadFile as error:
        raise InputError(f"{path}: {error}") from None
    if len(shape) == 4 and shape[1] <= _MAX_PERSONS_OF_A_CLIP and shape[0] > 10 * shape[1]:
        raise InputError(
            f"{path}: {shape[0]} clips of {shape[1]} frames; if it is one clip of {shape[1]} persons, "
            "(frames, persons, joints, channels), put the file into a folder and give the folder"
        )
    return fitted


@dataclass(frozen=True)
class _Metadata:
    """The optional keys of the .npz; each method raises InputError if its key does not fit the number of clips."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    clips: int

    def names(self) -> tuple[str, ...]:
        """A unique name for each clip, given or generated."""
        given = self._column("names")
        if given is None:
            width = len(str(self.clips - 1))
            return tuple(f"clip-{index:0{width}d}" for index in range(self.clips))
        names = tuple(str(name) for name in given.tolist())
        if len(set(names)) < len(names):
            raise self._error("names are not unique; give each clip another name, or no names")
        return names

    def labels(self) -> tuple[Int64[np.ndarray, " clips"], tuple[str, ...]]:
        """Class indices and class names."""
        class_names = tuple(str(name) for name in np.ravel(self.arrays.get("class_names", np.array([]))).tolist())
        given = self._column("labels")
        if given is not None and given.dtype.kind == "U":
            return self._labels_by_name(given.tolist(), class_names)
        labels = self._numbers("labels")
        if labels is None:
            return self._unknown(), class_names
        if labels.max() >= MOST_CLASSES:
            raise self._error(f"label {labels.max()} is not one of at most {MOST_CLASSES} classes counted from 0")
        class_names = class_names or tuple(str(label) for label in range(int(labels.max()) + 1))
        if labels.max() >= len(class_names) or labels.min() < UNKNOWN:
            raise self._error(f"labels are outside -1 to {len(class_names) - 1}; count classes from 0")
        return labels, class_names

    def subjects(self) -> Int64[np.ndarray, " clips"]:
        """The subject of each clip."""
        given = self._numbers("subjects")
        return self._unknown() if given is None else given

    def lengths(self, frames: int) -> Int64[np.ndarray, " clips"] | None:
        """The number of frames of each clip, at most `frames`; None if not given."""
        given = self._numbers("lengths")
        if given is not None and ((given < 0) | (given > frames)).any():
            raise self._error(f"lengths are outside 0 to {frames}; give each clip's number of frames")
        return given

    def splits(self, names: tuple[str, ...]) -> dict[str, Split]:
        """The split `given`, each part as clip names."""
        parts = self._column("split")
        if parts is not None:
            members = {str(part): np.flatnonzero(parts == part) for part in np.unique(parts) if str(part)}
        else:
            members = {part: self._indices(part) for part in ("train", "test") if part in self.arrays}
        split = {part: {"name": tuple(names[i] for i in indices)} for part, indices in members.items()}
        return {"given": split} if split else {}

    def _labels_by_name(
        self, labels: list[str], class_names: tuple[str, ...]
    ) -> tuple[Int64[np.ndarray, " clips"], tuple[str, ...]]:
        class_names = class_names or tuple(sorted(set(labels)))
        index = {name: i for i, name in enumerate(class_names)}
        unnamed = sorted(set(labels) - set(index))
        if unnamed:
            raise self._error(f"label {unnamed[0]!r} is not among class_names; add it there")
        return np.array([index[label] for label in labels], dtype=np.int64), class_names

    def _indices(self, part: str) -> np.ndarray:
        indices = self.arrays[part]
        if indices.ndim != 1 or indices.dtype.kind not in "iu" or (indices.astype(np.int64) < 0).any():
            raise self._error(f"{part} must be indices of clips; count them from 0")
        if indices.max(initial=0) >= self.clips:
            raise self._error(f"{part} counts clip {indices.max()} of {self.clips}; count them from 0")
        return indices

    def _column(self, key: str) -> np.ndarray | None:
        values = self.arrays.get(key)
        if values is not None and values.shape != (self.clips,):
            raise self._error(f"{key} have shape {values.shape} for {self.clips} clips; give one value for each clip")
        return values

    def _numbers(self, key: str) -> Int64[np.ndarray, " clips"] | None:
        values = self._column(key)
        if values is not None and values.dtype.kind not in "iu":
            raise self._error(f"{key} are {values.dtype} values; give whole numbers")
        if values is not None and values.size and int(values.max()) >= 1 << 63:
            raise self._error(f"{key} do not fit 64 bits; number them")
        return None if values is None else values.astype(np.int64)

    def _unknown(self) -> Int64[np.ndarray, " clips"]:
        return np.full(self.clips, UNKNOWN, dtype=np.int64)

    def _error(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}")
