"""Windows of long recordings: rows of the index over frames that are stored once.

A folder of clips with `windows` in its description is opened as its windows: pieces of one length, one after the other
at equal steps, the last one ending with its recording. Nothing is copied: a window is a first row, a number of frames,
and the number of rows from one person to the next. A window has the label of the interval that covers at least half of
it, where its recording has labelled intervals, and else that of the recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from i2md.data.recording import UNKNOWN
from i2md.errors import InputError

# Columns that windows have in addition: the number of their recording, their first frame in it, and the rows from one
# person to the next.
RECORDING, BEGIN, PERSON_STEP = "recording", "begin", "person_step"
# Frames a second of a recording that does not say how many it has.
ASSUMED_FPS = 30.0
# Seconds; a recording that is longer has a timeline on the page of `i2md view`, and should be divided.
LONG = 20.0
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, None: 1.0}
_LONGEST = 86_400.0

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Windows:
    """How recordings are divided.

    Attributes:
        length: Seconds of a window. A shorter recording is one window.
        stride: Seconds from the beginning of one to that of the next.

    Raises:
        InputError: A number is not above 0, or longer than a day.
    """

    length: float
    stride: float

    def __post_init__(self) -> None:
        for name, value in (("length", self.length), ("stride", self.stride)):
            if not isinstance(value, int | float) or not 0 < value <= _LONGEST:
                raise InputError(f"the {name} of windows must be above 0 seconds and at most a day, such as 2s")

    def __str__(self) -> str:
        return f"{self.length:g} s every {self.stride:g} s"


def parse_windows(length: str, stride: str | None) -> Windows:
    """Read the length and the stride of windows.

    Args:
        length: A duration: 2s, 500ms, 1min, or a number of seconds.
        stride: Another one; None for half of the length.

    Raises:
        InputError: One is not a duration.

    >>> parse_windows("2s", "500ms")
    Windows(length=2.0, stride=0.5)
    """
    seconds = _duration(length, "windows")
    return Windows(seconds, seconds / 2 if stride is None else _duration(stride, "stride"))


def windows_like(known: Windows | None, length: str | None, stride: str | None) -> Windows | None:
    """The windows that are asked for, and what is not said as known before.

    Args:
        known: Windows known before; None if there are none.
        length: A duration, if one is asked for.
        stride: Another one; by default the known one, or a tenth of the length.

    Returns:
        The windows; those known before if nothing is asked for.

    Raises:
        InputError: There is a stride without any length, or one is not a duration.

    >>> windows_like(None, "2s", None), windows_like(Windows(2.0, 0.5), None, "1s")
    (Windows(length=2.0, stride=0.2), Windows(length=2.0, stride=1.0))
    """
    if length is None and stride is None:
        return known
    if length is None and known is None:
        raise InputError("stride belongs to windows; give their length by --windows, such as 2s")
    seconds = known.length if length is None and known is not None else _duration(str(length), "windows")
    if stride is not None:
        return Windows(seconds, _duration(stride, "stride"))
    return Windows(seconds, known.stride if known is not None else seconds / 10)


def _duration(text: str, name: str) -> float:
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise InputError(f"{name} {str(text)[:40]!r} is not a duration; write seconds, such as 2s, 500ms or 1min")
    return float(match[1]) * _SECONDS[match[2]]


def window_columns(whole: Columns, intervals: Columns | None, windows: Windows) -> dict[str, np.ndarray]:
    """The index of the windows of recordings.

    Args:
        whole: The index of the recordings, an array for each column.
        intervals: Their labelled intervals, if there are any.
        windows: Length and stride.

    Returns:
        The same columns with a row for each window, and the columns RECORDING, BEGIN and PERSON_STEP. Windows are
        named as a slice of their recording: `walk[60:120]`.

    Example:
        >>> index = {"name": ["walk"], "start": [100], "frames": [75], "persons": [2], "label": [-1], "fps": [30.0]}
        >>> index = {name: np.array(values) for name, values in index.items()}
        >>> window_columns(index, None, Windows(1.0, 0.5))["name"].tolist()
        ['walk[0:30]', 'walk[15:45]', 'walk[30:60]', 'walk[45:75]']
    """
    frames = whole["frames"]
    rate = np.where(whole["fps"] > 0, whole["fps"], ASSUMED_FPS)
    length = np.minimum(np.maximum(np.round(windows.length * rate), 1), frames).astype(np.int64)
    stride = np.maximum(np.round(windows.stride * rate), 1).astype(np.int64)
    # Rounded up: the last window ends with its recording, however far that is from the one before.
    counts = 1 + -((length - frames) // stride)
    recording = np.repeat(np.arange(len(frames)), counts)
    place = np.arange(len(recording)) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.minimum(place * stride[recording], (frames - length)[recording])
    columns = {name: values[recording] for name, values in whole.items()}
    ends = begin + length[recording]
    columns["name"] = np.array(
        [
            f"{name}[{first}:{end}]"
            for name, first, end in zip(columns["name"].tolist(), begin.tolist(), ends.tolist(), strict=True)
        ],
        dtype=object,
    )
    columns |= {
        "start": columns["start"] + begin,
        "frames": length[recording],
        RECORDING: recording,
        BEGIN: begin,
        PERSON_STEP: frames[recording],
    }
    if intervals is not None and len(intervals["clip"]):
        columns["label"] = _labels(columns, intervals)
    return columns


def _labels(columns: Columns, intervals: Columns) -> Int64[np.ndarray, " windows"]:
    """The label of the interval that covers the most of each window, at least half of it; else none."""
    order = np.argsort(intervals["clip"], kind="stable")
    labelled = np.unique(intervals["clip"])
    bounds = np.searchsorted(intervals["clip"][order], [labelled, labelled + 1])
    labels = columns["label"].copy()
    for clip, low, high in zip(labelled.tolist(), *bounds.tolist(), strict=True):
        windows = np.arange(*np.searchsorted(columns[RECORDING], [clip, clip + 1]))
        rows = order[low:high]
        first, length = columns[BEGIN][windows], columns["frames"][windows]
        covered, found = np.zeros(len(windows), np.int64), np.full(len(windows), UNKNOWN)
        for start, end, label in zip(
            *(intervals[name][rows].tolist() for name in ("start", "end", "label")), strict=True
        ):
            common = np.minimum(first + length, end) - np.maximum(first, start)
            more = (common > covered) & (2 * common >= length)
            covered[more], found[more] = common[more], label
        labels[windows] = found
    return labels
