"""A source worked through in order, by this process, by several, or by a cluster; what comes out is the same."""

from __future__ import annotations

import os
import pickle
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from i2md.data.outcomes import Made, Outcome, Piece, outcomes
from i2md.data.readers.files import archives_kept_open
from i2md.data.recording import Divisible, Source
from i2md.data.worker import Worker

# A piece is to yield about this much: enough to be worth sending, and little to hold.
_PIECE_BYTES = 4 << 20
_LONGEST_PIECE = 64
# Unless told how many processes to use, others are started where more than this is left to do, in seconds here.
_WORTH_HELP = 2.0
_TRIED = 0.5

Done = tuple[int, Sequence[Outcome]]
# A call that waits for the outcomes of a piece, and tells how many bytes they took on their way.
Awaited = Callable[[], tuple[list[Outcome], int]]


class Crew(Protocol):
    """Whoever takes pieces of a source off this process's hands."""

    @property
    def hands(self) -> int:
        """How many pieces can be worked at together, now."""

    def give(self, piece: bytes) -> Awaited:
        """Have a pickled Piece worked at."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_through(
    source: Source, preset: str, jobs: int | None = None, start: int = 0, crew: Crew | None = None
) -> Generator[Done, None, None]:
    """What becomes of the recordings after the first `start` pieces: (pieces done, their outcomes), in order.

    A piece is a file, or whatever a Divisible `read` counts, or a recording where it isn't Divisible. `jobs`
    processes work at it; by default as many as there are cores, where it takes long enough. A `crew` does it all,
    where pieces can be sent to it. Of what is done and not yet taken, a few MB a process are held.
    """
    if not isinstance(source.read, Divisible):
        rest = islice(source.read(), start, None)
        for done, outcome in enumerate(outcomes(rest, source.layout, preset), start + 1):
            yield done, [outcome]
        return
    pieces = _Pieces(source, preset, start)
    if crew is not None and pieces.left and pieces.can_be_sent():
        yield from _together(pieces, crew)
    elif jobs is None or jobs == 1 or not pieces.can_be_sent():
        yield from _alone(pieces, until_worth_help=jobs is None and cores() > 1 and pieces.can_be_sent())
    if pieces.left:
        with _processes(min(jobs or cores(), pieces.left)) as here:
            yield from _together(pieces, here)


@dataclass
class _Pieces:
    """A source cut as it goes on, into pieces of about equal weight."""

    source: Source
    preset: str
    begun: int
    counted: int = 0
    weighed: int = 0

    @property
    def left(self) -> int:
        return len(self._read) - self.begun

    @property
    def _read(self) -> Divisible:
        assert isinstance(self.source.read, Divisible)
        return self.source.read

    def next(self) -> tuple[int, Piece]:
        """The next piece, and where it ends."""
        wanted = _PIECE_BYTES * self.counted // self.weighed if self.weighed else 1
        start, self.begun = self.begun, min(self.begun + max(1, min(wanted, _LONGEST_PIECE)), len(self._read))
        return self.begun, Piece(self._read.part(start, self.begun), self.source.layout, self.preset)

    def weigh(self, size: int, count: int) -> None:
        """Take note of what a piece of `count` files yielded."""
        self.counted, self.weighed = self.counted + count, self.weighed + max(size, 1)

    def can_be_sent(self) -> bool:
        """Whether another process could take them: not what a script defines that is running here."""
        try:
            return b"__main__" not in pickle.dumps(self._read.part(self.begun, self.begun + 1))
        except (pickle.PicklingError, AttributeError, TypeError):
            return False


def _alone(pieces: _Pieces, until_worth_help: bool) -> Iterator[Done]:
    began, first = time.monotonic(), pieces.begun
    with archives_kept_open():
        while pieces.left:
            before = pieces.begun
            done, piece = pieces.next()
            found = piece.outcomes()
            pieces.weigh(sum(_size(outcome) for outcome in found), done - before)
            yield done, found
            spent = time.monotonic() - began
            if until_worth_help and spent > _TRIED and pieces.left * spent > _WORTH_HELP * (done - first):
                return


def _together(pieces: _Pieces, crew: Crew) -> Iterator[Done]:
    waiting: deque[tuple[int, int, Awaited]] = deque()
    while pieces.left or waiting:
        # One piece in hand and one at hand for each process: then none waits, and little is held.
        while pieces.left and len(waiting) < 2 * crew.hands:
            before = pieces.begun
            done, piece = pieces.next()
            waiting.append((done, done - before, crew.give(pickle.dumps(piece, protocol=pickle.HIGHEST_PROTOCOL))))
        done, count, awaited = waiting.popleft()
        found, size = awaited()
        pieces.weigh(size, count)
        yield done, found


class _Processes(NamedTuple):
    """Processes of this machine."""

    hands: int
    outcomes_of: Callable[[bytes], tuple[list[Outcome], int]]
    threads: ThreadPoolExecutor

    def give(self, piece: bytes) -> Awaited:
        return self.threads.submit(self.outcomes_of, piece).result


@contextmanager
def _processes(jobs: int) -> Iterator[Crew]:
    """So many processes, each to take one pickled piece at a time."""
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    workers: list[Worker] = []

    def outcomes_of(piece: bytes) -> tuple[list[Outcome], int]:
        worker = idle.get()
        try:
            return worker.outcomes(piece)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(jobs)
    try:
        for _ in range(jobs):
            workers.append(Worker())
            idle.put(workers[-1])
        yield _Processes(jobs, outcomes_of, threads)
    finally:
        for worker in workers:
            worker.end()
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


def _size(outcome: Outcome) -> int:
    return outcome.clip.positions.nbytes if isinstance(outcome, Made) else 0
