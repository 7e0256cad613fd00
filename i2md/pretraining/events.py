"""Scalars for TensorBoard, written at once and by nobody else: a full disk is told where it can be handled.

torch's SummaryWriter writes from a thread of its own, which prints a traceback when the disk refuses, and
takes a second to import.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from i2md.errors import naming


class ScalarEvents:
    """A new event file in `folder`; what older files there hold of steps after `last_step` no longer counts."""

    def __init__(self, folder: Path, last_step: int) -> None:
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._append(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=last_step + 1, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Append named numbers of one step."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def _append(self, *events: Event) -> None:
        with naming(self._path), open(self._path, "ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())
