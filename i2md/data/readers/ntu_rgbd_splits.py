"""Sample names of NTU RGB+D (SsssCcccPpppRrrrAaaa): their numbers, class names, missing samples and the splits.

The 535 missing samples are the publisher's list of samples with incomplete skeletons
(https://github.com/shahroudy/NTURGB-D). Splits: cross-subject and cross-view of NTU RGB+D 60 (Shahroudy et al., CVPR
2016), cross-subject and cross-setup of NTU RGB+D 120 (Liu et al., TPAMI 2020).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Int64

from i2md.data.splits import Split

NAME = re.compile(r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R(?P<trial>\d{3})A(?P<action>\d{3})")
# Training subjects of NTU RGB+D 60, and those that NTU RGB+D 120 adds.
_TRAIN_60 = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
_ADDED_120 = """45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78 80
81 82 83 84 85 86 89 91 92 93 94 95 97 98 100 103"""
_TRAIN_120 = _TRAIN_60 + tuple(int(subject) for subject in _ADDED_120.split())
_LABELS_60 = tuple(range(60))
# Two persons act in A50 to A60 and A106 to A120.
TWO_PERSON_LABELS = frozenset((*range(49, 60), *range(105, 120)))
_SETUPS_60 = 17


@cache
def class_names() -> tuple[str, ...]:
    """The names of the 120 actions, A1 first; the first 60 are those of NTU RGB+D 60."""
    return tuple(_lines("ntu_rgbd_classes.txt"))


@cache
def missing_names() -> frozenset[str]:
    """The names of the 535 samples on the publisher's list of incomplete ones, of which 302 are of NTU RGB+D 60."""
    return frozenset(_lines("ntu_rgbd_missing.txt"))


def columns_of(names: Sequence[str]) -> dict[str, Int64[np.ndarray, " clips"]]:
    """Read the numbers in sample names.

    Args:
        names: Names of the form SsssCcccPpppRrrrAaaa.

    Returns:
        The columns `setup`, `camera`, `subject`, `trial` and `label` (the action, counted from 0).

    Raises:
        ValueError: If a name is not of that form.

    Example:
        >>> columns_of(["S001C002P003R002A060"])["label"]
        array([59])
    """
    matches = [NAME.fullmatch(name) for name in names]
    rows = [[int(number) for number in match.groups()] for match in matches if match]
    if len(rows) < len(matches):
        raise ValueError(f"{names[matches.index(None)]} is not a name of the form SsssCcccPpppRrrrAaaa")
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    columns = dict(zip(("setup", "camera", "subject", "trial", "label"), table.T.copy(), strict=True))
    columns["label"] -= 1
    return columns


def has_120(columns: Mapping[str, np.ndarray]) -> bool:
    """Check whether any clip is of the part that NTU RGB+D 120 adds.

    Args:
        columns: Columns of the clips, as `columns_of` returns them.

    Returns:
        Whether there is a setup from 18 or an action from A61.
    """
    return bool((columns["setup"] > _SETUPS_60).any() or (columns["label"] >= len(_LABELS_60)).any())


def splits_for(columns: Mapping[str, np.ndarray]) -> dict[str, Split]:
    """Build the published splits.

    Args:
        columns: Columns of the clips, as `columns_of` returns them.

    Returns:
        `xsub` and `xview` of NTU RGB+D 60, restricted to its 60 actions; and, if clips of NTU RGB+D 120 are present,
        `xsub120` and `xset120`.
    """
    splits_60: dict[str, Split] = {
        "xsub": {
            "train": {"subject": _TRAIN_60, "label": _LABELS_60},
            "test": {"subject": _others(_TRAIN_60, 40), "label": _LABELS_60},
        },
        "xview": {
            "train": {"camera": (2, 3), "label": _LABELS_60},
            "test": {"camera": (1,), "label": _LABELS_60},
        },
    }
    if not has_120(columns):
        return splits_60
    return splits_60 | {
        "xsub120": {"train": {"subject": _TRAIN_120}, "test": {"subject": _others(_TRAIN_120, 106)}},
        "xset120": {"train": {"setup": tuple(range(2, 33, 2))}, "test": {"setup": tuple(range(1, 33, 2))}},
    }


def _others(subjects: Sequence[int], last: int) -> tuple[int, ...]:
    return tuple(subject for subject in range(1, last + 1) if subject not in subjects)


def _lines(name: str) -> list[str]:
    return (files(__package__) / "data" / name).read_text(encoding="utf-8").splitlines()
