"""Numbers of joints in JSON, as pose estimators write them: checked, and as one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from i2md.data.readers.files import BadFile
from i2md.runtime.plain_data import NotPlainData, parse_json


def load_json(data: bytes) -> Any:
    """Parse JSON, or lines of JSON, each of which is an element of a list.

    Args:
        data: The bytes of a file.

    Returns:
        Plain data.

    Raises:
        BadFile: If it is neither.
    """
    try:
        return parse_json(data)
    except NotPlainData as error:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) > 1 and lines[0].lstrip()[:1] in (b"{", b"[") and lines[0].rstrip()[-1:] in (b"}", b"]"):
            try:
                return [parse_json(line) for line in lines]
            except NotPlainData as of_line:
                raise BadFile(f"lines of JSON of which one is wrong: {of_line}") from None
        raise BadFile(str(error)) from None


def number_array(values: Any, what: str, columns: Sequence[int]) -> Float64[np.ndarray, "joints columns"]:
    """Joints as an array: a list of lists, or one flat list.

    Args:
        values: Plain data.
        what: What it is called in messages.
        columns: How many numbers a joint may have; the first that fits a flat list is taken.

    Returns:
        A row for each joint.

    Raises:
        BadFile: If it is something else.
    """
    try:
        # A list of lists of different lengths, of texts or of numbers beyond float64.
        array = np.array(values, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise BadFile(f"{what} is not a list of numbers") from None
    if array.ndim == 1 and array.size:
        fitting = [size for size in columns if array.size % size == 0]
        if not fitting:
            raise BadFile(f"{what} has {array.size} numbers")
        array = array.reshape(-1, fitting[0])
    if array.ndim != 2 or not array.size or array.shape[1] not in columns:
        raise BadFile(f"{what} has shape {array.shape}, not (joints, {' or '.join(map(str, columns))})")
    return array


def whole_number(value: Any) -> int | None:
    """A number or text as a whole number; None if it is none.

    Args:
        value: Plain data.

    Example:
        >>> whole_number("7"), whole_number(7.0), whole_number("a")
        (7, 7, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        return None
    return int(value) if value == int(value) else None


def frame_numbers(frames: list[Any]) -> tuple[np.ndarray, float]:
    """Number frames by what they hold: `frame`, or a time such as `timestamp_ms`; else they are counted.

    Args:
        frames: What each frame holds.

    Returns:
        The number of each frame, and the frame rate by their times; 0 if unknown.
    """
    counted = np.arange(len(frames))
    if not all(isinstance(frame, Mapping) for frame in frames):
        return counted, 0.0
    by_name = [{str(key).lower().replace("_", ""): value for key, value in frame.items()} for frame in frames]
    times = _times(by_name)
    for key in ("frame", "frameindex", "frameid", "framenumber"):
        numbers = [whole_number(each.get(key)) for each in by_name]
        found = [number for number in numbers if number is not None]
        if len(found) == len(frames) and len(set(found)) == len(found):
            frame_numbers = np.array(found, dtype=np.int64)
            return frame_numbers, _rate(frame_numbers, times)
    if times is None:
        return counted, 0.0
    rate = _rate(counted, times)
    at = np.round((times - times[0]) * rate).astype(np.int64)
    return (at, rate) if rate and (np.diff(at) > 0).all() else (counted, rate)


def _times(frames: list[dict[str, Any]]) -> Float64[np.ndarray, " frames"] | None:
    for key, size in (
        ("timestampms", 1e-3),
        ("timems", 1e-3),
        ("timestampus", 1e-6),
        ("timestamp", 1.0),
        ("time", 1.0),
    ):
        values = [value for value in (frame.get(key) for frame in frames) if isinstance(value, int | float)]
        if len(values) == len(frames) and all(abs(value) < 1e15 for value in values):
            times = np.array(values, dtype=np.float64) * size
            if len(times) > 1 and (np.diff(times) > 0).all():
                # Video time in milliseconds without saying so: frames are not seconds apart.
                return times / 1000 if size == 1.0 and np.median(np.diff(times)) > 1 else times
    return None


def _rate(numbers: np.ndarray, times: Float64[np.ndarray, " frames"] | None) -> float:
    if times is None or len(times) < 2:
        return 0.0
    steps = np.diff(numbers) / np.diff(times)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0
