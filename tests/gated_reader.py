"""Format `gated`, a plug-in: NTU RGB+D files, of which a chosen one is read only when the test lets it.

As a script it is the command line, with a checkpoint after each file that is announced on standard output. So a test
knows exactly how far a command has come when it stops it, and waits for nothing but what it reads from pipes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from i2md.data.readers import open_source as open_format
from i2md.data.readers.reading import Reading
from i2md.data.recording import Recording, Source, Unreadable

GATE = "I2MD_TEST_GATE"
PATIENCE = 120.0


@dataclass(frozen=True)
class GatedPass:
    """A pass over files that waits before the file which the environment names."""

    files: Reading

    def __len__(self) -> int:
        return len(self.files)

    def part(self, start: int, stop: int) -> GatedPass:
        """The pass over files `start` to `stop` - 1."""
        return GatedPass(self.files.part(start, stop))

    def __call__(self) -> Iterator[Recording | Unreadable]:
        """File after file."""
        gate = os.environ.get(GATE)
        for index in range(len(self.files)):
            file = self.files.part(index, index + 1)
            if gate and file.files[0].base == Path(gate).name:
                # Each of these blocks until the test opens the other end.
                Path(gate, "reached").write_text(str(os.getpid()))
                Path(gate, "open").read_text()
            yield from file()


def open_source(path: Path) -> Source:
    """The reader that the entry point names."""
    source = open_format("ntu-rgbd", path)
    assert isinstance(source.read, Reading)
    return replace(source, read=GatedPass(source.read))


class Gate:
    """The pipes that hold up the reader at a file."""

    def __init__(self, folder: Path, file: str) -> None:
        self._pipes = folder / file
        self._pipes.mkdir(parents=True)
        for name in ("reached", "open"):
            os.mkfifo(self._pipes / name)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be held up."""
        return {GATE: str(self._pipes)}

    def wait_until_reached(self) -> int:
        """The number of the process that waits at the gate."""
        return int((self._pipes / "reached").read_text())

    def open(self) -> None:
        """Let the process go on that has reached the gate."""
        (self._pipes / "open").write_text("")


class Command:
    """`i2md prepare gated ARGUMENTS` in a process group of its own, which announces its checkpoints."""

    def __init__(self, *arguments: object, gate: Gate | None = None) -> None:
        path = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, __file__, "prepare", "gated", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, **(gate.environment if gate else {})},
        )

    def wait_until_done(self, files: int) -> None:
        """Returns when a checkpoint covers exactly so many files."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line == f"checkpoint {files}\n":
                return
        raise AssertionError(self.process.communicate(timeout=PATIENCE)[1])

    def end(self, number: int | None = None, group: bool = False) -> tuple[int, str]:
        """Send a signal, if any, and wait: exit code and standard error, once no process holds its other end."""
        if number is not None:
            (os.killpg if group else os.kill)(self.process.pid, number)
        stderr = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, stderr


def _main() -> int:
    import i2md.data.pipeline
    import i2md.data.prepare
    from i2md.cli.main import main
    from i2md.data.writer import ClipsWriter

    i2md.data.pipeline._MAX_CHUNK = 1
    i2md.data.writer.CHECKPOINT_SECONDS = -1.0
    checkpoint = ClipsWriter.checkpoint

    def announced(writer: ClipsWriter, note: Any = None) -> None:
        checkpoint(writer, note)
        print(f"checkpoint {note['done']}", flush=True)

    ClipsWriter.checkpoint = announced  # type: ignore[method-assign]
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
