"""The log of a run: one line of log.jsonl an epoch, and the same numbers in experiment trackers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from i2md.errors import InputError, name_file_in_errors, shortened
from i2md.pretraining.run import LOG
from i2md.pretraining.trackers import TRACKERS, Tracker
from i2md.runtime.io import write_text
from i2md.runtime.plain_data import NotPlainData, parse_json

# What the names of diagnostics begin with.
DIAGNOSTICS = "diagnostics/"
# Entries of a line that hold no number.
_NOT_NUMBERS = ("begins", "left_out")


def read_log(run: Path, notes: list[str] | None = None) -> list[dict[str, Any]]:
    """Read a run's log: one entry per epoch, in order.

    Args:
        run: The run's folder; where it has no log there are no entries.
        notes: Lines that cannot be read, such as a last one that a kill cut short, are left out, and a sentence about
            them is appended here.

    Returns:
        Entries with "epoch", "step", "seconds", "clips_per_second", "learning_rate", "loss" (the total), one
        weighted loss each ("contrast/joint", "cmd/motion>joint", ...), the accuracies monitored ("knn/joint", ...),
        the diagnostics ("diagnostics/alignment/joint", ...) and "left_out", those that could not be measured and why,
        and "begins", the terms of the loss whose first step was in this epoch, with the number of steps before it.
        A resumed run may log an epoch again: the later line counts.
    """
    path = run / LOG
    by_epoch: dict[int, dict[str, Any]] = {}
    unreadable = 0
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line = parse_json(text)
        except NotPlainData:
            line = None
        if _is_entry(line):
            by_epoch[line["epoch"]] = line
        elif text.strip():
            unreadable += 1
    if unreadable and notes is not None:
        notes.append(f"{LOG}: {unreadable} unreadable line{'s' * (unreadable > 1)} left out.")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def _is_entry(line: Any) -> bool:
    """Whether a line is numbers by name, of an epoch, with steps by term and reasons by diagnostic."""
    if not isinstance(line, dict) or type(line.get("epoch")) is not int or line["epoch"] < 1:
        return False
    begins, left_out = (line.get(name, {}) for name in _NOT_NUMBERS)
    if not isinstance(begins, dict) or not isinstance(left_out, dict):
        return False
    numbers = [value for name, value in line.items() if name not in _NOT_NUMBERS]
    texts = all(isinstance(reason, str) for reason in left_out.values())
    return texts and all(_is_number(value) for value in (*numbers, *begins.values()))


def _is_number(value: Any) -> bool:
    if isinstance(value, float):  # NaN and infinity too: a loss that diverged is logged as it is.
        return True
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


class RunLog:
    """Writes log.jsonl, and the same numbers to trackers.

    A run that was killed has logged epochs after its last checkpoint and repeats them: lines after `epochs_done` are
    removed when the log is opened.

    Args:
        run: Folder of the run.
        epochs_done: Epochs that the checkpoint holds.
        trackers: Names of the trackers.
        config: The content of config.yaml, for the trackers.

    Raises:
        InputError: A tracker cannot begin.
    """

    def __init__(
        self, run: Path, epochs_done: int, trackers: Sequence[str] = (), config: Mapping[str, Any] | None = None
    ) -> None:
        self._path = run / LOG
        kept = [line for line in read_log(run) if line["epoch"] <= epochs_done]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self.begun = {term for line in kept for term in line.get("begins", {})}
        """Terms of the loss that began in the epochs of the checkpoint."""
        self._trackers: dict[str, Tracker] = {}
        for name in trackers:
            try:
                self._trackers[name] = TRACKERS[name](run, config or {}, epochs_done)
            except (InputError, OSError):
                raise
            except Exception as error:  # whatever the tracker's library raises without a server or an account
                raise InputError(
                    f"tracker {name} cannot begin: {shortened(str(error))}; see docs/pretrain.md, or leave it out of"
                    " --trackers"
                ) from error

    def write(self, line: Mapping[str, Any]) -> None:
        """Append the numbers of an epoch; a tracker that fails is left out from then on, with a warning."""
        with name_file_in_errors(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(line)) + "\n")
        scalars = {name: value for name, value in line.items() if name not in ("epoch", *_NOT_NUMBERS)}
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, partial(tracker.write, scalars, line["epoch"]))

    def close(self, finished: bool) -> None:
        """End the trackers' runs.

        Args:
            finished: Whether the run took its last step.
        """
        for name, tracker in list(self._trackers.items()):
            self._attempt(name, partial(tracker.close, finished))

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError:  # a full disk stops the run, which resumes later
            raise
        except Exception as error:  # a server that is gone must not cost a run of hours
            del self._trackers[name]
            print(
                f"i2md: warning: tracker {name} failed and is left out from here on, {LOG} has everything:"
                f" {shortened(str(error))}",
                file=sys.stderr,
            )
