"""Checks of the files of a folder of clips: every index is compared with the frames and the classes that there are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from i2md.data.dataset import Dataset


def check_index(columns: Mapping[str, np.ndarray], rows: int, dataset: Dataset) -> None:
    """Check that every clip of an index lies within the frames and has a class that exists.

    Args:
        columns: The columns of clips.parquet.
        rows: The number of rows of frames.npy.
        dataset: The description, with the names of the classes.

    Raises:
        ValueError: An entry is out of range; the message names the first such clip.
    """
    for name in ("frames", "persons"):
        _require(columns, (columns[name] < 1) | (columns[name] > rows), name, f"1 to {rows}")
    start, size = columns["start"], columns["frames"] * columns["persons"]
    _require(columns, (start < 0) | (start > rows), "start", f"0 to {rows}")
    # Of numbers up to the number of rows a product may still be too large; as a float it does not wrap around.
    _require(
        columns, start.astype(float) + columns["frames"].astype(float) * columns["persons"] > rows, "frames", "the file"
    )
    if int(size.sum()) != rows:
        raise ValueError(f"the clips have {int(size.sum())} rows, but frames.npy has {rows}: it does not fit the index")
    _check_labels(columns, columns["label"], dataset)


def check_intervals(intervals: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], dataset: Dataset) -> None:
    """Check that every interval lies within its recording and has a class that exists.

    Args:
        intervals: The columns of intervals.parquet.
        columns: The columns of clips.parquet, which have passed `check_index`.
        dataset: The description, with the names of the classes.

    Raises:
        ValueError: An entry is out of range.
    """
    clip, count = intervals["clip"], len(columns["frames"])
    if ((clip < 0) | (clip >= count)).any():
        raise ValueError(f"an interval belongs to clip {_first(clip, (clip < 0) | (clip >= count))} of {count}")
    start, end, frames = intervals["start"], intervals["end"], columns["frames"][clip]
    wrong = (start < 0) | (end < start) | (end > frames)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"interval {row} has frames {start[row]} to {end[row]} of {frames[row]}")
    _check_labels({}, intervals["label"], dataset)


def _check_labels(columns: Mapping[str, np.ndarray], labels: np.ndarray, dataset: Dataset) -> None:
    # Without names of classes, labels count them: there are not more than clips, or the largest is a damaged one.
    classes = len(dataset.class_names) or max(len(labels), 1000)
    _require(columns, (labels < -1) | (labels >= classes), "label", f"-1 to {classes - 1}", labels)


def _require(
    columns: Mapping[str, np.ndarray], wrong: np.ndarray, name: str, allowed: str, values: np.ndarray | None = None
) -> None:
    if wrong.any():
        value = _first(columns[name] if values is None else values, wrong)
        fault = f"clip {int(wrong.argmax())} has {name} {value}, outside {allowed}"
        raise ValueError(fault if name == "label" else f"{fault}: frames.npy does not fit the index")


def _first(values: np.ndarray, wrong: np.ndarray) -> int:
    return int(values[int(wrong.argmax())])
