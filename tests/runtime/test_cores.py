"""The number of cores that this process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from i2md.runtime.device import available_cores


def test_it_is_at_least_one_and_at_most_the_machine_s() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_it_respects_the_affinity_mask() -> None:
    code = (
        "import os; from i2md.runtime.device import available_cores as n; os.sched_setaffinity(0, {CORE}); print(n())"
    )
    code = code.replace("CORE", str(min(os.sched_getaffinity(0))))
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
