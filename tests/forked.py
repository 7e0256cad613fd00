"""Processes that start with torch and the package imported, for tests that kill, stop or pause many of them.

A process that trains spends five seconds on imports. Here one server process per pytest process imports them once, and
each process is a fork of it: `multiprocessing` calls that the start method forkserver. It has its own pipes, signals
and exit code, as one started by `subprocess.Popen` has, whose methods are here too.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

_PRELOADED = ["torch", "torch._dynamo", "tensorboard.compat.proto.event_pb2", "i2md.cli.main", "i2md.cli.parser"]
_PRELOADED += ["i2md.cli.printing", "i2md.commands", "i2md.pretraining.pretrain", "i2md.evaluation.monitor"]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)


def preload(*modules: str) -> None:
    """Import further modules once for all processes; without effect if one has been started already."""
    _CONTEXT.set_forkserver_preload([*_PRELOADED, *modules])


class Forked:
    """A process that calls a function and exits with what it returns.

    Args:
        function: A function of a module that the process can import.
        arguments: Its arguments.
        environment: Environment variables to set.

    Attributes:
        pid: Number of the process.
        returncode: Exit code once `wait` or `communicate` has returned, minus the signal for one that was killed.
        stdin: What is written here, the function reads from its standard input.
        stdout: What the function writes.
        stderr: The same for standard error.
    """

    def __init__(self, function: Callable[..., int], *arguments: object, environment: Mapping[str, str] = {}) -> None:
        pipes = [_CONTEXT.Pipe(duplex=False) for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        call = (function, arguments, dict(environment), sys.path, *theirs)
        self._process = _CONTEXT.Process(target=_call, args=call, daemon=True)
        self._process.start()
        for end in theirs:
            end.close()
        self.pid = self._process.pid or 0
        self.returncode: int | None = None
        modes = zip((pipes[0][1], pipes[1][0], pipes[2][0]), "wrr", strict=True)
        self.stdin, self.stdout, self.stderr = (os.fdopen(_taken(end), mode) for end, mode in modes)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, timeout: float) -> int:
        """Wait for its end; its exit code."""
        self._process.join(timeout)
        self.returncode = self._process.exitcode
        assert self.returncode is not None, f"still running after {timeout} s"
        return self.returncode

    def communicate(self, text: str = "", timeout: float = 300.0) -> tuple[str, str]:
        """Write to its standard input, close it, and wait for the end; what it wrote since to stdout and stderr."""
        written: dict[str, str] = {}

        def read(name: str) -> None:
            with getattr(self, name) as file:
                written[name] = file.read()

        readers = [threading.Thread(target=read, args=(name,)) for name in ("stdout", "stderr")]
        for reader in readers:
            reader.start()
        try:
            with self.stdin:
                self.stdin.write(text)
        except BrokenPipeError:
            pass
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return written["stdout"], written["stderr"]


def _taken(end: Connection) -> int:
    """A file descriptor of a pipe's end that is ours to close."""
    number = os.dup(end.fileno())
    end.close()
    return number


def _call(
    function: Callable[..., int],
    arguments: tuple[object, ...],
    environment: Mapping[str, str],
    path: list[str],
    *ends: Connection,
) -> None:
    os.environ.update(environment)
    sys.path[:] = path
    for number, end in enumerate(ends):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
    try:
        code = function(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)
