"""`i2md explore` as a process of its own, to be killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

_COMMAND = (
    "-c",
    "import sys; from i2md.cli.main import main; sys.exit(main(['explore', *sys.argv[1:], '--no_browser']))",
)


class Explore:
    """The command, until it is ended.

    Args:
        words: What is typed after `i2md explore`.
        log: File for what it prints.
        folder: Where it is typed.
        module: Another program that serves an explorer.
    """

    def __init__(self, *words: object, log: Path, folder: Path | None = None, module: str = "") -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *(("-m", module) if module else _COMMAND), *map(str, words)],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.address = self._address()

    def _address(self) -> str:
        for _ in range(1200):
            found = re.search(r"open (http://\S+)[\s\S]*Ctrl-C", self.log.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def memory(self) -> int:
        """Resident memory, in MB."""
        (line,) = [
            each for each in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if "VmRSS" in each
        ]
        return int(line.split()[1]) // 1024

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> tuple[int, str]:
        """End it by Ctrl-C: the exit code, and what it had printed."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=20)
        return code, self.log.read_text()
