"""Results of MediaPipe Pose, Hands and Holistic as bodies: from JSON, .npz, and the objects of its Python API.

A result of a frame holds landmarks under names that differ between the Tasks API (`pose_world_landmarks`,
`hand_landmarks`, `handedness`), the legacy solutions (`multi_hand_landmarks`, `multi_handedness`) and JavaScript
(`worldLandmarks`). Names are compared without case and underscores. Landmarks are those of one body or a list of
bodies; a landmark is {x, y, z, visibility} or such a list.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from i2md.data.persons import Bodies
from i2md.data.readers.files import BadFile, File
from i2md.data.readers.json_poses import frame_numbers, load_json
from i2md.data.readers.limits import DAMAGE, parse_npy, read_member
from i2md.data.readers.poses import Pose
from i2md.data.recording import UNKNOWN

POSE, HAND = "mediapipe-33", "mediapipe-hand-21"
_JOINTS = {POSE: 33, HAND: 21}
_WORLD = {
    POSE: ("poseworldlandmarks", "worldlandmarks", "world"),
    HAND: ("handworldlandmarks", "multihandworldlandmarks", "worldlandmarks", "world"),
}
_IMAGE = {
    POSE: ("poselandmarks", "landmarks", "normalizedlandmarks", "image"),
    HAND: ("handlandmarks", "multihandlandmarks", "landmarks", "normalizedlandmarks", "image"),
}
# Holistic has a list for each hand.
_SIDES = ("left", "right")
_HANDEDNESS = ("handedness", "handednesses", "multihandedness")
_FACE = ("facelandmarks", "multifacelandmarks")
_ONE_HAND = tuple(f"{side}hand{kind}" for side in _SIDES for kind in ("landmarks", "worldlandmarks"))
LANDMARKS = frozenset({*_WORLD[POSE], *_WORLD[HAND], *_IMAGE[POSE], *_IMAGE[HAND], *_ONE_HAND})
"""Names under which a result holds landmarks."""
# What a result of each layout may hold besides, by its names.
_NOT_READ: dict[str, dict[str, tuple[str, ...]]] = {
    POSE: {f"hand landmarks (--layout {HAND} reads them)": (*_WORLD[HAND][:2], *_IMAGE[HAND][:2], *_ONE_HAND)},
    HAND: {f"pose landmarks (--layout {POSE} reads them)": (_WORLD[POSE][0], _IMAGE[POSE][0])},
}


class NoLandmarks(BadFile):
    """Landmarks of this kind are not there at all."""


class _Body(NamedTuple):
    landmarks: Float64[np.ndarray, "joints 4"]
    """x, y, z and visibility; NaN for what a landmark does not have."""
    side: int
    """Of a hand 0 for left and 1 for right, as MediaPipe calls them; UNKNOWN for a person."""


def plain(name: Any) -> str:
    """A name as it is compared.

    Args:
        name: Key of a result.

    Example:
        >>> plain("pose_world_landmarks") == plain("poseWorldLandmarks")
        True
    """
    return str(name).lower().replace("_", "")


@dataclass(frozen=True)
class ResultParser:
    """Parses results of one recording."""

    layout: str
    """POSE or HAND."""
    world: bool
    """Whether coordinates in metres are read, or those in the image."""

    def __call__(self, files: Iterable[tuple[File, bytes]]) -> Pose:
        """Parse a JSON or .npz."""
        ((_, data),) = files
        if data.startswith(b"PK"):
            return self._arrays(data)
        content = load_json(data)
        if isinstance(content, dict) and isinstance(content.get("frames"), list):
            return self.frames(content["frames"], _fps(content.get("fps")))
        if not isinstance(content, list) or not content:
            raise BadFile("not a list of frames of MediaPipe, nor an object with such a list under frames")
        return self.frames(content, 0.0)

    def frames(self, frames: list[Any], fps: float) -> Pose:
        """Parse the results of frames.

        Args:
            frames: For each frame a mapping of names to landmarks, or landmarks in the image.
            fps: Frame rate, 0 if it is not known.

        Returns:
            The bodies.

        Raises:
            BadFile: Something else is among them, or they have no such landmarks.
        """
        found = [(at, body) for at, frame in enumerate(frames) for body in self._bodies(frame, at)]
        numbers, rate = frame_numbers(frames)
        rows = np.array([body.landmarks for _, body in found]).reshape(len(found), _JOINTS[self.layout], 4)
        at = numbers[np.array([index for index, _ in found], dtype=np.int64)]
        sides = np.array([body.side for _, body in found], dtype=np.int64)
        return self._pose(at, rows, sides, fps or rate, numbers)._replace(not_read=tuple(self._not_read(frames)))

    def _not_read(self, frames: list[Any]) -> Iterator[str]:
        held = {plain(key) for frame in frames if isinstance(frame, Mapping) for key, value in frame.items() if value}
        for what, names in {**_NOT_READ[self.layout], "face landmarks": _FACE}.items():
            if held & set(names):
                yield what

    def _pose(
        self, at: np.ndarray, rows: np.ndarray, sides: Int64[np.ndarray, " bodies"], fps: float, listed: np.ndarray
    ) -> Pose:
        positions = rows[..., : 3 if self.world else 2]
        seen = ~np.isnan(rows[..., :3]).all(axis=(1, 2)) & rows[..., :3].any(axis=(1, 2))
        visible = np.where(np.isnan(rows[..., 3]), 1.0, rows[..., 3])
        at, positions, sides = at[seen], positions[seen], sides[seen]
        # Hands have no visibility: where one is written it is the default of the message, 0.
        confidence = visible[seen] if self.layout == POSE else None
        twice = len(at) - len(np.unique(np.stack([at, sides], axis=1), axis=0))
        known = bool(len(sides)) and bool((sides >= 0).all()) and not twice
        counts = {"frames_of_two_hands_of_one_side": twice} if (sides >= 0).any() and twice else {}
        bodies = Bodies(at, positions, confidence, sides if known else None)
        return Pose(bodies, fps=fps, listed=listed, counts=counts, by_id=True)

    def _bodies(self, frame: Any, at: int) -> Iterator[_Body]:
        if not isinstance(frame, Mapping):
            if self.world:
                raise NoLandmarks("landmarks without a name are taken for those in the image")
            yield from self._listed(frame, [], at)
            return
        named = {plain(key): value for key, value in frame.items()}
        names = (_WORLD if self.world else _IMAGE)[self.layout]
        ending = "worldlandmarks" if self.world else "landmarks"
        one_each = [(side, f"{name}hand{ending}") for side, name in enumerate(_SIDES)] if self.layout == HAND else []
        key = next((name for name in names if name in named), None)
        if key is not None:
            yield from self._listed(named[key], _sides(named), at)
        elif any(name in named for _, name in one_each):
            for side, name in one_each:
                yield from (body._replace(side=side) for body in self._listed(named.get(name), [], at))
        else:
            kind = f"{'world' if self.world else 'image'} " if LANDMARKS & set(named) else ""
            raise NoLandmarks(f"frame {at} holds no {kind}landmarks")

    def _listed(self, landmarks: Any, sides: Sequence[int], at: int) -> Iterator[_Body]:
        landmarks = _unwrapped(landmarks)
        if landmarks is None:
            return
        if not isinstance(landmarks, list):
            raise BadFile(f"landmarks of frame {at} are not a list")
        bodies = landmarks if landmarks and _is_body(landmarks[0]) else [landmarks]
        for number, body in enumerate(map(_unwrapped, bodies)):
            if body:
                side = sides[number] if number < len(sides) and self.layout == HAND else UNKNOWN
                yield _Body(_landmarks(body, at, _JOINTS[self.layout]), side)

    def _arrays(self, data: bytes) -> Pose:
        joints = _JOINTS[self.layout]
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = {
                    plain(name.removesuffix(".npy")): name for name in archive.namelist() if name.endswith(".npy")
                }
                names = (_WORLD if self.world else _IMAGE)[self.layout]
                key = next((name for name in names if name in members), None)
                if key is None:
                    raise NoLandmarks(f"no key {'world_landmarks' if self.world else 'landmarks'} in it")
                array = parse_npy(read_member(archive, members[key]))
                wanted = dict.fromkeys(_HANDEDNESS, "handedness") | {"visibility": "visibility", "fps": "fps"}
                others = {
                    what: parse_npy(read_member(archive, members[name]))
                    for name, what in wanted.items()
                    if name in members
                }
        except DAMAGE as error:
            raise BadFile(f"not an .npz that can be read ({' '.join(str(error).split())[:200]})") from None
        if array.dtype.kind not in "fiu" or array.ndim not in (3, 4) or array.shape[-2] != joints or not array.size:
            raise BadFile(f"{key} is {array.dtype} of shape {array.shape}, not (frames, [persons,] {joints}, 3 to 5)")
        if not 2 <= array.shape[-1] <= 5:
            raise BadFile(f"a landmark has {array.shape[-1]} numbers, not 3 to 5")
        array = array[:, None] if array.ndim == 3 else array
        rows = np.full((*array.shape[:3], 4), np.nan)
        width = min(array.shape[-1], 4)
        rows[..., :width] = array[..., :width]
        visible, rate = others.get("visibility"), others.get("fps")
        if visible is not None and visible.dtype.kind in "fiu" and visible.size == rows[..., 3].size:
            rows[..., 3] = visible.reshape(rows[..., 3].shape)
        frames, persons = rows.shape[:2]
        known = rate is not None and rate.dtype.kind in "fiu" and rate.size == 1
        fps = _fps(float(rate.reshape(-1)[0])) if known and rate is not None else 0.0
        sides = np.full(frames * persons, UNKNOWN)
        written = others.get("handedness")
        if self.layout == HAND and written is not None and written.size == sides.size:
            sides = np.array([_side(each) for each in written.reshape(-1).tolist()])
        at = np.arange(frames).repeat(persons)
        return self._pose(at, rows.reshape(-1, joints, 4), sides, fps, np.arange(frames))


def fitting_parser(layout: str | None, coordinates: str, attempt: Callable[[ResultParser], object]) -> ResultParser:
    """The first parser that can read something, of persons before hands and of world coordinates before the image's.

    Args:
        layout: POSE or HAND, or None for either.
        coordinates: world, image, or auto for either.
        attempt: Parses something; raises BadFile where that fails.

    Returns:
        The parser.

    Raises:
        BadFile: None can; the message is of one that found landmarks, if there is one.
    """
    kinds = {"auto": (True, False), "world": (True,), "image": (False,)}[coordinates]
    errors: list[BadFile] = []
    for parser in (ResultParser(name, world) for name in ([layout] if layout else _JOINTS) for world in kinds):
        try:
            attempt(parser)
            return parser
        except BadFile as error:
            errors.append(error)
    raise next((error for error in errors if not isinstance(error, NoLandmarks)), errors[-1])


def _fps(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < 10_000 else 0.0


def _sides(named: Mapping[str, Any]) -> list[int]:
    """The side of each hand of a frame."""
    listed = next((named[name] for name in _HANDEDNESS if name in named), None)
    return [_side(each) for each in listed] if isinstance(listed, list) else []


def _side(value: Any) -> int:
    """Left or right out of a text, a category, or the likeliest of several categories."""
    if isinstance(value, Mapping):
        inner = value.get("classification", value.get("categories"))
        keys = {plain(key): each for key, each in value.items()}
        value = inner if inner is not None else keys.get("categoryname", keys.get("label", keys.get("displayname")))
    if isinstance(value, list):
        return _side(value[0]) if value and not isinstance(value[0], list) else UNKNOWN
    return _SIDES.index(value.lower()) if isinstance(value, str) and value.lower() in _SIDES else UNKNOWN


def _unwrapped(value: Any) -> Any:
    return value.get("landmark", value.get("landmarks")) if isinstance(value, Mapping) else value


def _is_body(value: Any) -> bool:
    """Whether the first element of landmarks is those of a body rather than a landmark."""
    if isinstance(value, Mapping):
        return "landmark" in value or "landmarks" in value
    return isinstance(value, list) and (not value or isinstance(value[0], list | Mapping))


def _landmarks(body: Any, at: int, joints: int) -> Float64[np.ndarray, "joints 4"]:
    if not isinstance(body, list) or len(body) != joints:
        size = len(body) if isinstance(body, list) else "no list of"
        raise BadFile(f"frame {at} holds {size} landmarks, not {joints}")
    rows = [_landmark(each) for each in body]
    try:
        values = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadFile(f"a landmark of frame {at} is not numbers x, y, z, visibility") from None
    # No visibility is NaN; no position is damage.
    if values.shape != (joints, 4) or np.isinf(values).any():
        raise BadFile(f"a landmark of frame {at} is not numbers x, y, z, visibility")
    return values


def _landmark(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [value.get("x"), value.get("y"), value.get("z", np.nan), value.get("visibility", np.nan)]
    if isinstance(value, list) and 2 <= len(value) <= 5:
        return [*value[:4], *([np.nan] * (4 - len(value)))]
    return [None]
