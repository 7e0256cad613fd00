"""Where the work runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from i2md.distributed.launch import find_launch
from i2md.errors import InputError

if TYPE_CHECKING:
    import torch


def available_cores() -> int:
    """The processor cores that this process may use: within its affinity mask and its container's limit."""
    import joblib

    return joblib.cpu_count()


def choose_device(name: str = "auto") -> torch.device:
    """The device called auto, cpu, cuda or cuda:N; auto takes a GPU where there is one.

    Of several processes on a machine each takes a GPU of its own.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"device {name!r} is not known; choose auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and find_launch().count > 1:
        return _take_own_gpu(name, find_launch().local, torch.cuda.device_count())
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs; choose auto or cpu")
    return device


def _take_own_gpu(name: str, local: int, gpus: int) -> torch.device:
    if ":" in name:
        raise InputError(f"device {name!r}: each process takes a GPU of its own; choose auto, cuda or cpu")
    # Slurm may show each process its own GPU alone.
    number = 0 if gpus == 1 else local
    if number >= gpus:
        raise InputError(
            f"device {name!r}: this machine has {gpus} GPUs, and process {local} there finds none; start a process"
            " a GPU, or choose cpu"
        )
    import torch

    # Kernels that are told no device run on the current one.
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def quick_products() -> Iterator[None]:
    """Inside, float32 products on a CPU go through oneDNN where that is as exact as PyTorch's own way.

    Off Intel's processors oneDNN may be twice as fast as MKL. The one switch that leads there also allows
    bfloat16, so its exactness is tried out on this processor first.
    """
    import torch

    switch = getattr(torch.backends.mkldnn, "matmul", None)
    if switch is None:  # PyTorch before 2.9
        yield
        return
    before = switch.fp32_precision
    switch.fp32_precision = "bf16"
    if not _products_are_exact():
        switch.fp32_precision = before
    try:
        yield
    finally:
        switch.fp32_precision = before


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Inside, float32 products on a GPU round their factors to TF32's 10 bits if `allowed`, and only then.

    Tensor cores take them so, several times as fast. Both ways are set because PyTorch's defaults are mixed: its own
    products are exact, cuDNN's recurrences are not.
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
    """Where `torch.backends` allows TF32: owner, attribute, and its values for exact and for rounded products.

    The older names still work from PyTorch 2.9 on, but warn, and one process may not use both.
    """
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        owners = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
        return [(owner, "fp32_precision", ("ieee", "tf32")) for owner in owners]
    return [(owner, "allow_tf32", (False, True)) for owner in (backends.cuda.matmul, backends.cudnn)]


def _products_are_exact() -> bool:
    """Whether float32 products, of several shapes, are as near to float64's as float32 can be."""
    import torch

    draws = torch.Generator().manual_seed(0)
    for shapes in (((256, 300), (300, 128)), ((6, 32, 64), (6, 64, 64)), ((64, 512), (512, 1000))):
        left, right = (torch.randn(*shape, generator=draws) for shape in shapes)
        error = (left @ right).double() - left.double() @ right.double()
        if error.abs().max() > 1e-6 * shapes[0][-1]:
            return False
    return True
