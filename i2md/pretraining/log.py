"""What a run writes as it goes: a line of log.jsonl and TensorBoard scalars an epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2md.errors import naming
from i2md.pretraining.run import LOG
from i2md.runtime.io import write_text


class RunLog:
    """One JSON object an epoch, the same numbers to TensorBoard; lines after `epochs_done` are dropped first.

    A run that was killed has logged epochs that its saved state has not seen: it does them again.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        # tensorboard takes a while to import, and reading a log needs none of it.
        from i2md.pretraining.events import ScalarEvents

        self._path = run / LOG
        kept = [line for line in read_log(run) if line["epoch"] <= epochs_done]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._events = ScalarEvents(run / "tensorboard", epochs_done)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append an epoch's figures."""
        with naming(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(line)) + "\n")
        self._events.write({name: value for name, value in line.items() if name != "epoch"}, line["epoch"])


def read_log(run: Path, notes: list[str] | None = None) -> list[dict[str, Any]]:
    """Read a run's log: one entry per epoch, in order.

    Args:
        run: The run's folder; where it has no log there are no entries.
        notes: Lines that cannot be read, such as a last one that a kill cut short, are left out, and a sentence about
            them is appended here.

    Returns:
        Entries with "epoch" and what was logged of it. A resumed run may log an epoch again: the later line counts.
    """
    path = run / LOG
    by_epoch: dict[int, dict[str, Any]] = {}
    unreadable = 0
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("epoch"), int):
            by_epoch[line["epoch"]] = line
        elif text.strip():
            unreadable += 1
    if unreadable and notes is not None:
        notes.append(f"{LOG}: {unreadable} unreadable line{'s' * (unreadable > 1)} left out.")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
