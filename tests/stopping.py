"""The command line, killed or stopped at a chosen operation on a file of a run.

At the n-th operation on a file of the folder `run` whose path ends as given, the process kills itself, or it prints
`waiting` and waits for a line, or the end, of its standard input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any


def start(run: object, ending: str, at: int, act: str, *typed: object) -> subprocess.Popen[str]:
    """Start it as a program, with pipes for all of its streams."""
    command = [sys.executable, __file__, *map(str, (run, ending, at, act, *typed))]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def run(folder: str, ending: str, at: int, act: str, *typed: str) -> int:
    """The exit code of `i2md *typed`, if it is not killed; `act` is "kill" or "wait"."""
    from i2md.cli.main import main

    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in ("open", "os.rename", "os.remove", "os.mkdir"):
            return
        path = str(arguments[0])
        if path.startswith(folder) and path.endswith(ending):
            count += 1
            if count == at:
                if act == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                print("waiting", flush=True)
                sys.stdin.readline()

    sys.addaudithook(watch)
    return main(typed)


if __name__ == "__main__":
    folder, ending, at, act, *typed = sys.argv[1:]
    sys.exit(run(folder, ending, int(at), act, *typed))
