"""A process that reads and prepares pieces of a source: `python -m i2md.data.worker`, spoken to through its pipes.

It is started afresh, not copied from a process with threads, and runs nothing of the caller's script. It ends
when its input does: also when the process that started it was killed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from contextlib import suppress
from typing import IO, Any

from i2md.data.outcomes import Outcome
from i2md.data.readers.files import archives_kept_open
from i2md.errors import Stopped


class InWorker(Exception):
    """Where in another process an error was raised."""


class Worker:
    """Another process, that takes one Piece at a time."""

    def __init__(self) -> None:
        # One thread each: there are as many of these processes as cores.
        one_thread = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "i2md.data.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(sys.path)},
            # In a group of its own Ctrl-C does not reach it: the process that started it decides.
            start_new_session=True,
        )

    def outcomes(self, piece: bytes) -> tuple[list[Outcome], int]:
        """What becomes of a pickled Piece, and how many bytes that took; raises what was raised there."""
        assert self._process.stdin and self._process.stdout
        try:
            _send(self._process.stdin, piece)
            answer = _received(self._process.stdout)
        except OSError:
            answer = None
        if answer is None:
            raise Stopped(
                f"a process that read recordings ended ({self._process.wait()}), perhaps for want of memory;"
                " the same command goes on from here, --jobs 1 takes the least memory"
            )
        return outcomes_in(answer), len(answer)

    def end(self) -> None:
        """End the process, whatever it is at; who waits for an outcome is told that it ended."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go of the pipes of a process that has ended, once nobody waits for it."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                assert pipe
                pipe.close()


def main() -> None:
    """Answer pieces until there are no more."""
    answers, pieces = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    # What a reader prints must not come between the answers.
    os.dup2(2, 1)
    # Where the process that started it was killed, there is nobody to complain to.
    with suppress(BrokenPipeError), archives_kept_open(), answers:
        while (piece := _received(pieces)) is not None:
            _send(answers, answer(piece))


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(8, "big"))
    stream.write(message)
    stream.flush()


def _received(stream: IO[bytes]) -> bytes | None:
    """The next message; None where the stream ends before it does."""
    head = stream.read(8)
    size = int.from_bytes(head, "big")
    message = stream.read(size) if len(head) == 8 else b""
    return message if message and len(message) == size else None


def answer(piece: bytes) -> bytes:
    """What becomes of a pickled Piece, or the error that it raised, pickled in turn."""
    try:
        return _pickled(pickle.loads(piece).outcomes())
    except Exception as error:
        text = traceback.format_exc()
        try:
            told = _pickled((error, text))
            pickle.loads(told)
        except Exception:
            told = _pickled((RuntimeError(text), text))
        return told


def outcomes_in(answer: bytes) -> list[Outcome]:
    """What `answer` told; raises what was raised there."""
    result = pickle.loads(answer)
    if isinstance(result, list):
        return result
    error, text = result
    raise error from InWorker(text)


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
