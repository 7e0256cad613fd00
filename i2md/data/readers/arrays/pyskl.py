"""PYSKL (Duan, Wang, Chen, Lin, 2022): a data set in one pickle, a dict of `annotations` and `split`.

An annotation is a dict of `frame_dir` (the clip's name), `label`, `keypoint` (persons, frames, joints, 2 or 3),
`total_frames` and, in 2-D, `img_shape` (height and width in pixels) and `keypoint_score` (persons, frames, joints), the
confidence of each joint; `split` lists names under `xsub_train`, `xsub_val` and so on. The pickle is read by
i2md.data.readers.arrays.safe_pickle. Confidences are not kept: a joint is missing where they are low.

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

from i2md.data.coordinates import convert
from i2md.data.readers.arrays import safe_pickle
from i2md.data.readers.arrays.axis_order import fitting_layouts
from i2md.data.readers.arrays.pyskl_annotations import AXES, KEYS, Clip, clip_of, unread_keys
from i2md.data.readers.arrays.sample_names import classes_of, columns_of_name
from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import compare_names, unread_columns
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import PART_NAMES, Split, part_name
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

# Layouts of PYSKL's own pickles by joints and coordinates.
_LAYOUTS = {(25, 3): "kinect-v2", (17, 2): "coco-17", (18, 2): "openpose-18"}
_PART = re.compile(rf"(?P<split>.*?)[_-]?(?P<part>{'|'.join(PART_NAMES)})[_-]?(?P<number>\d*)", re.IGNORECASE)


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    fps: float = 0.0,
    score: float = 0.0,
    units: str | None = None,
    axes: str | None = None,
    joints: str | Sequence[str] | None = None,
) -> Source:
    """Open a pickle of PYSKL, which is loaded into memory as a whole.

    Args:
        path: The pickle.
        layout: Layout of the joints; by default as their number implies.
        fps: Frame rate; 0 if unknown. Clips with names of NTU RGB+D have 30 whatever is given.
        score: A joint whose confidence is this or less is stored as zeros, like one that was not found.
        units: Unit of 3-D coordinates: m, cm or mm; clips are in metres if it is given.
        axes: What the file's coordinates are, in their order: "x,-z,y" for z-up coordinates.
        joints: Names of the layout's joints in the file's order, a list or separated by commas.

    Returns:
        The clips; an annotation that is invalid, or whose name appeared before, is Unreadable.

    Raises:
        InputError: If the file is not such a pickle, asks for code to be run, no annotation is valid, or `score` is
            out of range.
    """
    if not 0 <= score < 1:
        raise InputError(f"score {score}: give a confidence from 0 to below 1")
    return convert(_open(Path(path), layout, fps, score), units, axes, joints)


def _open(path: Path, layout: str | None, fps: float, score: float) -> Source:
    annotations, split, unread = _content(path, safe_pickle.load(path))
    clips = _distinct([clip_of(path, index, annotation) for index, annotation in enumerate(annotations)])
    sound = [clip for clip in clips if isinstance(clip, Clip)]
    known = _layout_of(path, clips, get_layout(layout) if layout else None)
    in_image = known.channels == 2 and all(clip.image for clip in sound)
    three_d = "m" if known.name == "kinect-v2" else "unknown"
    return Source(
        name=path.stem,
        layout=known,
        class_names=classes_of([clip.name for clip in sound], [clip.label for clip in sound]),
        units=three_d if known.channels == 3 else "image (-1 to 1)" if in_image else "pixels",
        preset="none" if known.channels == 2 else "ntu" if known.name == "kinect-v2" else "facing",
        read=_Pass(clips, known, fps, score, in_image),
        count=len(clips),
        splits=_splits(split),
        left_out={**_not_matched(path, [clip.name for clip in sound], split), **unread},
    )


@dataclass(frozen=True)
class _Pass:
    """A pass over the annotations, which can be divided."""

    clips: Sequence[Clip | Unreadable]
    layout: Layout
    fps: float
    score: float
    in_image: bool

    def __len__(self) -> int:
        return len(self.clips)

    def part(self, start: int, stop: int) -> _Pass:
        """The pass over annotations `start` to `stop` - 1."""
        return replace(self, clips=self.clips[start:stop])

    def __call__(self) -> Iterator[Recording | Unreadable]:
        for clip in self.clips:
            yield clip if isinstance(clip, Unreadable) else self._recording(clip)

    def _recording(self, clip: Clip) -> Recording | Unreadable:
        try:
            positions = clip.positions(self.layout, self.score, self.in_image)
        except BadFile as error:
            return Unreadable(clip.source, f"{clip.source}: {clip.name}: {error}")
        columns = {"fps": self.fps} | columns_of_name(clip.name)
        return Recording(clip.name, positions, label=clip.label, source=clip.source, **columns)


def _content(path: Path, content: Any) -> tuple[list[Any], dict[str, Any], dict[str, int]]:
    """The annotations, the split, and counts of the keys that are not read."""
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
    others = (key if isinstance(key, str) else ascii(key)[:80] for key in content)
    unread = unread_columns(path.name, others, ("annotations", "split"), "keys")
    keys = dict.fromkeys(key for each in annotations if isinstance(each, dict) for key in unread_keys(each))
    return annotations, dict(parts), {**unread, **unread_columns("annotations", keys, KEYS, "keys")}


def _are_names(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(name, str) for name in values)


def _distinct(clips: list[Clip | Unreadable]) -> list[Clip | Unreadable]:
    """The clips; one whose name appeared before is Unreadable, since a split by names would contain both."""
    seen: dict[str, str] = {}
    for index, clip in enumerate(clips):
        if isinstance(clip, Clip) and (first := seen.setdefault(clip.name, clip.source)) != clip.source:
            clips[index] = Unreadable(clip.source, f"{clip.source}: {clip.name} has the name of {first}")
    return clips


def _layout_of(path: Path, clips: Sequence[Clip | Unreadable], given: Layout | None) -> Layout:
    """The layout, given or by the number of joints, in 2-D or 3-D as the first clip is."""
    sound = [clip for clip in clips if isinstance(clip, Clip)]
    if not sound:
        reason = next(clip.reason for clip in clips if isinstance(clip, Unreadable))
        raise InputError(f"{path}: no clip can be read ({reason}); give a pickle of PYSKL's form")
    joints, channels = size = sound[0].keypoint.shape[2:]
    if given is not None and channels in (2, 3):
        return given.with_channels(channels)
    if size not in _LAYOUTS:
        raise InputError(
            f"{path}: {joints} joints of {channels} coordinates are no layout of PYSKL's own; "
            f"{fitting_layouts(joints, channels)}, or give the axes in the order ({', '.join(AXES)})"
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
    return name + match["number"], part_name(match["part"]) or key
