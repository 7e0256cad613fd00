"""What clips in other programs' files tell by name and number alone: NTU RGB+D's facts, class indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.data.readers.files import BadFile
from i2md.data.readers.ntu_rgbd_splits import NAME, class_names
from i2md.data.recording import UNKNOWN

_MOST_CLASSES = 100_000


def facts_of(name: str) -> dict[str, Any]:
    """Subject, camera, setup, trial and rate where the clip bears a name of NTU RGB+D; nothing otherwise.

    >>> facts_of("S001C002P003R002A060")
    {'setup': 1, 'camera': 2, 'subject': 3, 'trial': 2, 'fps': 30.0}
    """
    match = NAME.fullmatch(name)
    if match is None:
        return {}
    facts: dict[str, Any] = {key: int(number) for key, number in match.groupdict().items()}
    del facts["action"]
    return facts | {"fps": 30.0}


def classes_of(names: Sequence[str], labels: Sequence[int]) -> tuple[str, ...]:
    """The names of the classes that labels count: NTU RGB+D's where each clip's name says so, else numbers.

    >>> classes_of(["S001C002P003R002A002"], [1])[:2], classes_of(["walk"], [1])
    (('drink water', 'eat meal/snack'), ('0', '1'))
    """
    highest = max(labels, default=UNKNOWN)
    matches = [NAME.fullmatch(name) for name in names]
    if names and all(m and int(m["action"]) == label + 1 for m, label in zip(matches, labels, strict=True)):
        return class_names()[: 60 if highest < 60 else 120]
    return tuple(str(label) for label in range(highest + 1))


def class_index(value: Any) -> int:
    """A label as a class index from 0, -1 where it is None; whole numbers are often kept as floats."""
    if value is None:
        return UNKNOWN
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not UNKNOWN <= number < _MOST_CLASSES:
        raise BadFile(f"label {ascii(number)[:40]} is not a class counted from 0")
    if number != int(number):
        raise BadFile(f"label {number} is not a whole number")
    return int(number)


def one_hot_classes(values: np.ndarray) -> Int64[np.ndarray, " clips"] | None:
    """Class indices from one-hot rows (clips, classes), or from indices as they are; None where they are neither."""
    if values.ndim == 2 and values.dtype.kind in "biuf":
        hot = values > 0
        return hot.argmax(axis=1).astype(np.int64) if (hot.sum(axis=1) == 1).all() else None
    if values.ndim == 1 and values.dtype.kind in "iu" and (values >= 0).all() and (values < _MOST_CLASSES).all():
        return values.astype(np.int64)
    return None
