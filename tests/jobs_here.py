"""Runs of a sweep in this process, one after the other: a worker process spends most of a tiny run on imports.

What worker processes do is tested in tests/experiments/test_runner.py and tests/experiments/test_sweep.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from i2md.experiments.job import Job
from i2md.experiments.workers import Failure, WorkerPool, failure_of
from i2md.runtime.exit_codes import exit_code


@contextmanager
def jobs_here() -> Iterator[None]:
    """In the block, sweeps and reproductions execute their runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerPool, "run", _run)
        yield


def _run(pool: WorkerPool, jobs: Sequence[Job]) -> Iterator[tuple[Job, Failure | None]]:
    for job in jobs:
        log = pool._logs / f"{Path(job.run).name}.txt"
        with open(log, "w", encoding="utf-8") as output, redirect_stdout(output), redirect_stderr(output):
            code = exit_code(lambda job=job: _execute(job), resumes=True)
        yield job, None if code == 0 else failure_of(code, log, 0)


def _execute(job: Job) -> int:
    Job.from_line(job.to_line()).execute()
    return 0
