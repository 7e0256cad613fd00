"""Results of MediaPipe Pose and Hands that a user saved, as JSON, tables or .npz, of the Tasks or the legacy API.

- JSON: a list of frames, an object with a list `frames` (and `fps`), or a line for each frame. A frame is what the
  result holds (i2md.data.readers.mediapipe_results): `pose_world_landmarks` and `pose_landmarks`, each the 33 landmarks
  of one person or a list of persons, or `hand_world_landmarks`, `hand_landmarks` (21 each) and `handedness`. `frame` or
  `timestamp_ms` number the frames.
- CSV, TSV and Parquet: a column for each coordinate, such as LEFT_HIP_x, or a row for each landmark
  (i2md.data.readers.table).
- .npz: `world_landmarks` and `landmarks` (or `pose_...`, `hand_...`), (frames, 33 or 21, 3 to 5) or (frames, persons,
  33 or 21, 3 to 5): x, y, z, visibility, presence; optionally `visibility`, `handedness` and `fps`. NaN, or zeros
  throughout, is nobody.

World coordinates, in metres and relative to the hips or to the hand's centre, are preferred. Columns x, y and z of a
table do not say which they are: they are those in the image if x and y lie within 0 and 1, and z is left out then.
Without world coordinates, or with `coordinates="image"`, clips are 2-D: x and y are fractions of the image's width and
height. `image_size`, "1920x1080", makes both fractions of the height; otherwise they stay as they are, and the report
says so. A landmark whose visibility is `score` or less is missing; hands have none.

Two hands are two persons. Where every frame says of each hand which it is, and no frame has two of one side, the left
one is the first person; otherwise hands are told apart by i2md.data.persons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from i2md.data.coordinates import convert
from i2md.data.readers.files import File, find_files, load_file
from i2md.data.readers.mediapipe_results import HAND, POSE, ResultParser, fitting_parser
from i2md.data.readers.poses import FILE, Pose, PoseOptions, Recordings, first_parsed, one_file_each, pose_source
from i2md.data.readers.table import TABLES, open_tables
from i2md.data.recording import Recording, Source
from i2md.errors import InputError
from i2md.skeletons import get_layout

FILES = re.compile(r"[^.].*\.(jsonl?|npz)", re.IGNORECASE)
_TRIED = 10
# Landmarks outside of the image are a few.
_IN_IMAGE = 0.95
_COORDINATES = ("auto", "world", "image")
LAYOUTS = (POSE, HAND)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


def open_source(
    path: Path,
    *,
    layout: str | None = None,
    coordinates: str = "auto",
    image_size: str | None = None,
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
    columns: str | None = None,
    axes: str | None = None,
) -> Source:
    """Open saved results of MediaPipe Pose, Hands or Holistic.

    Args:
        path: A file, a folder of files or a parent of it, or a .zip.
        layout: mediapipe-33, persons, or mediapipe-hand-21, hands; by default what the first file holds, persons before
            hands.
        coordinates: world, image, or auto: world if there are any.
        image_size: Width and height of the video in pixels, "1920x1080", for image coordinates.
        fps: Frame rate; by default that of the file's times, or unknown.
        persons: Persons kept at most.
        score: A landmark whose visibility is this or less is missing.
        columns: Where the coordinates of a table are, as in i2md.data.readers.table.
        axes: What the coordinates are, in their order, as in i2md.data.coordinates.

    Returns:
        The recordings, in layout mediapipe-33 or mediapipe-hand-21.

    Raises:
        InputError: If there is no such file, or an option is invalid.
    """
    if coordinates not in _COORDINATES:
        raise InputError(f"coordinates {coordinates!r} are not known; choose one of {', '.join(_COORDINATES)}")
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"layout {layout[:40]!r} is none of MediaPipe's; choose one of {', '.join(LAYOUTS)}")
    options = PoseOptions(persons, score, fps)
    files = find_files(path, FILES, ".json, .csv or .npz files of MediaPipe", unique_parts=FILE, required=False)
    if files:
        parser = _parser_of(path, files, layout, coordinates)
        world = parser.world
        known = get_layout(parser.layout).with_channels(3 if world else 2)
        units = "m" if world else "image"
        source = pose_source(path, one_file_each(files), known, parser, options, units=units)
    else:
        files = find_files(path, TABLES, ".json, .csv or .npz files of MediaPipe", unique_parts=FILE)
        source = open_tables(path, files, options, layout or LAYOUTS, columns, coordinates == "image")
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


def _parser_of(path: Path, files: Sequence[File], layout: str | None, coordinates: str) -> ResultParser:
    """The parser for the first file that can be read."""

    def of_file(file: File) -> ResultParser:
        data = load_file(file)
        return fitting_parser(layout, coordinates, lambda parser: parser([(file, data)]))

    return first_parsed(path, files, of_file)
