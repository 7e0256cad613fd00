"""The objects that MediaPipe's Python API returns, as plain data to save and as recordings.

MediaPipe is not imported: a result is read by the names of its fields, which both the dataclasses of the Tasks API and
the messages of the legacy solutions have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from i2md.data.readers.files import BadFile
from i2md.data.readers.mediapipe_results import HAND, POSE, fitting_parser
from i2md.data.readers.poses import PoseOptions, recording_of
from i2md.data.recording import Recording
from i2md.errors import InputError

_BODIES = tuple(
    f"{what}_{kind}"
    for what in ("pose", "hand", "multi_hand", "left_hand", "right_hand")
    for kind in ("landmarks", "world_landmarks")
)
_HANDEDNESS = ("handedness", "multi_handedness")
_AXES = ("x", "y", "z")
_SURE = ("visibility", "presence")


def mediapipe_frames(results: Iterable[Any], timestamps_ms: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """Turn results of MediaPipe into plain data, which `json.dump` saves for `i2md prepare mediapipe`.

    Landmarks of poses and hands, and which hand is which, are kept; faces, segmentation masks and gestures are not.

    Args:
        results: What `detect_for_video` of a PoseLandmarker, HandLandmarker or HolisticLandmarker, or `process` of a
            legacy solution, returned for each frame of a video; None for a frame without a result.
        timestamps_ms: Time of each frame in milliseconds.

    Returns:
        A mapping for each frame.

    Raises:
        InputError: A result has none of the fields, or there are not as many times as results.

    Example:
        >>> from types import SimpleNamespace as Result
        >>> body = [Result(x=0.5, y=0.25, z=0.0, visibility=0.9) for _ in range(33)]
        >>> frames = mediapipe_frames([Result(pose_landmarks=[body], pose_world_landmarks=[])], [40])
        >>> frames[0]["timestamp_ms"], frames[0]["pose_landmarks"][0][0]
        (40, {'x': 0.5, 'y': 0.25, 'z': 0.0, 'visibility': 0.9})
    """
    frames = [{} if result is None else _frame(result, number) for number, result in enumerate(results)]
    if timestamps_ms is not None and len(timestamps_ms) != len(frames):
        raise InputError(f"mediapipe: {len(timestamps_ms)} timestamps_ms for {len(frames)} results; give one for each")
    # Every frame names what any holds, so that a frame without a result is one in which nobody is seen.
    empty: dict[str, Any] = dict.fromkeys(dict.fromkeys(key for frame in frames for key in frame))
    frames = [{**empty, **frame} for frame in frames]
    if timestamps_ms is None:
        return frames
    return [{"timestamp_ms": time, **frame} for time, frame in zip(timestamps_ms, frames, strict=True)]


def mediapipe_recording(
    results: Iterable[Any],
    timestamps_ms: Sequence[float] | None = None,
    *,
    layout: str | None = None,
    coordinates: str = "auto",
    fps: float = 0.0,
    persons: int = 2,
    score: float = 0.0,
) -> Recording:
    """Read the results of MediaPipe for the frames of a video as one recording.

    Its `positions` are what `Model.embed([...], layout="mediapipe-33")` takes.

    Args:
        results: As of `mediapipe_frames`.
        timestamps_ms: Time of each frame in milliseconds, which gives the frame rate.
        layout: mediapipe-33, persons, or mediapipe-hand-21, hands; by default what there is, persons before hands.
        coordinates: world, image, or auto: world if there are any.
        fps: Frame rate, where there are no times.
        persons: Persons (or hands) kept at most.
        score: A landmark whose visibility is this or less is missing.

    Returns:
        The recording.

    Raises:
        InputError: Nobody is seen, or an option is invalid.
    """
    if layout not in (None, POSE, HAND) or coordinates not in ("auto", "world", "image"):
        raise InputError(f"mediapipe: choose layout {POSE} or {HAND}, and coordinates auto, world or image")
    frames = mediapipe_frames(results, timestamps_ms)
    options = PoseOptions(persons, score, fps)
    try:
        parser = fitting_parser(layout, coordinates, lambda parser: recording_of(parser.frames(frames, fps), options))
        return recording_of(parser.frames(frames, fps), options)
    except BadFile as error:
        raise InputError(f"mediapipe: {error}") from None


def _frame(result: Any, number: int) -> dict[str, Any]:
    if isinstance(result, Mapping):
        return dict(result)
    frame = {name: _bodies(getattr(result, name)) for name in _BODIES if hasattr(result, name)}
    if not frame:
        raise InputError(
            f"mediapipe: result {number} is {type(result).__name__} without a field such as pose_landmarks or "
            "hand_landmarks; give what the landmarker returned for each frame"
        )
    return frame | {name: _categories(getattr(result, name)) for name in _HANDEDNESS if hasattr(result, name)}


def _bodies(value: Any) -> Any:
    """Landmarks of one body or of several: a message with a field `landmark`, or lists."""
    if value is None:
        return None
    if hasattr(value, "landmark"):
        return [_landmark(each) for each in value.landmark]
    return [_landmark(each) if hasattr(each, "x") else _bodies(each) for each in value]


def _landmark(value: Any) -> dict[str, float]:
    found = {axis: float(getattr(value, axis)) for axis in _AXES if getattr(value, axis, None) is not None}
    # A field of a message that was not set reads as 0.
    is_set = value.HasField if hasattr(value, "HasField") else lambda name: getattr(value, name, None) is not None
    return found | {name: float(getattr(value, name)) for name in _SURE if is_set(name)}


def _categories(value: Any) -> list[str | None] | None:
    """For each hand the name of its likeliest category."""
    if value is None:
        return None
    hands = [getattr(hand, "classification", hand) for hand in value]
    return [
        getattr(hand[0], "category_name", None) or getattr(hand[0], "label", None) if hand else None for hand in hands
    ]
