"""Read mutated files as a command does: each ends in a value or one InputError, within limits of time and memory."""

from __future__ import annotations

import io
import os
import resource
import signal
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutations import mutate

from i2md.errors import InputError

MAX_SECONDS = 5.0
MAX_MEGABYTES = 400
MAX_MESSAGE = 500
# Beyond what the process has, as a guard of the machine; MAX_MEGABYTES is what counts.
_MAX_ADDRESS_SPACE = 4 << 30


@dataclass(frozen=True)
class Target:
    """Something that reads files."""

    name: str
    files: dict[str, bytes]
    """The valid files, by their paths in a folder."""
    read: Callable[[Path], Any]
    """Reads the folder as a command does; returns the messages that the command would print of what it left out."""
    quick: Callable[[Path], Any] | None = None
    """The same as `read` but for what happens after reading, in a tenth of the time."""
    mutated: tuple[str, ...] = ()
    """The files that are mutated; by default all."""


@dataclass(frozen=True)
class Finding:
    """A mutation that ended in something else than a value or one InputError."""

    target: str
    number: int
    what: str


@dataclass
class Outcome:
    """How the mutations of one target ended."""

    findings: list[Finding] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    """Number of mutations that were read, and of those that were refused."""


class TookTooLong(BaseException):
    """No handler of the code under test catches it."""


def attack(
    target: Target, numbers: range, begin: Callable[[int], None] = lambda number: None, quick: bool = False
) -> Outcome:
    """Mutate a target's files and read them.

    Args:
        target: What reads which files.
        numbers: The mutations; the same number is the same mutation.
        begin: Called with each number.
        quick: Use `target.quick` where there is one.

    Returns:
        How they ended.
    """
    if quick and target.quick is not None:
        target = replace(target, read=target.quick)
    # In memory where that is possible: thousands of files are made safe on the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="i2md-fuzz-", dir=memory) as parent:
        folder = Path(parent) / "x"
        folder.mkdir()
        return _attack(target, numbers, folder, begin)


def _attack(target: Target, numbers: range, folder: Path, begin: Callable[[int], None]) -> Outcome:
    for name, data in target.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    outcome = Outcome()
    with _guarded():
        for number in numbers:
            begin(number)
            name, data = mutation(target, number)
            _replace(folder / name, data)
            end, problem = _read(target, folder)
            _replace(folder / name, target.files[name])
            outcome.ends[end] += 1
            if problem:
                outcome.findings.append(Finding(target.name, number, f"{name}: {problem}"))
    return outcome


def mutation(target: Target, number: int) -> tuple[str, bytes]:
    """The file that a mutation changes, and its changed content."""
    rng = Random(f"{target.name} {number}")
    name = rng.choice(target.mutated or sorted(target.files))
    return name, mutate(name, target.files[name], rng)


def _replace(path: Path, data: bytes) -> None:
    # A new file: what is still mapped of the old one stays as it is.
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _read(target: Target, folder: Path) -> tuple[str, str]:
    """How reading ended, and what is wrong with that."""
    before = _reset_peak()
    messages, problem, end = [], "", "read"
    try:
        with redirect_stderr(io.StringIO()), warnings.catch_warnings(), _time_limit():
            warnings.simplefilter("error")
            messages = list(target.read(folder) or [])
    except InputError as error:
        messages, end = [str(error)], "refused"
    except BaseException as error:
        problem, end = _described(error), "found"
    grown = _peak() - before
    if grown > MAX_MEGABYTES:
        problem = problem or f"{grown:.0f} MB of memory"
    for message in messages:
        problem = problem or _fault(message.replace(str(folder), ""))
    return end, problem


def _fault(message: str) -> str:
    if len(message) > MAX_MESSAGE or "\n" in message or "\r" in message or not message.strip():
        return f"a message of {len(message)} characters: {message[:200]!r}"
    hidden = ("Unable to allocate", "MemoryError", "bad_alloc", "can't allocate", "Traceback")
    return f"memory was asked for: {message!r}" if any(text in message for text in hidden) else ""


def _described(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/i2md/" in frame.filename] or list(frames)
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in own[-3:][::-1])
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]} ({where})"


@contextmanager
def _time_limit() -> Iterator[None]:
    def end(number: int, frame: Any) -> None:
        raise TookTooLong(f"more than {MAX_SECONDS:g} seconds")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _guarded() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") * 1024 + _MAX_ADDRESS_SPACE, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _status(field: str) -> int:
    """A number of kilobytes from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def _reset_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") / 1024


def _peak() -> float:
    return _status("VmHWM") / 1024
