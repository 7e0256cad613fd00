"""Choose clips by a condition on their columns, written as in SQL: `subject != 3 and class = 'wave'`.

SQLite, which comes with Python, evaluates it on a table in memory; it can neither write nor read anything else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS, RECORDING
from i2md.errors import InputError, shortened, suggestion

_HIDDEN = ("start",)
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
# Steps of SQLite's machine between two checks, and checks until a condition is given up: about a minute.
_STEPS, _MOST_CHECKS = 1_000_000, 5_000


def clip_table(clips: Clips) -> dict[str, list[Any]]:
    """The columns that a condition may name, with a value for each clip.

    Args:
        clips: Opened clips.

    Returns:
        Those of clips.parquet, and `class`, the name of the label (None without one), `seconds`, and of windows the
        name of their `recording`.
    """
    columns, names = clips.columns, clips.dataset.class_names
    table = {name: values.tolist() for name, values in columns.items() if name not in (*_HIDDEN, RECORDING)}
    fps = np.where(columns["fps"] > 0, columns["fps"], ASSUMED_FPS)
    labels = columns["label"].tolist()
    table["class"] = [None if n < 0 else names[n] if n < len(names) else str(n) for n in labels]
    table["seconds"] = (columns["frames"] / fps).tolist()
    if RECORDING in columns:
        table["recording"] = clips.recordings.columns["name"][columns[RECORDING]].tolist()
    return table


def clips_where(
    clips: Clips, condition: str, added: Mapping[str, np.ndarray] | None = None
) -> Int64[np.ndarray, " chosen"]:
    """The clips for which a condition holds.

    Args:
        clips: Opened clips.
        condition: A condition of SQL on the columns of `clip_table`.
        added: Columns that the condition may name besides, with a value for each clip.

    Returns:
        Ascending indices.

    Raises:
        InputError: The condition is not valid, or names a column that there is not.
    """
    table = {**clip_table(clips), **{name: values.tolist() for name, values in (added or {}).items()}}
    connection = sqlite3.connect(":memory:")
    try:
        _fill(connection, table)
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        checks = iter(range(_MOST_CHECKS))
        connection.set_progress_handler(lambda: next(checks, None) is None, _STEPS)
        # The line break ends a comment that the condition may end with.
        rows = connection.execute(f"select number from clips where ({condition}\n) order by number").fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        raise InputError(f"where {condition[:80]!r}: {_explained(error, table)}") from None
    finally:
        connection.close()
    return np.array([number for (number,) in rows], dtype=np.int64)


def _fill(connection: sqlite3.Connection, table: Mapping[str, list[Any]]) -> None:
    names = ", ".join(f'"{name}"' for name in table)
    connection.execute(f"create table clips (number integer primary key, {names})")
    marks = ", ".join("?" * (len(table) + 1))
    count = len(table["name"])
    connection.executemany(f"insert into clips values ({marks})", zip(range(count), *table.values(), strict=True))


def _explained(error: Exception, table: Mapping[str, list[Any]]) -> str:
    text = shortened(error)
    if text.startswith("no such column: "):
        return f"{text}; {suggestion(text.removeprefix('no such column: '), table)}"
    columns = ", ".join(table)
    return f"{text}; write a condition such as \"subject != 3 and class = 'wave'\" on the columns {columns}"
