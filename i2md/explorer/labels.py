"""Labels that a person gives, one action at a time: each is on the disk before the next, and can be undone.

`LABELS.csv` has the columns name, label and remark, as `i2md fit --labels` reads them, and the columns split and
subject where it had them. `LABELS.csv.journal`, beside it, holds every action; what was not written to the table when
the process was killed is written when the file is opened again.
"""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from i2md.data.readers.files import File
from i2md.data.readers.labels_csv import Labelled, read_labels_csv
from i2md.data.recording import UNKNOWN
from i2md.data.storage.journal import Journal
from i2md.errors import InputError
from i2md.runtime.io import check_target, write_text

SKIPPED, BAD = "skipped", "bad recording"
# What changed the labels, where it was no person here.
OF_FILE = "the file"
# A label longer than this is no name of a class.
MOST_LETTERS = 200


class Mark(NamedTuple):
    """What a person said of a clip."""

    label: str = ""
    remark: str = ""


class Action(NamedTuple):
    """One step that can be undone."""

    after: dict[str, Mark]
    before: dict[str, Mark]
    by: str


class LabelBook:
    """The labels of clips, with every action in a journal.

    Several threads may use it. While it is open, no other process can open it; another program may change the table,
    which `check` and every action notice: its changes become an action, which can be undone like any other.

    Args:
        path: The table, a .csv. It need not be there.
        names: Names of the clips. Lines of the table for other names are kept.

    Raises:
        InputError: The table cannot be read, has columns that would be lost, or another process has it open.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        if path.suffix.lower() != ".csv":
            raise InputError(f"{path}: labels are kept in a .csv file; name such a file")
        check_target(path, file=True)
        for name in names:
            if not _is_kept(name):
                raise InputError(
                    f"{path}: a table cannot hold the name {name[:60]!r} of a clip; prepare it anew without"
                )
        self.path = path
        self.problem = ""
        """Why the table cannot be read any more; while it cannot, it is not written."""
        self._names, self._lock = list(names), threading.RLock()
        self._done: list[Action] = []
        self._undone: list[Action] = []
        self._marks: dict[str, Mark] = {}
        table = self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(path.with_name(f"{path.name}.journal"), path)
        self._journal.drop_incomplete()
        before = dict(self._marks)
        try:
            for entry in self._journal:
                before = dict(self._marks)
                self._apply(entry)
        except (KeyError, TypeError, IndexError, AttributeError):
            self._journal.close()
            raise InputError(f"{path}.journal: is no journal of labels; move it away to begin with the table") from None
        if table is not None:
            # The process may have been killed between the journal and the table, which lacks the last action then.
            found = [_differences(of, table) for of in (self._marks, before)]
            self._change(min(found, key=len), OF_FILE)
        if self._marks or table is not None:
            self._write()

    @property
    def marks(self) -> dict[str, Mark]:
        """A copy of what is said of each clip; a clip of which nothing is said is not in it."""
        with self._lock:
            return dict(self._marks)

    @property
    def class_names(self) -> list[str]:
        """The labels that are given to any clip, in the order in which they came up."""
        with self._lock:
            return list(dict.fromkeys(mark.label for mark in self._marks.values() if mark.label))

    @property
    def can_undo(self) -> int:
        """Number of actions that can be undone."""
        return len(self._done)

    @property
    def can_redo(self) -> int:
        """Number of undone actions that can be done again."""
        return len(self._undone)

    def mark(self, clips: Iterable[str], label: str = "", remark: str = "", by: str = "") -> list[str]:
        """Give clips a label, or a remark instead of one; it is on the disk when this returns.

        Args:
            clips: Names of the clips.
            label: The class; empty for none.
            remark: Such as SKIPPED or BAD.
            by: Who says so.

        Returns:
            The clips of which something else was said before.

        Raises:
            InputError: The label is too long or not printable.
        """
        for text in (label, remark):
            if len(text) > MOST_LETTERS or not text.isprintable() or text != text.strip():
                raise InputError(f"{text[:40]!r} is no label; give up to {MOST_LETTERS} letters on one line")
        with self._lock:
            self.check()
            new = Mark(label, remark)
            changed = {name: new for name in clips if self._marks.get(name, Mark()) != new}
            return self._change(changed, by)

    def undo(self) -> list[str]:
        """Take back the last action; the clips whose labels changed."""
        return self._step("undo")

    def redo(self) -> list[str]:
        """Do the action again that was undone last; the clips whose labels changed."""
        return self._step("redo")

    def check(self) -> list[str]:
        """Look whether another program has changed the table, and take its changes over.

        Returns:
            The clips whose labels changed.
        """
        with self._lock:
            if self._signature() == self._seen:
                return []
            try:
                table = self._read()
            except InputError as error:
                self.problem = str(error)
                return []
            self.problem = ""
            changed = [] if table is None else self._change(_differences(self._marks, table), OF_FILE)
            if table is None or not changed:
                self._write()
            return changed

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def _step(self, kind: str) -> list[str]:
        with self._lock:
            self.check()
            stack = self._done if kind == "undo" else self._undone
            if not stack:
                return []
            names = list(stack[-1].after)
            self._append({kind: True})
            self._write()
            return names

    def _change(self, after: Mapping[str, Mark], by: str) -> list[str]:
        if after:
            time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            self._append({"do": {name: list(mark) for name, mark in after.items()}, "by": by, "time": time})
            self._write()
        return list(after)

    def _append(self, entry: dict[str, Any]) -> None:
        self._journal.append(entry)
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        """Change the labels as an entry of the journal says."""
        if "do" in entry:
            after = {name: Mark(*mark) for name, mark in entry["do"].items()}
            before = {name: self._marks.get(name, Mark()) for name in after}
            self._done.append(Action(after, before, entry["by"]))
            self._undone.clear()
            self._set(after)
        elif "undo" in entry:
            self._undone.append(self._done.pop())
            self._set(self._undone[-1].before)
        else:
            self._done.append(self._undone.pop())
            self._set(self._done[-1].after)

    def _set(self, marks: Mapping[str, Mark]) -> None:
        for name, mark in marks.items():
            if mark == Mark():
                self._marks.pop(name, None)
            else:
                self._marks[name] = mark

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _read(self) -> dict[str, Labelled] | None:
        """The lines of the table; None if there is none."""
        self._seen = self._signature()
        self._rows: dict[str, Labelled] = getattr(self, "_rows", {})
        if self._seen is None:
            return None
        if not self._seen[1]:
            return {}
        table, unread = read_labels_csv(self.path.parent, [File(self.path.parent, self.path.name)], self._names)
        for reason in unread:
            raise InputError(f"{self.path}: {reason}, would be lost; name another file, or remove the column")
        self._rows = table
        return table

    def _write(self) -> None:
        if self.problem:
            return
        write_text(self.path, "".join(_lines(self._marks, self._rows)))
        self._seen = self._signature()


def _is_kept(name: str) -> bool:
    """Whether the name of a clip reads from a table as it was written."""
    plain = str(PurePosixPath(name)) == name == name.strip() and "\\" not in name
    return plain and name.isprintable()


def _differences(marks: Mapping[str, Mark], table: Mapping[str, Labelled]) -> dict[str, Mark]:
    """What a table says of clips, where that is something else."""
    said = {name: Mark(row.label, row.remark) for name, row in table.items()}
    names = dict.fromkeys((*said, *marks))
    return {name: said.get(name, Mark()) for name in names if said.get(name, Mark()) != marks.get(name, Mark())}


def _lines(marks: Mapping[str, Mark], rows: Mapping[str, Labelled]) -> Iterator[str]:
    """The table: its own lines first, in their order, then those of clips that it did not have."""
    columns = ["name", "label", "remark"]
    for name in ("split", "subject"):
        columns += [name] if any(getattr(row, name) not in ("", UNKNOWN) for row in rows.values()) else []
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    for name in dict.fromkeys((*rows, *marks)):
        row, mark = rows.get(name, Labelled()), marks.get(name, Mark())
        subject = "" if row.subject == UNKNOWN else row.subject
        table.writerow({"name": name, **mark._asdict(), "split": row.split, "subject": subject})
    yield text.getvalue()
