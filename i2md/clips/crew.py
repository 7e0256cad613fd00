"""A source worked through in order, by this process or by several; what comes out is the same."""

from __future__ import annotations

import os
import pickle
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from i2md.clips.outcomes import Made, Outcome, Piece, outcomes
from i2md.clips.readers.files import archives_kept_open
from i2md.clips.recording import Divisible, Source
from i2md.clips.worker import Worker

# A piece is to yield about this much: enough to be worth sending, and little to hold.
_PIECE_BYTES = 4 << 20
_LONGEST_PIECE = 64
# Unless told how many processes to use, others are started where more than this is left to do, in seconds here.
_WORTH_HELP = 2.0
_TRIED = 0.5

Done = tuple[int, Sequence[Outcome]]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def work_through(source: Source, preset: str, jobs: int | None = None, start: int = 0) -> Generator[Done, None, None]:
    """What becomes of the recordings after the first `start` pieces: (pieces done, their outcomes), in order.

    A piece is a file, or whatever a Divisible `read` counts, or a recording where it isn't Divisible. `jobs`
    processes work at it; by default as many as there are cores, where it takes long enough. Of what is done and
    not yet taken, a few MB a process are held.
    """
    if not isinstance(source.read, Divisible):
        rest = islice(source.read(), start, None)
        for done, outcome in enumerate(outcomes(rest, source.layout, preset), start + 1):
            yield done, [outcome]
        return
    pieces = _Pieces(source, preset, start)
    if jobs is None or jobs == 1 or not pieces.can_be_sent():
        yield from _alone(pieces, until_worth_help=jobs is None and cores() > 1 and pieces.can_be_sent())
    if pieces.left:
        yield from _together(pieces, min(jobs or cores(), pieces.left))


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


def _together(pieces: _Pieces, jobs: int) -> Iterator[Done]:
    waiting: deque[tuple[int, int, Future[tuple[list[Outcome], int]]]] = deque()
    with _crew(jobs) as give:
        while pieces.left or waiting:
            # One piece in hand and one at hand for each process: then none waits, and little is held.
            while pieces.left and len(waiting) < 2 * jobs:
                before = pieces.begun
                done, piece = pieces.next()
                waiting.append((done, done - before, give(pickle.dumps(piece, protocol=pickle.HIGHEST_PROTOCOL))))
            done, count, future = waiting.popleft()
            found, size = future.result()
            pieces.weigh(size, count)
            yield done, found


@contextmanager
def _crew(jobs: int) -> Iterator[Callable[[bytes], Future[tuple[list[Outcome], int]]]]:
    """So many processes, and a function that gives one of them a pickled piece."""
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
        yield lambda piece: threads.submit(outcomes_of, piece)
    finally:
        for worker in workers:
            worker.end()
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.close()


def _size(outcome: Outcome) -> int:
    return outcome.clip.positions.nbytes if isinstance(outcome, Made) else 0
