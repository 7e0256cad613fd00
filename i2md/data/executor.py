"""Read and prepare a source, in order, in this process, by local worker processes or by a Ray cluster.

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
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import resource_tracker
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

from i2md.data.outcomes import Outcome, PreparedClip, prepare_each
from i2md.data.readers.files import archives_kept_open
from i2md.data.recording import Divisible, Recording, Source, Unreadable
from i2md.distributed.ray_cluster import joined
from i2md.errors import WorkerLost
from i2md.runtime.device import available_cores
from i2md.skeletons import Layout

Value = TypeVar("Value", covariant=True)
# A chunk should yield about this much: enough to be worth sending, and little to hold.
_CHUNK_BYTES = 4 << 20
_MAX_CHUNK = 64
# By default workers are started after _TRIAL_SECONDS here, if more than _MIN_REMAINING_SECONDS of work are left.
_TRIAL_SECONDS = 0.5
_MIN_REMAINING_SECONDS = 2.0
_PARENT_CHECK_SECONDS = 0.5

Done = tuple[int, Sequence[Outcome]]


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
    with joined(cluster) if cluster is not None else nullcontext() as executor:
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
        with _naming_lost_workers(), _signals_blocked():
            self._submitted.append(self._pool.submit(_write_result, path, function, arguments))
            return _LocalFuture(self._submitted[-1], path)


@dataclass(frozen=True)
class _LocalFuture:
    written: Future[None]
    path: str

    def result(self) -> Any:
        with _naming_lost_workers():
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
def _naming_lost_workers() -> Iterator[None]:
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
    """Processes started inside never see Ctrl-C or SIGTERM: the process that started them decides when they end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
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


def prepare_recordings(
    source: Source, preset: str, start: int = 0, jobs: int | None = None, executor: Executor | None = None
) -> Generator[Done, None, None]:
    """Read and prepare the recordings of a source after its first `start` units, in order.

    A unit is a file, or whatever a Divisible `read` counts, or a recording if it isn't Divisible. Of what is done
    and not yet taken, a few MB a worker are held.

    Args:
        source: what to read.
        preset: the preparation, a name of `i2md.data.presets`.
        start: units that are done already.
        jobs: local worker processes; by default as many as there are cores, if the work takes long enough.
        executor: does all the work instead of local workers, if the source can be sent to it.

    Yields:
        The number of units done so far, and the outcomes of those since the last.

    Raises:
        WorkerLost: a worker process ended before its time.
    """
    if not isinstance(source.read, Divisible):
        rest = islice(source.read(), start, None)
        for done, outcome in enumerate(prepare_each(rest, source.layout, preset), start + 1):
            yield done, [outcome]
        return
    chunks = _Chunks(source, preset, start)
    if executor is not None and chunks.left and chunks.can_be_sent():
        yield from _submitted(chunks, executor)
    elif jobs is None or jobs == 1 or not chunks.can_be_sent():
        yield from _in_process(chunks, until_long=jobs is None and chunks.can_be_sent() and available_cores() > 1)
    if chunks.left:
        with LocalExecutor(min(jobs or available_cores(), chunks.left)) as local:
            yield from _submitted(chunks, local)


@dataclass(frozen=True)
class _Chunk:
    """A part of a source and how to prepare it: all that a worker needs to know."""

    read: Callable[[], Iterator[Recording | Unreadable]]
    layout: Layout
    preset: str

    def outcomes(self) -> list[Outcome]:
        return list(prepare_each(self.read(), self.layout, self.preset))


@dataclass
class _Chunks:
    """A source divided, as it is read, into chunks that yield about equally much."""

    source: Source
    preset: str
    begun: int
    units: int = 0
    size: int = 0

    @property
    def left(self) -> int:
        return len(self._read) - self.begun

    @property
    def _read(self) -> Divisible:
        assert isinstance(self.source.read, Divisible)
        return self.source.read

    def next(self) -> tuple[int, _Chunk]:
        """The next chunk, and the unit at which it ends."""
        wanted = _CHUNK_BYTES * self.units // self.size if self.size else 1
        start, self.begun = self.begun, min(self.begun + max(1, min(wanted, _MAX_CHUNK)), len(self._read))
        return self.begun, _Chunk(self._read.part(start, self.begun), self.source.layout, self.preset)

    def record_size(self, found: Sequence[Outcome], units: int) -> None:
        """Note how much a chunk of so many units yielded."""
        size = sum(outcome.clip.positions.nbytes for outcome in found if isinstance(outcome, PreparedClip))
        self.units, self.size = self.units + units, self.size + max(size, 1)

    def can_be_sent(self) -> bool:
        """Whether a worker could read them: not if a running script defines the reader, which no worker imports."""
        try:
            return b"__main__" not in pickle.dumps(self._read.part(self.begun, self.begun + 1))
        except (pickle.PicklingError, AttributeError, TypeError):
            return False


def _in_process(chunks: _Chunks, until_long: bool) -> Iterator[Done]:
    began, first = time.monotonic(), chunks.begun
    with archives_kept_open():
        while chunks.left:
            before = chunks.begun
            done, chunk = chunks.next()
            found = chunk.outcomes()
            chunks.record_size(found, done - before)
            yield done, found
            spent = time.monotonic() - began
            if until_long and spent > _TRIAL_SECONDS and chunks.left * spent > _MIN_REMAINING_SECONDS * (done - first):
                return


def _submitted(chunks: _Chunks, executor: Executor) -> Iterator[Done]:
    waiting: deque[tuple[int, int, Future[list[Outcome]]]] = deque()
    while chunks.left or waiting:
        # One running and one queued for each worker: no worker waits, and little is held.
        while chunks.left and len(waiting) < 2 * executor.num_workers:
            before = chunks.begun
            done, chunk = chunks.next()
            pickled = pickle.dumps(chunk, protocol=pickle.HIGHEST_PROTOCOL)
            waiting.append((done, done - before, executor.submit(_run_chunk, pickled)))
        done, units, future = waiting.popleft()
        found = future.result()
        chunks.record_size(found, units)
        yield done, found


def _run_chunk(pickled: bytes) -> list[Outcome]:
    """Runs in a worker."""
    _keep_archives_open()
    try:
        return pickle.loads(pickled).outcomes()
    except Exception as error:
        raise _picklable(error) from error


def _picklable(error: Exception) -> Exception:
    """The error, or its traceback as a RuntimeError if it can't be unpickled: a pool breaks on such a one."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return error


@cache
def _keep_archives_open() -> ExitStack:
    """From the first chunk until the worker ends."""
    kept = ExitStack()
    kept.enter_context(archives_kept_open())
    return kept
