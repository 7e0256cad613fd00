"""Tables that name clips (labels, splits): what does not match the clips is counted and named, never ignored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from i2md.errors import InputError

_SHOWN = 60


def compare_names(
    path: Path, table: str, listed: Iterable[str], present: Iterable[str], missing: str = "", what: str = "file"
) -> dict[str, int]:
    """Count the names of a table that no clip has, and the clips that the table does not name.

    Args:
        path: The folder or file that is read, for the message.
        table: Name of the table, such as labels.csv.
        listed: Names in the table.
        present: Names of the clips or recordings.
        missing: What a clip lacks that the table does not name, such as "label"; empty if such clips are not counted.
        what: What the table's names are names of.

    Returns:
        Counts for `Source.left_out`, each with one name; none if everything matches.

    Raises:
        InputError: If the table has names and none of them matches.

    Example:
        >>> compare_names(Path("clips"), "labels.csv", ["a", "b"], ["a", "c"], "label")
        {'in labels.csv without a file, such as b': 1, 'label of files that labels.csv does not name, such as c': 1}
    """
    listed, present = dict.fromkeys(listed), dict.fromkeys(present)
    absent = [name for name in listed if name not in present]
    unnamed = [name for name in present if name not in listed]
    if listed and present and len(absent) == len(listed):
        raise InputError(
            f"{path}: none of the {len(listed)} names in {table} is that of a {what}: it names {shown(absent[0])}, "
            f"the {what}s here are named like {shown(unnamed[0])}; make the names in {table} the same"
        )
    counts = {f"in {table} without a {what}, such as {shown(absent[0])}": len(absent)} if absent else {}
    if missing and listed and unnamed:
        counts[f"{missing} of {what}s that {table} does not name, such as {shown(unnamed[0])}"] = len(unnamed)
    return counts


def unread_columns(table: str, columns: Iterable[str], known: Sequence[str], what: str = "columns") -> dict[str, int]:
    """Count the columns of a table, or the keys of a file, that no reader asks for.

    Args:
        table: Name of the table or file, for the message.
        columns: Names of its columns.
        known: Names of those that are read.
        what: What the table has.

    Returns:
        A count for `Source.left_out`, with the name of one; none if all are read.

    Example:
        >>> unread_columns("labels.csv", ["name", "class"], ["name", "label"])
        {'columns of labels.csv other than name and label, such as class': 1}
    """
    others = [column for column in columns if column not in known]
    listed = " and ".join(filter(None, [", ".join(known[:-1]), known[-1]]))
    return {f"{what} of {table} other than {listed}, such as {shown(others[0])}": len(others)} if others else {}


def shown(name: str) -> str:
    """Shorten a name for a message, on one line.

    Args:
        name: Any text.

    Returns:
        At most 60 printable characters of it.

    Example:
        >>> shown("walk" * 100)
        'walkwalkwalkwalkwalkwalkwalkw...walkwalkwalkwalkwalkwalkwalk'
    """
    text = name if name.isprintable() else ascii(name[:200])[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:29]}...{text[-28:]}"
