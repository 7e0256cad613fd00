"""Results of MediaPipe Pose, saved by the user: JSON, CSV or Parquet, .npz, of the Tasks API or the legacy solution.

- JSON: a list of frames, an object with a list `frames` (and `fps`), or a line for each frame. A frame is what the
  result holds: `pose_world_landmarks` and `pose_landmarks` (or `worldLandmarks`, `landmarks`), each the 33 landmarks of
  one person or a list of persons; a landmark is {x, y, z, visibility} or such a list. `frame` or `timestamp_ms` number
  the frames.
- CSV, TSV and Parquet: a column for each coordinate, such as LEFT_HIP_x, or a row for each landmark
  (i2md.data.readers.table).
- .npz: `world_landmarks` and `landmarks` (or `pose_...`), (frames, 33, 3 to 5) or (frames, persons, 33, 3 to 5): x, y,
  z, visibility, presence; optionally `visibility` and `fps`. NaN, or zeros throughout, is nobody.

World coordinates, in metres and relative to the hips, are preferred. Columns x, y and z of a table do not say which
they are: they are those in the image if x and y lie within 0 and 1, and z is left out then. Without world coordinates,
or with `coordinates="image"`, clips are 2-D: x and y are fractions of the image's width and height. `image_size`,
"1920x1080", makes both fractions of the height; otherwise they stay as they are, and the report says so. A landmark
whose visibility is `score` or less is missing.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from i2md.data.coordinates import convert
from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File, find_files, load_file
from i2md.data.readers.json_poses import frame_numbers, load_json
from i2md.data.readers.limits import DAMAGE, parse_npy, read_member
from i2md.data.readers.poses import FILE, Pose, PoseOptions, Recordings, one_file_each, pose_source
from i2md.data.readers.table import TABLES, open_tables
from i2md.data.recording import Recording, Source
from i2md.errors import InputError
from i2md.skeletons import get_layout

FILES = re.compile(r"[^.].*\.(jsonl?|npz)", re.IGNORECASE)
_JOINTS = 33
_TRIED = 10
# Landmarks outside of the image are a few.
_IN_IMAGE = 0.95
_COORDINATES = ("auto", "world", "image")
# Names of the landmarks in a frame or .npz, compared without case and underscores.
WORLD = ("poseworldlandmarks", "worldlandmarks", "world")
IMAGE = ("poselandmarks", "landmarks", "normalizedlandmarks", "image")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def open_source(
    path: Path,
    *,
    coordinates: str = "auto",
    image_size: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    columns: str | None = None,
    axes: str | None = None,
) -> Source:
    """Open saved results of MediaPipe Pose.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        coordinates: world, image, or auto: world if there are any.
        image_size: Width and height of the video in pixels, "1920x1080", for image coordinates.
        fps: Frame rate; by default that of the file's times, or unknown.
        persons: Persons kept at most.
        score: A landmark whose visibility is this or less is missing.
        columns: Where the coordinates of a table are, as in i2md.data.readers.table.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings, in layout mediapipe-33.

    Raises:
        InputError: If there is no such file, or an option is invalid.
    """
    if coordinates not in _COORDINATES:
        raise InputError(f"coordinates {coordinates!r} are not known; choose one of {', '.join(_COORDINATES)}")
    options = PoseOptions(persons, score, fps)
    files = find_files(path, FILES, ".json, .csv or .npz files of MediaPipe", unique_parts=FILE, required=False)
    if files:
        world = _in_world(path, files) if coordinates == "auto" else coordinates == "world"
        layout = get_layout("mediapipe-33").with_channels(3 if world else 2)
        units = "m" if world else "image"
        source = pose_source(path, one_file_each(files), layout, _Parser(world), options, units=units)
    else:
        files = find_files(path, TABLES, ".json, .csv or .npz files of MediaPipe", unique_parts=FILE)
        source = open_tables(path, files, options, "mediapipe-33", columns, coordinates == "image")
        world = source.layout.channels == 3
        if world and (coordinates == "image" or (coordinates == "auto" and _lies_in_image(source))):
            source, world = _without_depth(source, coordinates == "auto"), False
        source = replace(source, units="m" if world else "image")
    return convert(source if world else _in_image(source, image_size), None, axes)


def _lies_in_image(source: Source) -> bool:
    """Whether x and y of the first recording that can be read are fractions of an image.

    World coordinates are relative to the hips, so about half of them are negative.
    """
    reading = source.read
    assert isinstance(reading, Recordings)
    first = reading.part(0, _TRIED)()
    positions = next((each.positions for each in first if isinstance(each, Recording)), None)
    if positions is None:
        return False
    seen = positions[positions.any(axis=-1) & np.isfinite(positions).all(axis=-1)][:, :2]
    return bool(len(seen)) and float(((seen >= 0) & (seen <= 1)).mean()) >= _IN_IMAGE


def _without_depth(source: Source, guessed: bool) -> Source:
    reading, layout = source.read, source.layout.with_channels(2)
    assert isinstance(reading, Recordings)
    said = "in the image, since x and y lie within 0 and 1; z is left out (--options.coordinates world keeps it)"
    return replace(
        source,
        layout=layout,
        preset="centred-scaled",
        read=replace(reading, layout=layout, parse=_Planar(reading.parse, (1.0, 1.0))),
        converted={**source.converted, **({"coordinates": said} if guessed else {})},
    )


def _in_image(source: Source, size: str | None) -> Source:
    if size is None:
        unknown = "not given: x and y stay fractions of the image's width and height (--options.image_size 1920x1080)"
        return replace(source, converted={**source.converted, "image_size": unknown})
    match = _SIZE.fullmatch(size)
    if match is None or not int(match[1]) or not int(match[2]):
        raise InputError(f"image_size {size[:40]!r}: give width and height in pixels, for example 1920x1080")
    reading = source.read
    assert isinstance(reading, Recordings)
    parse = _Planar(reading.parse, (int(match[1]) / int(match[2]), 1.0))
    return replace(source, read=replace(reading, parse=parse), converted={**source.converted, "image_size": size})


@dataclass(frozen=True)
class _Planar:
    """Parses x and y of recordings and multiplies them, such as fractions of the width into those of the height."""

    parse: Callable[[Iterable[tuple[File, bytes]]], Pose | Sequence[Pose]]
    factors: tuple[float, float]

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Sequence[Pose]:
        parsed = self.parse(files)
        poses = [parsed] if isinstance(parsed, Pose) else parsed
        bodies = [pose.bodies._replace(positions=pose.bodies.positions[..., :2] * self.factors) for pose in poses]
        return [pose._replace(bodies=each) for pose, each in zip(poses, bodies, strict=True)]


def _in_world(path: Path, files: Sequence[File]) -> bool:
    reason = ""
    for file in files[:_TRIED]:
        try:
            _Parser(True)([(file, load_file(file))])
            return True
        except BadFile:
            try:
                _Parser(False)([(file, load_file(file))])
                return False
            except BadFile as error:
                reason = reason or f"{file.name}: {error}"
    raise InputError(f"{path}: {reason}")


@dataclass(frozen=True)
class _Parser:
    """Parses a JSON or .npz; `world` chooses among the coordinates."""

    world: bool

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        ((_, data),) = files
        if data.startswith(b"PK"):
            return self._arrays(data)
        content = load_json(data)
        if isinstance(content, dict) and isinstance(content.get("frames"), list):
            return self._frames(content["frames"], _fps(content.get("fps")))
        if not isinstance(content, list) or not content:
            raise BadFile("not a list of frames of MediaPipe, nor an object with such a list under frames")
        return self._frames(content, 0.0)

    def _frames(self, frames: list[Any], fps: float) -> Pose:
        found = [(at, body) for at, frame in enumerate(frames) for body in self._bodies(frame, at)]
        numbers, rate = frame_numbers(frames)
        rows = np.array([body for _, body in found]).reshape(len(found), _JOINTS, 4)
        at = numbers[np.array([index for index, _ in found], dtype=np.int64)]
        return self._pose(at, rows, fps or rate, numbers)

    def _pose(self, at: np.ndarray, rows: np.ndarray, fps: float, listed: np.ndarray) -> Pose:
        positions = rows[..., : 3 if self.world else 2]
        seen = ~np.isnan(rows[..., :3]).all(axis=(1, 2)) & rows[..., :3].any(axis=(1, 2))
        visible = np.where(np.isnan(rows[..., 3]), 1.0, rows[..., 3])
        return Pose(Bodies(at[seen], positions[seen], visible[seen]), fps=fps, listed=listed)

    def _bodies(self, frame: Any, at: int) -> Iterator[Float64[np.ndarray, "33 4"]]:
        """The landmarks of each person in a frame, NaN for what a landmark does not have."""
        landmarks = frame
        if isinstance(frame, Mapping):
            named = {str(key).lower().replace("_", ""): value for key, value in frame.items()}
            keys = [key for key in (WORLD if self.world else IMAGE) if key in named]
            if not keys:
                other = any(key in named for key in (*WORLD, *IMAGE))
                kind = "world" if self.world else "image"
                raise BadFile(f"frame {at} has no {kind} landmarks" if other else f"frame {at} holds no landmarks")
            landmarks = named[keys[0]]
        elif self.world:
            raise BadFile("landmarks without a name are taken for those in the image")
        if isinstance(landmarks, Mapping):
            landmarks = landmarks.get("landmark", landmarks.get("landmarks"))
        if landmarks is None:
            return
        if not isinstance(landmarks, list):
            raise BadFile(f"landmarks of frame {at} are not a list")
        persons = landmarks if landmarks and _is_person(landmarks[0]) else [landmarks]
        for person in persons:
            if isinstance(person, Mapping):
                person = person.get("landmark", person.get("landmarks"))
            if person:
                yield _landmarks(person, at)

    def _arrays(self, data: bytes) -> Pose:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = {
                    name.removesuffix(".npy").lower().replace("_", ""): name
                    for name in archive.namelist()
                    if name.endswith(".npy")
                }
                keys = [key for key in (WORLD if self.world else IMAGE) if key in members]
                if not keys:
                    raise BadFile(f"no key {'world_landmarks' if self.world else 'landmarks'} in it")
                array = parse_npy(read_member(archive, members[keys[0]]))
                visible = parse_npy(read_member(archive, members["visibility"])) if "visibility" in members else None
                rate = parse_npy(read_member(archive, members["fps"])) if "fps" in members else None
        except DAMAGE as error:
            raise BadFile(f"not an .npz that can be read ({' '.join(str(error).split())[:200]})") from None
        if array.dtype.kind not in "fiu" or array.ndim not in (3, 4) or array.shape[-2] != _JOINTS or not array.size:
            raise BadFile(f"{keys[0]} is {array.dtype} of shape {array.shape}, not (frames, [persons,] 33, 3 to 5)")
        if not 2 <= array.shape[-1] <= 5:
            raise BadFile(f"a landmark has {array.shape[-1]} numbers, not 3 to 5")
        array = array[:, None] if array.ndim == 3 else array
        rows = np.full((*array.shape[:3], 4), np.nan)
        width = min(array.shape[-1], 4)
        rows[..., :width] = array[..., :width]
        if visible is not None and visible.dtype.kind in "fiu" and visible.size == rows[..., 3].size:
            rows[..., 3] = visible.reshape(rows[..., 3].shape)
        frames, persons = rows.shape[:2]
        fps = (
            _fps(float(rate.reshape(-1)[0]))
            if rate is not None and rate.dtype.kind in "fiu" and rate.size == 1
            else 0.0
        )
        return self._pose(np.arange(frames).repeat(persons), rows.reshape(-1, _JOINTS, 4), fps, np.arange(frames))


def _fps(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 10_000 else 0.0


def _is_person(value: Any) -> bool:
    """Whether the first element of landmarks is those of a person rather than a landmark."""
    if isinstance(value, Mapping):
        return "landmark" in value or "landmarks" in value
    return isinstance(value, list) and (not value or isinstance(value[0], list | Mapping))


def _landmarks(person: Any, at: int) -> Float64[np.ndarray, "33 4"]:
    if not isinstance(person, list) or len(person) != _JOINTS:
        size = len(person) if isinstance(person, list) else "no list of"
        raise BadFile(f"frame {at} holds {size} landmarks, not {_JOINTS}")
    rows = [_landmark(each) for each in person]
    try:
        values = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadFile(f"a landmark of frame {at} is not numbers x, y, z, visibility") from None
    # No visibility is NaN; no position is damage.
    if values.shape != (_JOINTS, 4) or np.isinf(values).any():
        raise BadFile(f"a landmark of frame {at} is not numbers x, y, z, visibility")
    return values


def _landmark(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [value.get("x"), value.get("y"), value.get("z", np.nan), value.get("visibility", np.nan)]
    if isinstance(value, list) and 2 <= len(value) <= 5:
        return [*value[:4], *([np.nan] * (4 - len(value)))]
    return [None]
