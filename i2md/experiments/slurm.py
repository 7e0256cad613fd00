"""Runs of a sweep as a job array of Slurm, submitted by submitit; a preempted run is saved, requeued and resumed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2md.errors import InputError, require_extra, shortened
from i2md.experiments.job import Job
from i2md.experiments.workers import Failure, failure_of, worker_environment
from i2md.runtime.exit_codes import TRY_AGAIN, exit_code, stop_signals_as_interrupt
from i2md.runtime.io import write_text
from i2md.runtime.plain_data import NotPlainData, parse_json

# submitit's own names of what it takes for every cluster; any other parameter is one of Slurm's.
_OF_ALL_CLUSTERS = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node")
# Seconds between two looks at the queue, and after a job has left it until its result must be there, since a file
# system that machines share may show it late.
_POLL, _GRACE = 5.0, 60.0
# How often a run may be resumed after its time limit.
_MOST_RESUMED = 1000
# Of each run the job that was submitted last, in the folder of submitit's files.
_SUBMITTED = "submitted.json"


@dataclass(frozen=True)
class Slurm:
    """Where and how runs are submitted.

    Attributes:
        parameters: Parameters of submitit, such as {"slurm_partition": "gpu", "timeout_min": 240}.
        at_once: Most runs at a time; None for no limit.
        cluster: "slurm", or "local" to try it without one: submitit then starts processes here.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    at_once: int | None = None
    cluster: str = "slurm"

    @classmethod
    def from_words(cls, words: Sequence[str], at_once: int | None = None) -> Slurm:
        """Read NAME=VALUE words, such as partition=gpu timeout_min=240 gpus_per_node=1.

        Args:
            words: The words; names are those of sbatch's options (with underscores) or of submitit.
            at_once: Most runs at a time.

        Raises:
            InputError: A word is not of this form, or submitit does not know the name.

        >>> Slurm.from_words(["partition=gpu", "timeout_min=240"]).parameters
        {'slurm_partition': 'gpu', 'timeout_min': 240}
        """
        require_extra("submitit", "slurm", "--slurm")
        from submitit.slurm.slurm import SlurmExecutor

        parameters: dict[str, Any] = {}
        cluster = "slurm"
        known = SlurmExecutor._valid_parameters()
        for word in words:
            name, equals, text = word.partition("=")
            name = name.replace("-", "_")
            if not equals or not name:
                raise InputError(f"--slurm {word}: write NAME=VALUE, such as partition=gpu timeout_min=240")
            value = int(text) if text.isdecimal() else text
            if name == "cluster":
                if text not in ("slurm", "local"):
                    raise InputError(f"--slurm {word}: cluster is slurm, or local to try it on this machine")
                cluster = text
            elif name in _OF_ALL_CLUSTERS:
                parameters[name] = value
            elif name in known:
                parameters[f"slurm_{name}"] = value
            else:
                raise InputError(
                    f"--slurm {word}: {name} is unknown; choose among {', '.join(sorted({*_OF_ALL_CLUSTERS, *known}))}"
                )
        if at_once is not None and at_once < 1:
            raise InputError(f"--jobs {at_once}: give at least 1")
        return cls(parameters, at_once, cluster)


class ArrayTask:
    """What one task of the array calls: the run, from wherever its folder stands.

    Args:
        line: The job as `Job.to_line` wrote it.
    """

    def __init__(self, line: str) -> None:
        self.line = line

    def __call__(self) -> int:
        """Execute the run; its exit code. On the signal of preemption or of the time limit it saves, then requeues."""
        from submitit import JobEnvironment

        preemption = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
        requeue = signal.getsignal(preemption)
        preempted: list[int] = []

        def save_first(number: int, frame: Any) -> None:
            preempted.append(number)
            os.kill(os.getpid(), signal.SIGTERM)  # saves, and ends with KeyboardInterrupt

        signal.signal(preemption, save_first)
        with stop_signals_as_interrupt():
            code = exit_code(self._execute, resumes=True)
        if preempted and callable(requeue):
            requeue(preempted[0], None)
        return code

    def _execute(self) -> int:
        Job.from_line(self.line).execute()
        return 0

    def checkpoint(self) -> Any:
        """What submitit requeues: the same run, whose folder holds its state."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmPool:
    """Submits runs as one job array and waits for them. Runs that another command submitted are waited for, too.

    Args:
        slurm: Where and how.
        logs: Existing folder for what each run prints, and for submitit's files.
    """

    def __init__(self, slurm: Slurm, logs: Path) -> None:
        self._slurm, self._folder = slurm, logs / "slurm"

    def __enter__(self) -> SlurmPool:
        return self

    def __exit__(self, *_: object) -> None:
        """Jobs outlive the command that submitted them."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Failure | None]]:
        """Yield each job when it has ended, with its failure if it failed.

        Args:
            jobs: The runs.

        Raises:
            InputError: Slurm refuses the array, or cannot be reached.
            KeyboardInterrupt: On Ctrl-C; the jobs stay in the queue.
        """
        if not jobs:
            return
        running = self._submit(jobs)
        local = self._slurm.cluster != "slurm"
        grace, poll = (1.0, 0.2) if local else (_GRACE, _POLL)
        gone_since: dict[str, float] = {}
        try:
            while running:
                queued = self._queued({task.job_id for task, _ in running})
                now = time.monotonic()
                for task, job in list(running):
                    if task.job_id in queued:
                        gone_since.pop(task.job_id, None)  # a requeued run returns
                        gone = 0.0
                    else:
                        gone = now - gone_since.setdefault(task.job_id, now)
                    if gone > grace or task.paths.result_pickle.exists():
                        running.remove((task, job))
                        yield job, self._failure(task)
                if running:
                    time.sleep(poll)
        except KeyboardInterrupt:
            if self._slurm.cluster == "slurm":
                arrays = " ".join(sorted({task.job_id.split("_")[0] for task, _ in running}))
                print(
                    f"i2md: the runs stay in Slurm's queue; the same command waits for them again, scancel {arrays}"
                    " ends them",
                    file=sys.stderr,
                )
            raise

    def _submit(self, jobs: Sequence[Job]) -> list[tuple[Any, Job]]:
        """Tasks of submitit with their jobs; those that are in the queue already are not submitted again."""
        import submitit

        known = self._submitted()
        queued = self._queued(set(known.values()))
        tasks: dict[str, Any] = {
            job.run: submitit.SlurmJob(folder=self._folder, job_id=known[job.run])
            for job in jobs
            if known.get(job.run) in queued
        }
        new = [job for job in jobs if job.run not in tasks]
        if tasks:
            print(f"i2md: {len(tasks)} runs are in Slurm's queue already; waiting for them", file=sys.stderr)
        if new:
            limit = {} if self._slurm.at_once is None else {"slurm_array_parallelism": self._slurm.at_once}
            try:
                executor = submitit.AutoExecutor(self._folder, self._slurm.cluster, slurm_max_num_timeout=_MOST_RESUMED)
                executor.update_parameters(name="i2md", **limit, **self._slurm.parameters)
                with _environment(worker_environment()), executor.batch():
                    new_tasks = [executor.submit(ArrayTask(job.to_line())) for job in new]
            except (OSError, RuntimeError, ValueError, NameError, AssertionError) as error:
                raise InputError(f"Slurm does not take the runs: {shortened(error)}; change --slurm") from error
            tasks |= {job.run: task for job, task in zip(new, new_tasks, strict=True)}
            write_text(self._folder / _SUBMITTED, json.dumps(known | {run: task.job_id for run, task in tasks.items()}))
            if self._slurm.cluster == "slurm":
                first = new_tasks[0].job_id.split("_")[0]
                print(
                    f"i2md: submitted {len(new)} runs as job {first}; their output is in {self._folder}",
                    file=sys.stderr,
                )
        return [(tasks[job.run], job) for job in jobs]

    def _submitted(self) -> dict[str, str]:
        try:
            data = parse_json((self._folder / _SUBMITTED).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, NotPlainData):
            return {}
        return data if isinstance(data, dict) else {}

    def _queued(self, job_ids: set[str]) -> set[str]:
        """Which of the jobs wait or run; all where squeue fails, as it does while Slurm's controller restarts."""
        if self._slurm.cluster != "slurm":
            return {job_id for job_id in job_ids if job_id.isdecimal() and _is_alive(int(job_id))}
        if not job_ids:
            return set()
        arrays = ",".join(sorted({job_id.split("_")[0] for job_id in job_ids}))
        # All of this user's: squeue fails where a single one of the jobs named is forgotten.
        asked = subprocess.run(
            ["squeue", "--noheader", "--array", "--me", "--format=%i"], capture_output=True, text=True, check=False
        )
        if asked.returncode:
            print(f"i2md: warning: squeue: {shortened(asked.stderr)}; waiting for {arrays}", file=sys.stderr)
            return job_ids
        return job_ids & set(asked.stdout.split())

    def _failure(self, task: Any) -> Failure | None:
        if not task.paths.result_pickle.exists():
            return Failure("it left Slurm's queue without a result: cancelled, out of time or out of memory", TRY_AGAIN)
        error = task.exception()
        code = 1 if error is not None else task.result()
        return None if code == 0 else failure_of(code, task.paths.stderr, 0)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These environment variables during the block: sbatch hands them to the jobs."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
