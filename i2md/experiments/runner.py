"""Processes that do jobs, so many at a time, each on a core or a GPU of its own."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from i2md.errors import InputError
from i2md.experiments.job import Job
from i2md.runtime.exit_codes import terminated_as_interrupted

# What a process is told by its environment.
Place = Mapping[str, str]


def find_places(device: str, jobs: int | None) -> list[Place]:
    """A place for each process that is to work at once: by default one a core or, on GPUs, one a GPU.

    More jobs than GPUs share them by turns. InputError where the device is none or there are no jobs.
    """
    from i2md.runtime.device import choose_device

    where = choose_device(device)
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: give at least 1")
    if where.type == "cpu":
        return [{}] * (jobs or _cores())
    if where.index is not None:
        return [{}] * (jobs or 1)
    gpus = _visible_gpus()
    return [{"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} for number in range(jobs or len(gpus))]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _visible_gpus() -> list[str]:
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(number) for number in range(count)]


class Hands:
    """Threads that each see one process after the other through its job."""

    def __init__(self, places: Sequence[Place], logs: Path) -> None:
        self._logs = logs
        self._free: queue.SimpleQueue[Place] = queue.SimpleQueue()
        for place in places:
            self._free.put(place)
        self._threads = ThreadPoolExecutor(len(places))
        self._running: set[subprocess.Popen[str]] = set()
        self._turn = threading.Lock()
        self._stopped = False

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
        """Each job when it has ended, with the reason why it failed if it did."""
        ends = {self._threads.submit(self._see_through, job): job for job in jobs}
        for end in as_completed(ends):
            yield ends[end], end.result()

    def stop(self) -> None:
        """End all processes, once each has saved what it has learnt."""
        with self._turn:
            self._stopped = True
            for process in self._running:
                process.terminate()
        self._threads.shutdown(cancel_futures=True)

    def _see_through(self, job: Job) -> str | None:
        place = self._free.get()
        try:
            log = self._logs / f"{Path(job.run).name}.txt"
            began = log.stat().st_size if log.is_file() else 0
            status = self._run(job, place, log)
            return None if status == 0 else _reason(status, log, began)
        finally:
            self._free.put(place)

    def _run(self, job: Job, place: Place, log: Path) -> int:
        with open(log, "a", encoding="utf-8") as written, self._turn:
            if self._stopped:
                return 130
            process = subprocess.Popen(
                [sys.executable, "-m", "i2md.experiments.worker"],
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=written,
                text=True,
                env={**_environment(), **place},
                # In a group of its own Ctrl-C does not reach it: the process that started it decides.
                start_new_session=True,
            )
            self._running.add(process)
        assert process.stdin
        try:
            # One that has ended already says why in its log.
            with suppress(BrokenPipeError):
                process.stdin.write(job.to_line())
                process.stdin.flush()
            return process.wait()
        finally:
            with self._turn:
                self._running.discard(process)
            with suppress(BrokenPipeError):
                process.stdin.close()


@contextmanager
def hands(places: Sequence[Place], logs: Path) -> Iterator[Hands]:
    """Hands that let go when the block ends, however it ends."""
    logs.mkdir(parents=True, exist_ok=True)
    at_work = Hands(places, logs)
    try:
        yield at_work
    finally:
        at_work.stop()


def failures(jobs: Sequence[Job], places: Sequence[Place], logs: Path, title: str) -> dict[str, str]:
    """Do what is not done yet; the reasons of the runs that failed, by the names of their folders.

    A failure is told as it happens, and the others go on. KeyboardInterrupt when interrupted.
    """
    failed: dict[str, str] = {}
    waiting = [job for job in jobs if not job.is_done()]
    with terminated_as_interrupted(), hands(places, logs) as at_work:
        ends, total = at_work.outcomes(waiting), len(waiting)
        bar = tqdm(ends, total=total, unit="run", desc=title, dynamic_ncols=True, disable=not total)
        for job, reason in bar:
            if reason is not None:
                failed[Path(job.run).name] = reason
                bar.write(f"{Path(job.run).name} failed: {reason}", file=sys.stderr)
    return failed


def _environment() -> dict[str, str]:
    """One thread a process unless the user says otherwise, and a log that a progress bar does not fill."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    modules = os.pathsep.join(path for path in sys.path if path)
    return {"TQDM_MININTERVAL": "60", **threads, **os.environ, "PYTHONPATH": modules}


def _reason(status: int, log: Path, began: int) -> str:
    """Why a process failed: what it said last."""
    if status < 0:
        return f"ended by signal {-status}, perhaps for want of memory"
    said = log.read_bytes()[began:].decode("utf-8", errors="replace").replace("\r", "\n").splitlines()
    told = [line.removeprefix("i2md: ") for line in said if line.startswith("i2md: ")]
    return told[-1] if told else next((line.strip() for line in reversed(said) if line.strip()), f"status {status}")
