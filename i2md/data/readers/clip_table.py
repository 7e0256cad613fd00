"""What is known of a user's own clips: label, split and subject, from labels.csv or from the folders.

- `labels.csv` in the same folder, with the columns `name` and, if known, `label`, `split` and `subject`; a name is
  the clip's path in the folder, with or without the suffix of its file;
- or else folders: the innermost folder is the class, if there are several, and a folder named train, val or test is
  the part of the split `given`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from i2md.data.readers.files import find_files
from i2md.data.readers.labels_csv import Labelled, read_labels_csv
from i2md.data.readers.name_tables import compare_names, shown
from i2md.data.recording import UNKNOWN
from i2md.data.splits import Split, part_name

_TABLE = re.compile(r"labels\.csv", re.IGNORECASE)
_PARTS = ("train", "val", "test")
_WHOLE_PATH = 1000
"""As `unique_parts` of find_files: files of the same name in two folders are two clips."""


@dataclass(frozen=True)
class ClipTable:
    """What is known of clips, by their names."""

    rows: Mapping[str, Labelled]
    class_names: tuple[str, ...] = ()
    """The classes of the clips: numbers in ascending order, then other labels in alphabetical order."""
    splits: Mapping[str, Split] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What of labels.csv matches no clip or is not read, counted."""

    def label(self, name: str) -> int:
        """The label of a clip; UNKNOWN if it has none."""
        row = self.rows.get(name)
        return self.class_names.index(row.label) if row is not None and row.label else UNKNOWN

    def subject(self, name: str) -> int:
        """The subject of a clip, or UNKNOWN."""
        return self.rows.get(name, Labelled()).subject

    def part(self, names: Collection[str]) -> ClipTable:
        """The same for some of the clips, as a worker needs it."""
        return replace(self, rows={name: self.rows[name] for name in names if name in self.rows})


def clip_table(path: Path, names: Collection[str]) -> ClipTable:
    """Find what is known of the clips of a folder or .zip.

    Args:
        path: The folder or .zip.
        names: Names of the clips: their paths in it, with slashes, without suffix.

    Returns:
        What labels.csv says of them, or else their folders.

    Raises:
        InputError: If there are two labels.csv, or it is invalid or names none of the clips.
    """
    tables = find_files(path, _TABLE, "labels.csv", unique_parts=_WHOLE_PATH, required=False)
    known, unread = read_labels_csv(path, tables, names) if tables else (_from_folders(names), {})
    rows = {name: known[name] for name in names if name in known}
    return ClipTable(
        rows=rows,
        class_names=ordered_labels({row.label for row in rows.values()} - {""}),
        splits=_splits(rows),
        left_out={
            **(compare_names(path, "labels.csv", known, names, "label") if tables else {}),
            **_in_no_part(rows),
            **unread,
        },
    )


def _in_no_part(rows: Mapping[str, Labelled]) -> dict[str, int]:
    """Count the clips without a part, where others have one."""
    without = [name for name, row in rows.items() if not row.split]
    if not without or len(without) == len(rows):
        return {}
    return {f"clips in no part of the split, such as {shown(without[0])}": len(without)}


def _from_folders(names: Collection[str]) -> dict[str, Labelled]:
    """Class and part by the folders of the clips, relative to the one given."""
    folders = {name: PurePosixPath(name).parts[:-1] for name in names}
    classes = {name: parts[-1] for name, parts in folders.items() if parts and not part_name(parts[-1])}
    several = len(set(classes.values())) > 1
    return {
        name: Labelled(classes.get(name, "") if several else "", next(filter(None, map(part_name, parts)), ""))
        for name, parts in folders.items()
    }


def ordered_labels(labels: Collection[str]) -> tuple[str, ...]:
    """Order class names.

    Args:
        labels: Different names.

    Returns:
        Numbers in ascending order, then other labels in alphabetical order.

    Example:
        >>> ordered_labels({"10", "9", "wave"})
        ('9', '10', 'wave')
    """
    # Numbers compare by the length of their digits first: a label of thousands of digits is no number for Python.
    return tuple(
        sorted(labels, key=lambda label: (0, len(label.lstrip("0")), label) if label.isdecimal() else (1, 0, label))
    )


def _splits(known: Mapping[str, Labelled]) -> dict[str, Split]:
    parts: dict[str, list[str]] = {}
    for name, row in known.items():
        if row.split:
            parts.setdefault(row.split, []).append(name)
    # The part to train on first, as in the splits of other readers.
    order = sorted(parts, key=lambda part: (_PARTS.index(part) if part in _PARTS else len(_PARTS), part))
    return {"given": {part: {"name": tuple(parts[part])} for part in order}} if parts else {}
