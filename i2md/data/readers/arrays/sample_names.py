"""Names and labels of clips in arrays of other programs: columns by names of NTU RGB+D, class names and indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.data.readers.files import BadFile
from i2md.data.readers.name_tables import shown
from i2md.data.readers.ntu_rgbd_splits import NAME, class_names
from i2md.data.recording import UNKNOWN

MOST_CLASSES = 100_000


def columns_of_name(name: str) -> dict[str, Any]:
    """Read setup, camera, subject and trial from a name of NTU RGB+D.

    Args:
        name: Name of a clip.

    Returns:
        These and the frame rate, by column; nothing if it is not a name of NTU RGB+D.

    Example:
        >>> columns_of_name("S001C002P003R002A060")
        {'setup': 1, 'camera': 2, 'subject': 3, 'trial': 2, 'fps': 30.0}
    """
    match = NAME.fullmatch(name)
    if match is None:
        return {}
    columns: dict[str, Any] = {key: int(number) for key, number in match.groupdict().items()}
    del columns["action"]
    return columns | {"fps": 30.0}


def classes_of(names: Sequence[str], labels: Sequence[int]) -> tuple[str, ...]:
    """Find the class names of clips that have label numbers only.

    Args:
        names: Names of the clips.
        labels: Their labels.

    Returns:
        The class names of NTU RGB+D if every clip's name has the action of its label, else numbers.

    Example:
        >>> classes_of(["S001C002P003R002A002"], [1])[:2], classes_of(["walk"], [1])
        (('drink water', 'eat meal/snack'), ('0', '1'))
    """
    highest = max(labels, default=UNKNOWN)
    matches = [NAME.fullmatch(name) for name in names]
    if names and all(m and int(m["action"]) == label + 1 for m, label in zip(matches, labels, strict=True)):
        return class_names()[: 60 if highest < 60 else 120]
    return tuple(str(label) for label in range(highest + 1))


def class_index(value: Any) -> int:
    """Convert a label to a class index.

    Args:
        value: A whole number from 0, possibly stored as a float; -1 or None if unknown.

    Returns:
        The class index, UNKNOWN if unknown.

    Raises:
        BadFile: If it is anything else.
    """
    if value is None:
        return UNKNOWN
    number = value.item() if isinstance(value, np.generic) else value
    # Types come first: the text of a nested container or of a number of a million digits could take for ever.
    if isinstance(number, bool) or not isinstance(number, int | float):
        text = f"'{shown(number)}'" if isinstance(number, str) else f"of type {type(number).__name__}"
        raise BadFile(f"label {text} is not a class counted from 0")
    if not UNKNOWN <= number < MOST_CLASSES:
        text = str(number) if isinstance(number, float) or abs(number) < 1 << 63 else "of more than 64 bits"
        raise BadFile(f"label {text} is not a class counted from 0")
    if number != int(number):
        raise BadFile(f"label {number} is not a whole number")
    return int(number)


def one_hot_classes(values: np.ndarray) -> Int64[np.ndarray, " clips"] | None:
    """Convert labels to class indices.

    Args:
        values: One-hot rows (clips, classes), or class indices (clips,).

    Returns:
        Class indices from 0; None if the values are neither.
    """
    if values.ndim == 2 and values.dtype.kind in "biuf":
        hot = values > 0
        return hot.argmax(axis=1).astype(np.int64) if (hot.sum(axis=1) == 1).all() else None
    if values.ndim == 1 and values.dtype.kind in "iu" and (values >= 0).all() and (values < MOST_CLASSES).all():
        return values.astype(np.int64)
    return None
