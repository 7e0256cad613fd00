"""A command that must fail with an input error: exit code 2, one line, no traceback, nothing half-written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from i2md.cli.main import main
from i2md.data import writer

Refused = Callable[..., str]
# What progress bars count.
UNITS = ("step/s", "clip/s", "file/s", "epoch/s", "it/s", "s/step", "s/clip", "s/epoch", "s/it")


def refusing(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """A function from a command's words to its error message; nothing below `folder` may change."""

    def refused(*words: object) -> str:
        before = _contents(folder)
        capsys.readouterr()
        # However slow the machine: what `prepare` saves of long work, to resume from, would remain.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer, "CHECKPOINT_SECONDS", math.inf)
            code = main([str(word) for word in words])
        line = one_line(capsys.readouterr().err)
        assert code == 2, line
        assert _contents(folder) == before
        return line

    return refused


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def one_line(stderr: str) -> str:
    """The error message, which is all of standard error but for progress bars."""
    lines = [line for line in stderr.replace("\r", "\n").splitlines() if line.strip()]
    plain = [line for line in lines if not any(unit in line for unit in UNITS)]
    assert len(plain) == 1, plain
    assert plain[0].startswith("i2md: ")
    assert lines[-1] == plain[0]
    return plain[0]
