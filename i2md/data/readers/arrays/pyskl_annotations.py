"""One annotation of a pickle of PYSKL: validated, and as positions of persons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from i2md.data.readers.arrays.axis_order import check_axes
from i2md.data.readers.arrays.sample_names import class_index
from i2md.data.readers.files import BadFile
from i2md.data.readers.reading import without_low_confidence, without_padding
from i2md.data.recording import Unreadable
from i2md.skeletons import Layout

KEYS = ("frame_dir", "label", "keypoint", "keypoint_score", "total_frames", "img_shape")
_LARGEST_IMAGE = 1 << 20
_LONGEST_NAME = 255
AXES = ("persons", "frames", "joints", "channels")


@dataclass(frozen=True)
class Clip:
    """One annotation: positions and confidences as stored, and the image's height and width if given."""

    name: str
    source: str
    label: int
    keypoint: np.ndarray
    confidence: np.ndarray | None
    frames: int
    image: tuple[int, int] | None

    def positions(
        self, layout: Layout, score: float, in_image: bool
    ) -> Float32[np.ndarray, "persons frames joints channels"]:
        """The positions of the persons.

        Args:
            layout: Layout that they must fit.
            score: A joint of this confidence or less is zeros.
            in_image: Scale pixels by `over_image`.

        Raises:
            BadFile: If they do not fit the layout, are not finite, or no confidence is above `score`.
        """
        positions = self.keypoint[:, : self.frames]
        if self.confidence is not None:
            found = positions.any()
            positions = without_low_confidence(positions, self.confidence[:, : self.frames], score)
            if found and not positions.any():
                raise BadFile(
                    f"no joint has a confidence above {score:g}; lower --options.score or leave out keypoint_score"
                )
        positions = without_padding(positions, layout)
        with np.errstate(invalid="ignore"):
            return over_image(positions, self.image) if in_image and self.image else positions


def clip_of(path: Path, index: int, annotation: Any) -> Clip | Unreadable:
    """Validate an annotation.

    Args:
        path: The pickle, for messages.
        index: Index of the annotation.
        annotation: What the pickle holds there.

    Returns:
        The clip, or why there is none.
    """
    source = f"{path.name}[{index}]"
    try:
        return _checked(source, annotation)
    except BadFile as error:
        return Unreadable(source, f"{source}: {error}")


def _checked(source: str, annotation: Any) -> Clip:
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
        check_axes(keypoint.shape, AXES)
    except BadFile as error:
        raise BadFile(f"{name}: {error}") from None
    return Clip(
        name,
        source,
        class_index(annotation.get("label")),
        keypoint,
        _confidence(name, annotation.get("keypoint_score"), keypoint.shape),
        _frames(name, annotation.get("total_frames"), keypoint.shape[1]),
        _image(name, annotation.get("img_shape")),
    )


def _confidence(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if given is None:
        return None
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu" or given.shape != shape[:3]:
        raise BadFile(f"{name}: keypoint_score is no array of numbers (persons, frames, joints) as keypoint is")
    return given


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


def unread_keys(annotation: Mapping[Any, Any]) -> list[str]:
    """List the keys of an annotation that are not read.

    Args:
        annotation: An annotation, valid or not.

    Returns:
        Their names; not `original_shape` where it repeats `img_shape`, as in PYSKL's own pickles.
    """
    keys = [key if isinstance(key, str) else ascii(key)[:80] for key in annotation if key not in KEYS]
    return [key for key in keys if key != "original_shape" or _has_another_size(annotation)]


def _has_another_size(annotation: Mapping[Any, Any]) -> bool:
    try:
        return _image("", annotation.get("original_shape")) != _image("", annotation.get("img_shape"))
    except BadFile:
        return True


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
