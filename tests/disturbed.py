"""The command line, killed at a chosen file operation or with a full disk; runs of a sweep are executed in its process.

A process that is forked for each attempt costs a tenth of one that is started, and a kill hits the runs of a sweep as
well as what surrounds them.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import Any

from jobs_here import jobs_here

import i2md.data.writer
from i2md.cli.main import main

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir")


def run(folder: str, kill_at: int, file_size: int, *typed: str) -> int:
    """The exit code of `i2md *typed`.

    Args:
        folder: Operations on files below this folder count.
        kill_at: The process kills itself before the operation of this number; 0 for none.
        file_size: No file can have more bytes, as on a full disk; 0 for no limit.
        typed: What is typed after `i2md`.
    """
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in OPERATIONS and str(arguments[0]).startswith(folder):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    i2md.data.writer.CHECKPOINT_SECONDS = -1.0
    if file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    sys.addaudithook(watch)
    with jobs_here():
        code = main(typed)
    print("operations", count)
    return code
