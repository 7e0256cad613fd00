"""Memory that a step frees is kept for the next one."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
# Blocks up to this size come from memory that is kept; older glibc allow no more than the second.
LARGEST_BLOCK = (2**30, 2**25)
KEPT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have this process keep up to 2 GiB of freed memory instead of handing it back at once; False where it can't.

    By itself glibc hands large blocks back as they are freed, and the kernel clears every page of them again when the
    next step asks: a seventh of a small model's step, and as long as the views take. Other libraries are left as
    they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BLOCK) and bool(mallopt(TRIM_THRESHOLD, KEPT))
