"""Read and prepare a source in order, in this process, by local workers or by a Ray cluster."""

from __future__ import annotations

import pickle
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import islice

from i2md.data.executor import Executor, Future, LocalExecutor
from i2md.data.outcomes import Outcome, PreparedClip, prepare_each
from i2md.data.readers.archives import archives_kept_open
from i2md.data.recording import Divisible, Recording, Source, Unreadable
from i2md.runtime.device import available_cores
from i2md.skeletons import Layout

# A chunk should yield about this much: enough to be worth sending, and little to hold.
_CHUNK_BYTES = 4 << 20
_MAX_CHUNK = 64
# By default workers are started after _TRIAL_SECONDS here, if more than _MIN_REMAINING_SECONDS of work are left.
_TRIAL_SECONDS = 0.5
_MIN_REMAINING_SECONDS = 2.0

# Units done so far, and the outcomes of those since the last.
Done = tuple[int, Sequence[Outcome]]


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
        for done, outcome in enumerate(prepare_each(rest, source.layout, preset, source.max_gap), start + 1):
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
    max_gap: int

    def outcomes(self) -> list[Outcome]:
        return list(prepare_each(self.read(), self.layout, self.preset, self.max_gap))


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
        return self.begun, _Chunk(
            self._read.part(start, self.begun), self.source.layout, self.preset, self.source.max_gap
        )

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
