"""The command line, paused at a chosen call until its test lets it continue: no test has to guess how long to wait.

`Forked(run, "i2md.distributed.collectives:all_reduce_max", 5, "pretrain", ...)` in a test, or this file as a program
with these arguments, prints `paused PID RANK` before the fifth call of that function and waits for a line, or the end,
of its standard input.
"""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from operator import attrgetter
from typing import Any

from forked import Forked

# What one training step of every rank ends with: the n-th call is at the end of step n.
END_OF_STEP = "i2md.distributed.collectives:all_reduce_max"


def command(target: str, call: int, *typed: object) -> list[str]:
    """Words after `python` that run `i2md *typed` paused before the `call`-th call of `target`."""
    return [__file__, target, str(call), *map(str, typed)]


def wait_until_paused(process: subprocess.Popen[str] | Forked) -> tuple[int, int]:
    """Wait until a process is paused; its id, another one than `process` where torchrun started it, and its rank."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith("paused "):
            _, number, rank = line.split()
            return int(number), int(rank)
    raise AssertionError(f"it ended before the call: {process.communicate()[1]}")


def pause_at(target: str, call: int) -> None:
    """Pause this process before the `call`-th call of `target`."""
    module_name, path = target.split(":")
    owner: Any = importlib.import_module(module_name)
    *classes, name = path.split(".")
    if classes:
        owner = attrgetter(".".join(classes))(owner)
    function, calls = getattr(owner, name), 0

    @functools.wraps(function)
    def paused(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.write(
                1, f"paused {os.getpid()} {os.environ.get('RANK', 0)}\n".encode()
            )  # in one piece: ranks may share the pipe
            os.read(0, 1)
        return function(*arguments, **keywords)

    setattr(owner, name, paused)


def run(target: str, call: int, *typed: str) -> int:
    """The exit code of `i2md *typed`, paused before the `call`-th call of `target`."""
    pause_at(target, call)
    from i2md.cli.main import main

    return main(typed)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
