"""Named splits: which clips train and which test, stated as values of the index's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

# A part is what a clip's columns must be, all at once: {"subject": (1, 3, 5, 7), "label": (0, 1)}.
Part = Mapping[str, Sequence[Any]]
# A split is its named parts: {"train": ..., "test": ...}.
Split = Mapping[str, Part]


def select_part(part: Part, columns: Mapping[str, np.ndarray]) -> Int64[np.ndarray, " clips"]:
    """Indices, ascending, of the clips whose columns hold the part's values.

    >>> select_part({"subject": (1, 3)}, {"subject": np.array([1, 2, 3, 1])})
    array([0, 2, 3])
    """
    size = len(next(iter(columns.values())))
    keep = np.ones(size, dtype=bool)
    for column, values in part.items():
        wanted = set(values)
        keep &= np.fromiter((value in wanted for value in columns[column].tolist()), dtype=bool, count=size)
    return np.flatnonzero(keep)


def by_column(column: str, train: Sequence[Any], test: Sequence[Any]) -> Split:
    """A split by one column: cross-subject, cross-view, cross-setup."""
    return {"train": {column: tuple(train)}, "test": {column: tuple(test)}}
