"""A process that does one job: `python -m i2md.experiments.worker`, told which by a line on its standard input.

It ends when its input does, as Ctrl-C would end it: also when the process that started it was killed. So no run is
left behind that nobody waits for, and what it has learnt is saved.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from i2md.experiments.job import Job
from i2md.runtime.exit_codes import exit_status


def main() -> int:
    """Do the job that is told; the exit status of the command line."""
    line = sys.stdin.readline()
    threading.Thread(target=_stop_with_input, daemon=True).start()
    _wait_for_forerunner()
    return exit_status(lambda: _do(Job.from_line(line)), goes_on=True)


def _do(job: Job) -> int:
    job.do()
    return 0


def _stop_with_input() -> None:
    # Past the buffer: it may not be in use when the interpreter ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_forerunner() -> None:
    """Wait for a process that is still at this run: of a sweep that was killed, or of another one.

    All of them write to the run's log, which is therefore what they lock; it is free when a process ends, however.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(sys.stderr.fileno(), fcntl.LOCK_EX)
    except OSError:  # a disk whose files can't be locked
        return


if __name__ == "__main__":
    sys.exit(main())
