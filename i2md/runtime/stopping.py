"""Stopping between two steps instead of within one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from i2md.errors import RankLost


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM end the step in hand instead of cutting it; the list fills when one has come.

    They keep doing so once a process of the job is lost: launchers then end the others by SIGTERM, and what has
    happened is to be said first.
    """
    received: list[int] = []
    handled = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {number: signal.signal(number, lambda n, _: received.append(n)) for number in handled}
    except ValueError:  # not the main thread: signals are the caller's business
        before = {}
    try:
        yield received
    except RankLost:
        before = {}
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
