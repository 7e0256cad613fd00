"""Device, precision of products, and memory of a process."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from i2md.errors import InputError
from i2md.runtime.cluster_environment import cluster_environment

# Options of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Blocks up to this size are taken from memory that is kept; older versions of glibc allow at most the second.
_LARGEST_BLOCKS = (2**30, 2**25)
_KEPT_BYTES = 2**31 - 1

if TYPE_CHECKING:
    import torch


def available_cores() -> int:
    """Number of processor cores that this process may use, by its CPU affinity and its container's limit."""
    import joblib

    return joblib.cpu_count()


def choose_device(name: str = "auto") -> torch.device:
    """The device of this process; of several processes on a machine, each uses the GPU of its local rank.

    Args:
        name: auto (a GPU where there is one), cpu, cuda or cuda:N.

    Raises:
        InputError: The name is unknown, or there is no such GPU.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"device {name!r} is not known; choose auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    environment = cluster_environment()
    if device.type == "cuda" and environment.world_size > 1:
        return _gpu_of_local_rank(name, environment.local_rank, torch.cuda.device_count())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs; choose auto or cpu")
    return device


def _gpu_of_local_rank(name: str, local_rank: int, gpus: int) -> torch.device:
    if ":" in name:
        raise InputError(f"device {name!r}: each process uses the GPU of its local rank; choose auto, cuda or cpu")
    # Slurm may make only its own GPU visible to each process.
    number = 0 if gpus == 1 else local_rank
    if number >= gpus:
        raise InputError(
            f"device {name!r}: this machine has {gpus} GPUs, none for local rank {local_rank}; start one process per"
            " GPU, or choose cpu"
        )
    import torch

    # Triton launches its kernels on the current device.
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def fast_cpu_matmul() -> Iterator[None]:
    """In the block, float32 matrix products on a CPU use oneDNN where its results are as exact as PyTorch's default.

    On processors that are not Intel's, oneDNN may be twice as fast as MKL. The only switch that selects it also
    allows bfloat16, so its exactness on this processor is tested first, once a process. The switch is the process's:
    this is for commands, not for functions that run beside a user's own products. When blocks of several threads
    overlap, the last to end restores it.
    """
    import torch

    switch = getattr(torch.backends.mkldnn, "matmul", None)
    if switch is None:  # PyTorch before 2.9
        yield
        return
    with _blocks.lock:
        if not _blocks.count:
            _blocks.before = switch.fp32_precision
            switch.fp32_precision = "bf16"
            if not _products_are_exact():
                switch.fp32_precision = _blocks.before
        _blocks.count += 1
    try:
        yield
    finally:
        with _blocks.lock:
            _blocks.count -= 1
            if not _blocks.count:
                switch.fp32_precision = _blocks.before


class _Blocks:
    """The blocks of `fast_cpu_matmul` that are running in this process."""

    def __init__(self) -> None:
        self.lock, self.count, self.before = threading.Lock(), 0, "none"


_blocks = _Blocks()


@contextmanager
def tf32_matmul(allowed: bool) -> Iterator[None]:
    """In the block, float32 matrix products on a GPU use TF32 (10-bit mantissa, several times as fast) or not.

    Both cases are set explicitly because PyTorch's defaults are mixed: exact for its own products, TF32 for cuDNN's
    recurrent layers.

    Args:
        allowed: Whether products may use TF32.
    """
    import torch

    switches = tf32_switches(torch.backends)
    before = [getattr(owner, name) for owner, name, _ in switches]
    for owner, name, (exact, rounded) in switches:
        setattr(owner, name, rounded if allowed else exact)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def tf32_switches(backends: Any) -> list[tuple[Any, str, tuple[Any, Any]]]:
    """The attributes by which PyTorch allows TF32.

    Args:
        backends: `torch.backends`.

    Returns:
        Owner, attribute name, and its values for exact and for TF32 products. The older names still work from
        PyTorch 2.9 on, but warn, and one process may not use both.
    """
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        owners = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
        return [(owner, "fp32_precision", ("ieee", "tf32")) for owner in owners]
    return [(owner, "allow_tf32", (False, True)) for owner in (backends.cuda.matmul, backends.cudnn)]


@cache
def _products_are_exact() -> bool:
    """Whether oneDNN's float32 products of several shapes are as close to float64 as float32 allows."""
    import torch

    draws = torch.Generator().manual_seed(0)
    for shapes in (((256, 300), (300, 128)), ((6, 32, 64), (6, 64, 64)), ((64, 512), (512, 1000))):
        left, right = (torch.randn(*shape, generator=draws) for shape in shapes)
        error = (left @ right).double() - left.double() @ right.double()
        if error.abs().max() > 1e-6 * shapes[0][-1]:
            return False
    return True


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB of freed memory for the next training step.

    By default glibc returns large blocks to the kernel as they are freed, and the kernel zeroes each page again when
    the next step allocates it: a seventh of a small model's step. Other C libraries are left as they are.

    Returns:
        Whether the C library supports it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    kept = any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST_BLOCKS)
    return kept and bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
