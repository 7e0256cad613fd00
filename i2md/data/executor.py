"""Executors: worker processes of this machine, or of a Ray cluster, that calls are submitted to.

Local workers are joblib's loky: unlike `concurrent.futures` with spawned processes it does not import the caller's
`__main__`, so a script needs no `if __name__ == "__main__"`. Added here is what loky lacks: its workers outlive a
caller that was killed, react to Ctrl-C themselves, and print to the caller's standard output.
"""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

from i2md.distributed.ray_cluster import connect
from i2md.errors import WorkerLost
from i2md.runtime.exit_codes import interrupts_delayed

Value = TypeVar("Value", covariant=True)
_PARENT_CHECK_SECONDS = 0.5


class Future(Protocol[Value]):
    """The result of a submitted call, once it is there."""

    def result(self) -> Value:
        """Wait for the call and return its value, or raise what it raised; WorkerLost if its process ended."""


class Executor(Protocol):
    """Workers that calls are submitted to: `LocalExecutor` here, or the machines of a Ray cluster."""

    @property
    def num_workers(self) -> int:
        """How many calls run at once, now."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a module's function called by a worker."""

    def put(self, value: Any) -> Any:
        """Send a value that many calls take to the workers once; pass what this returns as their argument."""


@contextmanager
def open_executor(cluster: str | None) -> Iterator[Executor | None]:
    """The executor of the Ray cluster at an address (`auto`, `local`, `ray://HOST:PORT`); None without an address."""
    with connect(cluster) if cluster is not None else nullcontext() as executor:
        yield executor


class LocalExecutor:
    """Worker processes of this machine, one thread each. Use as a context manager; leaving it ends them.

    >>> with LocalExecutor(num_workers=2) as executor:
    ...     [future.result() for future in [executor.submit(pow, 2, n) for n in range(4)]]
    [1, 2, 4, 8]
    """

    def __init__(self, num_workers: int) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self.num_workers = num_workers
        self._results = TemporaryDirectory(prefix="i2md-")
        self._submitted: deque[Any] = deque(maxlen=2 * num_workers)
        self._count = 0
        one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._pool = ProcessPoolExecutor(
            num_workers, env=one_thread, initializer=_start_worker, initargs=(os.getpid(),)
        )
        # Starting it unblocks the signals that `_signals_blocked` blocks: it has to run before the workers start.
        resource_tracker.ensure_running()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        # A shutdown fails inside loky while a task is not yet in the workers' queue, which takes it a moment.
        with interrupts_delayed():
            while not all(future.running() or future.done() for future in self._submitted):
                time.sleep(0.001)
            self._pool.shutdown(kill_workers=True)
            self._results.cleanup()

    def put(self, value: Any) -> Any:
        """The value itself: calls to this machine's workers carry it each time."""
        return value

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a module's function called by a worker."""
        path = os.path.join(self._results.name, str(self._count))
        self._count += 1
        with _worker_lost_errors(), interrupts_delayed(), _signals_blocked():
            future = _LocalFuture(self._pool.submit(_write_result, path, function, arguments), path)
            self._submitted.append(future.written)
            future.written.add_done_callback(lambda _: future.done.put(True))
            return future


@dataclass(frozen=True)
class _LocalFuture:
    written: futures.Future[None]
    path: str
    done: SimpleQueue[bool] = field(default_factory=SimpleQueue)

    def result(self) -> Any:
        # Waiting for `written` itself, an interrupt can leave its lock held; the pool then never shuts down.
        self.done.get()
        with _worker_lost_errors(), interrupts_delayed():
            self.written.result()
        with open(self.path, "rb") as file:
            value = pickle.load(file)
        os.unlink(self.path)
        return value


def _write_result(path: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Runs in a worker. A result goes to a file: a worker killed while it sends one by loky's pipe blocks the pool."""
    result = function(*arguments)
    with open(path, "wb") as file:
        pickle.dump(result, file, protocol=pickle.HIGHEST_PROTOCOL)


@contextmanager
def _worker_lost_errors() -> Iterator[None]:
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        status = re.search(r"\{(.*)\}", str(error))
        raise WorkerLost(
            f"a worker process ended unexpectedly ({status[1] if status else 'no exit code'}), perhaps out of memory;"
            " run the same command again to resume, --jobs 1 takes the least memory"
        ) from None


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, SIGTERM or SIGHUP: their parent decides when they end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    """Runs first in each local worker."""
    # What a reader prints must not come between the lines that the command prints.
    sys.stdout.flush()
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process once its parent has gone: loky's workers would wait for work for ever after a SIGKILL."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)
