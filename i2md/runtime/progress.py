"""Progress of long work: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

from tqdm import tqdm

Item = TypeVar("Item")

# Seconds between two lines where standard error is not a terminal.
LINE_SECONDS = 60.0


class ProgressLines(Generic[Item]):
    """The part of tqdm's interface that this package uses, as lines of a log: one a minute and a last one.

    Args:
        items: What to iterate over; None where `update` is called instead.
        total: Number of items; None where it is unknown.
        description: First word of every line.
        unit: Name of one item.
        initial: Items that were done before.
        clock: Seconds; replaced in tests.
    """

    def __init__(
        self,
        items: Iterable[Item] | None,
        total: int | None,
        description: str,
        unit: str,
        initial: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n = self.initial = initial
        self.total = total
        self._items, self._description, self._unit, self._clock = items, description, unit, clock
        self._started = self._printed = clock()
        self._postfix = ""
        self._closed = False

    def update(self, n: int = 1) -> None:
        """Count `n` more items as done."""
        self.n += n
        if self._clock() - self._printed >= LINE_SECONDS:
            self._print()

    def set_postfix_str(self, s: str) -> None:
        """Set what follows the numbers from the next line on."""
        self._postfix = s

    def close(self) -> None:
        """Print the last line."""
        if not self._closed:
            self._closed = True
            self._print()

    def _print(self) -> None:
        self._printed = self._clock()
        line = tqdm.format_meter(
            self.n,
            self.total or 0,
            self._printed - self._started,
            ncols=0,
            prefix=self._description,
            unit=self._unit,
            postfix=self._postfix,
            initial=self.initial,
        )
        print(line, file=sys.stderr, flush=True)

    def __iter__(self) -> Iterator[Item]:
        try:
            for item in self._items or ():
                yield item
                self.update()
        finally:
            self.close()

    def __enter__(self) -> ProgressLines[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@overload
def progress(
    work: int | None, description: str, unit: str, *, total: int | None = None, initial: int = 0, show: bool = True
) -> tqdm[Any] | ProgressLines[Any]: ...


@overload
def progress(
    work: Iterable[Item], description: str, unit: str, *, total: int | None = None, initial: int = 0, show: bool = True
) -> tqdm[Item] | ProgressLines[Item]: ...


def progress(
    work: Iterable[Item] | int | None,
    description: str,
    unit: str,
    *,
    total: int | None = None,
    initial: int = 0,
    show: bool = True,
) -> tqdm[Any] | ProgressLines[Any]:
    """Show the progress of long work on standard error: a bar on a terminal, one line a minute elsewhere.

    Args:
        work: Items to iterate over, or their number where the caller calls `update`; None where it is unknown.
        description: What is being done, one or two words.
        unit: Name of one item, in the singular.
        total: Number of items, where `work` is an iterable without a length.
        initial: Items that were done before, by a command that resumes.
        show: False shows nothing, as in all processes of a job but the first.

    Returns:
        An iterable and context manager with `update(n)` and `set_postfix_str(text)`.

    >>> list(progress([1, 2, 3], "read", "file", show=False))
    [1, 2, 3]
    >>> with progress(10, "train", "step", show=False) as bar:
    ...     bar.update(5)
    """
    items = None if work is None or isinstance(work, int) else work
    if total is None:
        total = work if isinstance(work, int) else len(work) if isinstance(work, Sized) else None
    if show and not sys.stderr.isatty():
        return ProgressLines(items, total, description, unit, initial)
    return tqdm(
        cast("Iterable[Any]", items),
        total=total,
        initial=initial,
        unit=unit,
        desc=description,
        dynamic_ncols=True,
        disable=not show,
    )
