"""The runs of a sweep: executed by processes of this machine or by a Slurm cluster, and what is said of failures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from i2md.errors import InputError, WorkerLost
from i2md.experiments.job import Job
from i2md.experiments.slurm import Slurm, SlurmPool
from i2md.experiments.workers import WORKER_COMMAND, Failure, WorkerPool, worker_environments
from i2md.runtime.exit_codes import TRY_AGAIN, stop_signals_as_interrupt
from i2md.runtime.progress import progress

# The environment variables of each worker process, or where a cluster takes the runs.
Workers = Sequence[Mapping[str, str]] | Slurm


def choose_workers(device: str, jobs: int | None = None, slurm: Sequence[str] = ()) -> Workers:
    """Where runs are executed.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; with Slurm each run chooses where it runs.
        jobs: Runs at a time; None for one per core or GPU, and for no limit with Slurm.
        slurm: Parameters of Slurm, NAME=VALUE; none for processes of this machine.

    Raises:
        InputError: The device does not exist, `jobs` is less than 1, or a parameter is unknown.
    """
    return Slurm.from_words(slurm, jobs) if slurm else worker_environments(device, jobs)


def run_jobs(
    jobs: Sequence[Job],
    workers: Workers,
    logs: Path,
    title: str,
    command: Sequence[str] = WORKER_COMMAND,
) -> dict[str, Failure]:
    """Run all jobs that are not done yet in a pool of workers.

    A failure is printed when it happens; the other runs continue.

    Args:
        jobs: The runs.
        workers: Environment variables of each worker process, or where a cluster takes the runs.
        logs: Folder for what each run prints, a file each.
        title: Title of the progress bar.
        command: Command of a worker, which reads its job from standard input.

    Returns:
        The failures by the name of the run's folder.

    Raises:
        KeyboardInterrupt: On Ctrl-C, SIGTERM or SIGHUP, after every worker process has saved its state and
            ended. Runs of a cluster stay in its queue.
    """
    failed: dict[str, Failure] = {}
    waiting = [job for job in jobs if not job.is_done()]
    logs.mkdir(parents=True, exist_ok=True)
    chosen = SlurmPool(workers, logs) if isinstance(workers, Slurm) else WorkerPool(workers, logs, command)
    with stop_signals_as_interrupt(), chosen as pool:
        ended, total = pool.run(waiting), len(waiting)
        for job, failure in progress(ended, title, "run", total=total, show=bool(total)):
            if failure is not None:
                failed[Path(job.run).name] = failure
                tqdm.write(f"{Path(job.run).name} failed: {failure.reason}", file=sys.stderr)
    return failed


def require_some(out: Path, runs: Mapping[Any, Any], failed: Mapping[str, Failure]) -> None:
    """Raise an error if no run is left, as `require_all` does."""
    if not runs:
        _raise(failed, f"{out}: all {len(failed)} runs failed")


def require_all(failed: Mapping[str, Failure]) -> None:
    """Raise an error if a run failed.

    Args:
        failed: Name of each failed run to the reason.

    Raises:
        WorkerLost: The process of every failed run died; the same command resumes them.
        InputError: Another run failed.
    """
    if failed:
        _raise(failed, f"{len(failed)} run{'s' * (len(failed) > 1)} failed")


def _raise(failed: Mapping[str, Failure], message: str) -> None:
    name, first = next(iter(failed.items()))
    message = f"{message}; {name}: {first.reason}"
    if all(each.exit_code == TRY_AGAIN for each in failed.values()):
        raise WorkerLost(f"{message}; run the same command again to resume")
    raise InputError(message)
