"""What happened to the recordings of a source: counted, and those left out by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from i2md.data.outcomes import Left, Outcome

# dataset.json lists as many; left_out.txt lists all.
LISTED = 1000
_KINDS = 100
# What differs between two files that have the same thing wrong with them.
_OF_ONE_FILE = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")


@dataclass
class Report:
    """Counts of what was mended and left out, how many recordings there were, and who was left out and why."""

    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, found: Iterable[Outcome]) -> None:
        """Take note of what became of recordings."""
        for outcome in found:
            self.seen += 1
            if isinstance(outcome, Left):
                self._leave_out(outcome)
            else:
                self.counts["frames_cut"] += outcome.frames_cut
                self.counts["frames_filled"] += outcome.frames_filled
                self.counts["people_absent"] += outcome.people_absent

    def _leave_out(self, left: Left) -> None:
        text = left.reason if left.source in left.reason else f"{left.source}: {left.reason}"
        self.counts["left_out"] += 1
        self.left_out.append(text.encode("utf-8", "backslashreplace").decode())
        self.reasons[kind_of(left.reason)] += 1

    def to_note(self) -> dict[str, Any]:
        """As plain data."""
        return {"seen": self.seen, "counts": self.counts, "left_out": self.left_out, "reasons": self.reasons}

    def add_note(self, note: dict[str, Any]) -> None:
        """Add what another report's `to_note` told, of later recordings; lists of reasons and names have an end."""
        self.seen += note["seen"]
        self.counts.update(note["counts"])
        self.left_out += note["left_out"][: LISTED - len(self.left_out)]
        for kind, times in note["reasons"].items():
            self.reasons[kind if kind in self.reasons or len(self.reasons) < _KINDS else "other"] += times

    def to_dict(self) -> dict[str, Any]:
        """As kept in dataset.json."""
        by_reason = {"left_out_reasons": dict(self.reasons.most_common())} if self.reasons else {}
        return {**self.counts, **by_reason, "left_out_files": self.left_out}


def kind_of(reason: str) -> str:
    """What a reason has in common with the same reason elsewhere.

    >>> kind_of("S001C001P001R001A001.skeleton: line 6: 13 fields, not 12")
    'line _ _ fields, not _'
    """
    return _OF_ONE_FILE.sub("_", reason.split(": ", 1)[-1])
