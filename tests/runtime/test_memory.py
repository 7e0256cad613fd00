"""Freed memory that the process keeps: asking for it again makes the kernel clear no page."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Two blocks of 36 MB, 8,789 pages each, come and go; it takes some turns until each finds a place that it fits.
# (glibc allows to keep those of 32 MB at least.)
FAULTS = """
import resource, torch
from i2md.runtime.device import keep_freed_memory

def fewest_faults():
    counted = []
    for turn in range(20):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [torch.ones(9_000_000) for _ in range(2)]
        counted.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        del blocks
    return min(counted)

print(fewest_faults())
assert keep_freed_memory()
print(fewest_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands memory back at once")
def test_freed_memory_is_reused() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    by_default, kept = map(int, done.stdout.split())
    assert kept < 10_000 < 17_000 < by_default
