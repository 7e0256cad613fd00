"""Named splits into training and test clips, defined by values of the index's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

# The values that a clip's columns must have to be in a part, all of them: {"subject": (1, 3), "label": (0, 1)}.
Part = Mapping[str, Sequence[Any]]
# A split is its named parts: {"train": ..., "test": ...}.
Split = Mapping[str, Part]
_TRAINING = re.compile(r"^train|train(ing)?$", re.IGNORECASE)
# What the parts of a split are called, in folders and tables of names.
_PART_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_PART_NAMES |= dict.fromkeys(("val", "valid", "validation"), "val")
PART_NAMES = tuple(_PART_NAMES)


def select_part(part: Part, columns: Mapping[str, np.ndarray]) -> Int64[np.ndarray, " clips"]:
    """Select the clips of a part.

    Args:
        part: Allowed values by column.
        columns: The index, an array of one value per clip for each column.

    Returns:
        Ascending indices of the clips.

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
    """A split by one column: cross-subject, cross-view, cross-setup.

    Args:
        column: Name of the column.
        train: Its values in training clips.
        test: Its values in test clips.

    >>> by_column("subject", train=[1, 3], test=[2])
    {'train': {'subject': (1, 3)}, 'test': {'subject': (2,)}}
    """
    return {"train": {column: tuple(train)}, "test": {column: tuple(test)}}


def part_name(text: str) -> str | None:
    """The part of a split that a folder or a table calls so.

    Args:
        text: A name, in capitals or not.

    Returns:
        train, val or test; None if it is none of them.

    >>> part_name("Training"), part_name("valid"), part_name("walk")
    ('train', 'val', None)
    """
    return _PART_NAMES.get(text.lower())


def training_part(split: Split) -> str:
    """The name of the part to train on, whatever the order of the parts.

    Args:
        split: Parts by name, at least one.

    Returns:
        The part named train; else one whose name begins or ends so, such as training; else the first.

    >>> training_part({"test": {}, "train": {}})
    'train'
    """
    by_likeness = sorted(split, key=lambda name: (name.lower() != "train", not _TRAINING.search(name)))
    return by_likeness[0]
