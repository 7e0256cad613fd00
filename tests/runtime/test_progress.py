"""Progress: a bar on a terminal, one line a minute elsewhere, and always a last line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from i2md.runtime.progress import ProgressLines, progress


def _seconds(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_one_line_a_minute_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    # The clock is read at the start, at each update and at each line: 7 seconds each time.
    clock = _seconds(7.0)
    with ProgressLines(None, 30, "train", "step", clock=lambda: next(clock)) as lines:
        for _ in range(30):
            lines.update()
    printed = capsys.readouterr().err.splitlines()
    # After 9 updates 63 seconds have passed since the line before; 30 updates are three such lines and the last.
    assert len(printed) == 4
    assert ["9/30" in printed[0], "18/30" in printed[1], "27/30" in printed[2], "30/30" in printed[3]] == [True] * 4


def test_without_a_terminal_only_the_last_line_of_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([1, 2, 3], "read", "file")) == [1, 2, 3]
    with progress(5, "train", "step", initial=2) as bar:
        bar.update(3)
        bar.set_postfix_str("loss 1.5")
    read, train = capsys.readouterr().err.splitlines()
    assert read.startswith("read: 100%") and "3/3" in read
    assert train.startswith("train: 100%") and "5/5" in train and train.endswith("loss 1.5]")


def test_work_of_unknown_length_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), "read", "file")) == ["a", "b", "c"]
    assert list(progress(iter("abc"), "read", "file", total=3)) == ["a", "b", "c"]
    first, second = capsys.readouterr().err.splitlines()
    assert "3file" in first and "3/3" in second


def test_progress_prints_a_last_line_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="broken"), progress(5, "read", "file") as bar:
        bar.update(2)
        raise ValueError("broken")
    assert "2/5" in capsys.readouterr().err


def test_hidden_progress_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), "read", "file", show=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_on_one_line() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    code = "from i2md.runtime.progress import progress\nfor _ in progress(range(3), 'read', 'file'): pass"
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    os.close(theirs)
    shown = _all_of(ours)
    assert shown.count("\r") > 1 and shown.count("\n") == 1
    assert "3/3" in shown


def _all_of(terminal: int) -> str:
    shown = b""
    # Linux ends a terminal that nobody writes to any more by an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 10_000):
            shown += part
    os.close(terminal)
    return shown.decode()
