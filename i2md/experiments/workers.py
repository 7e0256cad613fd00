"""A pool of worker processes for the runs of a sweep: one run per core or GPU at a time, each in its own process.

A worker is a plain subprocess. `concurrent.futures.ProcessPoolExecutor` and joblib's loky give up all remaining tasks
when one process dies, and would import the caller's `__main__`; here only the run of the dead worker fails.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from i2md.errors import InputError
from i2md.experiments.job import Job
from i2md.runtime.exit_codes import TRY_AGAIN

WORKER_COMMAND = (sys.executable, "-m", "i2md.experiments.job")


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Attributes:
        reason: One line.
        exit_code: Exit code of the run: 2 for what the user can fix, 1 for a bug, 75 where its process died.
    """

    reason: str
    exit_code: int


def worker_environments(device: str, jobs: int | None) -> list[dict[str, str]]:
    """Return the environment variables of each worker; their number is the number of runs at once.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        jobs: Number of workers; None for one per core or, on GPUs, one per GPU. More workers than GPUs share them.

    Raises:
        InputError: The device does not exist, or `jobs` is less than 1.
    """
    from i2md.runtime.device import available_cores, choose_device

    chosen = choose_device(device)
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: give at least 1")
    if chosen.type == "cpu":
        return [{} for _ in range(jobs or available_cores())]
    if chosen.index is not None:
        return [{} for _ in range(jobs or 1)]
    gpus = _visible_gpus()
    return [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} for number in range(jobs or len(gpus))]


def _visible_gpus() -> list[str]:
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(number) for number in range(count)]


class WorkerPool:
    """Threads that each start one worker process after the other and wait for it.

    As a context manager it stops all workers when the block ends, whichever way.

    Args:
        environments: Environment variables of each worker.
        logs: Existing folder for what each run prints.
        command: Command of a worker.
    """

    def __init__(
        self, environments: Sequence[Mapping[str, str]], logs: Path, command: Sequence[str] = WORKER_COMMAND
    ) -> None:
        self._logs, self._command = logs, list(command)
        self._environments: queue.SimpleQueue[Mapping[str, str]] = queue.SimpleQueue()
        for environment in environments:
            self._environments.put(environment)
        self._threads = ThreadPoolExecutor(len(environments))
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Failure | None]]:
        """Yield each job when it has ended, with its failure if it failed."""
        futures = {self._threads.submit(self._run_job, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()

    def stop(self) -> None:
        """Terminate all workers and wait until each has saved its state."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
        self._threads.shutdown(cancel_futures=True)

    def _run_job(self, job: Job) -> Failure | None:
        environment = self._environments.get()
        try:
            log = self._logs / f"{Path(job.run).name}.txt"
            size = log.stat().st_size if log.is_file() else 0
            code = self._run_process(job, environment, log)
            return None if code == 0 else failure_of(code, log, size)
        finally:
            self._environments.put(environment)

    def _run_process(self, job: Job, environment: Mapping[str, str], log: Path) -> int:
        with open(log, "a", encoding="utf-8") as output, self._lock:
            if self._stopped:
                return 130
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                env={**worker_environment(), **environment},
                # In a session of its own Ctrl-C does not reach the worker: the pool stops it.
                start_new_session=True,
            )
            self._running.add(process)
        assert process.stdin
        try:
            # A worker that has ended already gives its reason in its log.
            with suppress(BrokenPipeError):
                process.stdin.write(job.to_line())
                process.stdin.flush()
            return process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
            with suppress(BrokenPipeError):
                process.stdin.close()


def worker_environment() -> dict[str, str]:
    """One thread per worker unless the user's environment says otherwise, and few lines of progress in the log."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    modules = os.pathsep.join(path for path in sys.path if path)
    return {"TQDM_MININTERVAL": "60", **threads, **os.environ, "PYTHONPATH": modules}


def failure_of(code: int, log: Path, size: int) -> Failure:
    """The failure of a process with this return code; `size` is how long its log was when it started."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = ", possibly out of memory" if -code == signal.SIGKILL else ""
        return Failure(f"its process was ended by {name}{hint}", TRY_AGAIN)
    lines = log.read_bytes()[size:].decode("utf-8", errors="replace").replace("\r", "\n").splitlines()
    messages = [line.removeprefix("i2md: ") for line in lines if line.startswith("i2md: ")]
    last = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
    return Failure(messages[-1] if messages else last, code)
