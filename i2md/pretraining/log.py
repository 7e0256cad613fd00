"""The log of a run: one line of log.jsonl an epoch, and the same numbers as TensorBoard scalars."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2md.errors import name_file_in_errors
from i2md.pretraining.run import LOG
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
    """Writes log.jsonl and TensorBoard scalars.

    A run that was killed has logged epochs after its last checkpoint and repeats them: lines after `epochs_done` are
    removed when the log is opened.

    Args:
        run: Folder of the run.
        epochs_done: Epochs that the checkpoint holds.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        self._path = run / LOG
        kept = [line for line in read_log(run) if line["epoch"] <= epochs_done]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self.begun = {term for line in kept for term in line.get("begins", {})}
        """Terms of the loss that began in the epochs of the checkpoint."""
        self._scalars = TensorBoardScalars(run / "tensorboard", epochs_done)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append the numbers of an epoch."""
        with name_file_in_errors(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(dict(line)) + "\n")
        self._scalars.write(
            {name: value for name, value in line.items() if name not in ("epoch", *_NOT_NUMBERS)}, line["epoch"]
        )


class TensorBoardScalars:
    """A new event file; TensorBoard then ignores what older files of the folder hold after `last_step`.

    torch's SummaryWriter writes from a thread of its own, which prints a traceback when the disk is full, and takes a
    second to import. Here each write raises its own error.

    Args:
        folder: Folder of event files, made if necessary.
        last_step: Last step of the older files that still counts.
    """

    def __init__(self, folder: Path, last_step: int) -> None:
        # Imported here since they are slow to import, and reading a log does not need them.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        with name_file_in_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._append(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=last_step + 1, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Append named numbers of one step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _append(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with name_file_in_errors(self._path), open(self._path, "ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
