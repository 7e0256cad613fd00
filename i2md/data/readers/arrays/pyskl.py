"""PYSKL (Duan, Wang, Chen, Lin, 2022): a data set in one pickle, a dict of `annotations` and `split`.

An annotation is a dict of `frame_dir` (the clip's name), `label`, `keypoint` (persons, frames, joints, 2 or 3),
`total_frames` and, in 2-D, `img_shape` (height and width in pixels); `split` lists names under `xsub_train`,
`xsub_val` and so on. The pickle is read by i2md.data.readers.arrays.safe_pickle. Confidences of joints are not kept.

The layout follows from the size: 25 joints in 3-D are kinect-v2 (metres), 17 in 2-D coco-17, 18 openpose-18. Pixels
become -1 to 1 over the image, as in PYSKL, if every clip has its image's size. Splits are the pickle's: `xsub_train`
and `xsub_val` are train and test of `xsub`, `train1` and `test1` of `split1`, `train` and `val` or `test` of `given`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from i2md.data.coordinates import convert
from i2md.data.readers.arrays import safe_pickle
from i2md.data.readers.arrays.axis_order import check_axes, fitting_layouts
from i2md.data.readers.arrays.sample_names import class_index, classes_of, columns_of_name
from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import compare_names
from i2md.data.readers.reading import without_padding
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import Split
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

# Layouts of PYSKL's own pickles by joints and coordinates.
_LAYOUTS = {(25, 3): "kinect-v2", (17, 2): "coco-17", (18, 2): "openpose-18"}
_LARGEST_IMAGE = 1 << 20
_LONGEST_NAME = 255
_AXES = ("persons", "frames", "joints", "channels")
_PART = re.compile(r"(?P<split>.*?)[_-]?(?P<part>train|val|test)[_-]?(?P<number>\d*)")


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open a pickle of PYSKL, which is loaded into memory as a whole.

    Args:
        path: The pickle.
        layout: Layout of the joints; by default as their number implies.
        fps: Frame rate; 0 if unknown. Clips with names of NTU RGB+D have 30 whatever is given.
        units: Unit of 3-D coordinates: m, cm or mm; clips are in metres if it is given.
        axes: What the file's coordinates are, in their order: "x,-z,y" for z-up coordinates.
        joints: Names of the layout's joints in the file's order, a list or separated by commas.

    Returns:
        The clips; an annotation that is invalid, or whose name appeared before, is Unreadable.

    Raises:
        InputError: If the file is not such a pickle, asks for code to be run, or no annotation is valid.
    """
    return convert(_open(Path(path), layout, fps), units, axes, joints)


def _open(path: Path, layout: str | None, fps: float) -> Source:
    annotations, split = _content(path, safe_pickle.load(path))
    clips = _distinct([_clip_of(path, index, annotation) for index, annotation in enumerate(annotations)])
    sound = [clip for clip in clips if isinstance(clip, _Clip)]
    known = _layout_of(path, clips, get_layout(layout) if layout else None)
    in_image = known.channels == 2 and all(clip.image for clip in sound)
    three_d = "m" if known.name == "kinect-v2" else "unknown"
    return Source(
        name=path.stem,
        layout=known,
        class_names=classes_of([clip.name for clip in sound], [clip.label for clip in sound]),
        units=three_d if known.channels == 3 else "image" if in_image else "pixels",
        preset="none" if known.channels == 2 else "ntu" if known.name == "kinect-v2" else "facing",
        read=_Pass(clips, known, fps, in_image),
        count=len(clips),
        splits=_splits(split),
        left_out=_not_matched(path, [clip.name for clip in sound], split),
    )


@dataclass(frozen=True)
class _Clip:
    """One annotation: positions as stored, and the image's height and width if given."""

    name: str
    source: str
    label: int
    keypoint: np.ndarray
    frames: int
    image: tuple[int, int] | None

    def positions(self, layout: Layout, in_image: bool) -> Float32[np.ndarray, "persons frames joints channels"]:
        positions = without_padding(self.keypoint[:, : self.frames], layout, nan_is_missing=True)
        with np.errstate(invalid="ignore"):
            return over_image(positions, self.image) if in_image and self.image else positions


@dataclass(frozen=True)
class _Pass:
    """A pass over the annotations, which can be divided."""

    clips: Sequence[_Clip | Unreadable]
    layout: Layout
    fps: float
    in_image: bool

    def __len__(self) -> int:
        return len(self.clips)

    def part(self, start: int, stop: int) -> _Pass:
        """The pass over annotations `start` to `stop` - 1."""
        return replace(self, clips=self.clips[start:stop])

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for clip in self.clips:
            yield clip if isinstance(clip, Unreadable) else self._recording(clip)

    def _recording(self, clip: _Clip) -> Recording | Unreadable:
        try:
            positions = clip.positions(self.layout, self.in_image)
        except BadFile as error:
            return Unreadable(clip.source, f"{clip.source}: {clip.name}: {error}")
        columns = {"fps": self.fps} | columns_of_name(clip.name)
        return Recording(clip.name, positions, label=clip.label, source=clip.source, **columns)


def over_image(
    positions: Float32[np.ndarray, "persons frames joints 2"], image: tuple[int, int]
) -> Float32[np.ndarray, "persons frames joints 2"]:
    """Scale pixels to -1 to 1 from the image's left to right and top to bottom, as PYSKL's PreNormalize2D does.

    Args:
        positions: Pixels; a joint at (0, 0) was not found and stays there.
        image: Height and width in pixels.

    Returns:
        Scaled positions.

    Example:
        >>> over_image(np.array([[[[0, 540], [1920, 0], [0, 0]]]], np.float32), (1080, 1920)).tolist()
        [[[[-1.0, 0.0], [1.0, -1.0], [0.0, 0.0]]]]
    """
    half = np.array(image[::-1], dtype=np.float32) / 2
    seen = positions.any(axis=-1, keepdims=True)
    return np.where(seen, (positions - half) / half, np.float32(0))


def _content(path: Path, content: Any) -> tuple[list[Any], dict[str, Any]]:
    # The older form of mmaction2, a file for each part of a split, is the bare list.
    content = {"annotations": content} if isinstance(content, list) else content
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list) or not annotations:
        raise InputError(
            f"{path}: no annotations in it; give a pickle of PYSKL: a dict with the keys annotations, a list with a "
            "dict for each clip, and split, or that list alone"
        )
    split = {} if content.get("split") is None else content["split"]
    parts = split.items() if isinstance(split, dict) else [(None, None)]
    if not all(isinstance(part, str) and _are_names(names) for part, names in parts):
        raise InputError(
            f"{path}: split is no dict of lists of names; give one list of names for each part, such as xsub_train"
        )
    return annotations, dict(parts)


def _are_names(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(name, str) for name in values)


def _clip_of(path: Path, index: int, annotation: Any) -> _Clip | Unreadable:
    source = f"{path.name}[{index}]"
    try:
        return _checked(source, annotation)
    except BadFile as error:
        return Unreadable(source, f"{source}: {error}")


def _checked(source: str, annotation: Any) -> _Clip:
    if not isinstance(annotation, dict):
        raise BadFile("the annotation is no dict")
    name, keypoint = annotation.get("frame_dir"), annotation.get("keypoint")
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise BadFile("frame_dir is no name")
    if len(name) > _LONGEST_NAME:
        raise BadFile(f"frame_dir is longer than {_LONGEST_NAME} characters")
    if keypoint is None and "raw_file" in annotation:
        raise BadFile(f"{name}: the skeletons are in a file of their own (raw_file), which is not read")
    if not isinstance(keypoint, np.ndarray) or keypoint.ndim != 4 or keypoint.dtype.kind not in "fiu":
        raise BadFile(f"{name}: keypoint is no array of numbers (persons, frames, joints, 2 or 3)")
    try:
        check_axes(keypoint.shape, _AXES)
    except BadFile as error:
        raise BadFile(f"{name}: {error}") from None
    return _Clip(
        name,
        source,
        class_index(annotation.get("label")),
        keypoint,
        _frames(name, annotation.get("total_frames"), keypoint.shape[1]),
        _image(name, annotation.get("img_shape")),
    )


def _frames(name: str, stated: Any, stored: int) -> int:
    if stated is None:
        return stored
    if not _is_whole(stated) or not 0 < stated <= stored:
        raise BadFile(f"{name}: total_frames does not fit the {stored} frames of keypoint")
    return int(stated)


def _image(name: str, shape: Any) -> tuple[int, int] | None:
    if shape is None:
        return None
    sides = shape.tolist() if isinstance(shape, np.ndarray) and shape.shape == (2,) else shape
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(map(_is_side, sides)):
        raise BadFile(f"{name}: img_shape is not height and width")
    return int(sides[0]), int(sides[1])


def _is_side(value: Any) -> bool:
    return _is_whole(value) and 0 < int(value) < _LARGEST_IMAGE


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _distinct(clips: list[_Clip | Unreadable]) -> list[_Clip | Unreadable]:
    """The clips; one whose name appeared before is Unreadable, since a split by names would contain both."""
    seen: dict[str, str] = {}
    for index, clip in enumerate(clips):
        if isinstance(clip, _Clip) and (first := seen.setdefault(clip.name, clip.source)) != clip.source:
            clips[index] = Unreadable(clip.source, f"{clip.source}: {clip.name} has the name of {first}")
    return clips


def _layout_of(path: Path, clips: Sequence[_Clip | Unreadable], given: Layout | None) -> Layout:
    """The layout, given or by the number of joints, in 2-D or 3-D as the first clip is."""
    sound = [clip for clip in clips if isinstance(clip, _Clip)]
    if not sound:
        reason = next(clip.reason for clip in clips if isinstance(clip, Unreadable))
        raise InputError(f"{path}: no clip can be read ({reason}); give a pickle of PYSKL's form")
    joints, channels = size = sound[0].keypoint.shape[2:]
    if given is not None and channels in (2, 3):
        return given.with_channels(channels)
    if size not in _LAYOUTS:
        raise InputError(
            f"{path}: {joints} joints of {channels} coordinates are no layout of PYSKL's own; "
            f"{fitting_layouts(joints, channels)}, or give the axes in the order ({', '.join(_AXES)})"
        )
    return get_layout(_LAYOUTS[size]).with_channels(channels)


def _not_matched(path: Path, clips: Sequence[str], split: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Names in `split` without an annotation and annotations in no part of it, counted."""
    listed = [name for names in split.values() for name in names]
    return compare_names(path, "split", listed, clips, "part", "clip")


def _splits(split: Mapping[str, Sequence[str]]) -> Mapping[str, Split]:
    """Group parts into splits; `val` is the test part if there is no other."""
    splits: dict[str, dict[str, Any]] = {}
    for part, names in split.items():
        name, role = _split_and_part(part)
        splits.setdefault(name, {})[role] = {"name": tuple(names)}
    for parts in splits.values():
        if "val" in parts and "test" not in parts:
            parts["test"] = parts.pop("val")
    return splits


def _split_and_part(key: str) -> tuple[str, str]:
    match = _PART.fullmatch(key)
    if match is None:
        return key, "all"
    name = match["split"] or ("split" if match["number"] else "given")
    return name + match["number"], match["part"]
