"""Experiment trackers: the numbers of each epoch in TensorBoard, Weights & Biases or MLflow, beside log.jsonl."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from i2md.errors import name_file_in_errors, require_extra
from i2md.runtime.io import write_text
from i2md.runtime.plain_data import NotPlainData, parse_json
from i2md.runtime.registry import Registry
from i2md.runtime.settings import flatten

# What each tracker calls the run, so that a resumed run continues there.
IDS = "trackers.json"
# Weights & Biases' project and MLflow's experiment, unless the variables of the environment name others.
PROJECT = "i2md"


class Tracker(Protocol):
    """Receives the numbers of each epoch; made when a run begins or resumes, in the first process alone."""

    def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
        """Begin, or continue where the run is known.

        Args:
            run: Folder of the run; its name is that of the run.
            config: The content of config.yaml.
            epochs_done: Epochs that the checkpoint holds: later ones, logged before a kill, are written again.
        """

    def write(self, scalars: Mapping[str, float], epoch: int) -> None:
        """Write the numbers of an epoch, by the names of log.jsonl."""

    def close(self, finished: bool) -> None:
        """End: the run is finished, or was interrupted."""


# Made by run, configuration and epochs done.
TRACKERS: Registry[type[Tracker]] = Registry(
    "tracker",
    "i2md.trackers",
    {
        "tensorboard": "i2md.pretraining.trackers:TensorBoardTracker",
        "wandb": "i2md.pretraining.trackers:WandbTracker",
        "mlflow": "i2md.pretraining.trackers:MLflowTracker",
    },
)


class TensorBoardTracker:
    """A new event file in RUN/tensorboard; TensorBoard ignores what older files there hold after `epochs_done`.

    torch's SummaryWriter writes from a thread of its own, which prints a traceback when the disk is full, and takes a
    second to import. Here each write raises its own error.

    Args:
        run: Folder of the run.
        config: Not written.
        epochs_done: Last epoch of the older files that still counts.
    """

    def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
        # Imported here since they are slow to import.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        folder = run / "tensorboard"
        with name_file_in_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._append(
            Event(wall_time=time.time(), file_version="brain.Event:2"),
            Event(wall_time=time.time(), step=epochs_done + 1, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, scalars: Mapping[str, float], epoch: int) -> None:
        """Append the numbers of an epoch."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(Event(wall_time=time.time(), step=epoch, summary=Summary(value=values)))

    def close(self, finished: bool) -> None:
        """Nothing to do: every write is on disk."""

    def _append(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        with name_file_in_errors(self._path), open(self._path, "ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())


class WandbTracker:
    """A run of Weights & Biases, in the project that WANDB_PROJECT names, by default "i2md".

    Without a connection, WANDB_MODE=offline keeps it in RUN/wandb for `wandb sync`. The axis is the epoch; an epoch
    that is repeated after a kill is written a second time.

    Args:
        run: Folder of the run.
        config: Becomes the run's configuration.
        epochs_done: Not used.

    Raises:
        InputError: wandb is not installed.
    """

    def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
        require_extra("wandb", "wandb", "tracker wandb")
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=known_id(run, "wandb") or remember_id(run, "wandb", uuid.uuid4().hex),
            name=run.resolve().name,
            dir=str(run),
            config=dict(config),
            resume="allow",
            # The run has a log of its own; a copy of the output would be a second reader of the terminal.
            settings=wandb.Settings(console="off"),
        )
        self._run.define_metric("*", step_metric="epoch")

    def write(self, scalars: Mapping[str, float], epoch: int) -> None:
        """Write the numbers of an epoch."""
        self._run.log({"epoch": epoch, **scalars})

    def close(self, finished: bool) -> None:
        """Wait for what has not been sent, and mark the run as finished or crashed."""
        self._run.finish(exit_code=0 if finished else 1)


class MLflowTracker:
    """A run of MLflow, on the server or in the file that MLFLOW_TRACKING_URI names.

    The experiment is that of MLFLOW_EXPERIMENT_NAME, by default "i2md". Settings become parameters, without those of a
    run that is resumed.

    Args:
        run: Folder of the run.
        config: Becomes the run's parameters, flattened.
        epochs_done: Not used.

    Raises:
        InputError: mlflow is not installed.
    """

    # What MLflow takes in one request, and of one value.
    _MOST_PARAMETERS, _LONGEST = 100, 500

    def __init__(self, run: Path, config: Mapping[str, Any], epochs_done: int) -> None:
        require_extra("mlflow", "mlflow", "tracker mlflow")
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        known = known_id(run, "mlflow")
        if known is not None:
            try:
                self._client.update_run(known, status="RUNNING")
            except MlflowException:  # another server, or the run was deleted there
                known = None
        if known is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = self._client.get_experiment_by_name(name)
            of = experiment.experiment_id if experiment else self._client.create_experiment(name)
            known = remember_id(run, "mlflow", self._client.create_run(of, run_name=run.resolve().name).info.run_id)
            parameters = [Param(key, str(value)[: self._LONGEST]) for key, value in flatten(config)]
            for first in range(0, len(parameters), self._MOST_PARAMETERS):
                self._client.log_batch(known, params=parameters[first : first + self._MOST_PARAMETERS])
        self._id: str = known

    def write(self, scalars: Mapping[str, float], epoch: int) -> None:
        """Write the numbers of an epoch."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(_mlflow_name(name), value, now, epoch) for name, value in scalars.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self, finished: bool) -> None:
        """Mark the run as finished or killed."""
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")


def _mlflow_name(name: str) -> str:
    """A name of log.jsonl in the characters that MLflow allows.

    >>> _mlflow_name("cmd/motion>joint"), _mlflow_name("diagnostics/tv_streams/joint+motion")
    ('cmd/motion to joint', 'diagnostics/tv_streams/joint and motion')
    """
    return re.sub(r"[^\w\-. :/]", "_", name.replace(">", " to ").replace("+", " and "))


def known_id(run: Path, tracker: str) -> str | None:
    """What a tracker calls the run.

    Args:
        run: Folder of the run.
        tracker: Name of the tracker.

    Returns:
        Its identifier there; None for a new run, or where the file cannot be read.
    """
    try:
        ids = parse_json((run / IDS).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, NotPlainData):
        return None
    value = ids.get(tracker) if isinstance(ids, dict) else None
    return value if isinstance(value, str) else None


def remember_id(run: Path, tracker: str, identifier: str) -> str:
    """Write what a tracker calls the run, beside those of other trackers.

    Args:
        run: Folder of the run.
        tracker: Name of the tracker.
        identifier: The run's identifier there.

    Returns:
        `identifier`.
    """
    ids = {name: known for name in TRACKERS if (known := known_id(run, name))}
    write_text(run / IDS, json.dumps(ids | {tracker: identifier}))
    return identifier
