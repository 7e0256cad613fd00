"""Time several implementations of one task in alternation, and the rate of this machine's matrix products.

Machines differ and are shared: the implementations are called alternately in one process, each round gives one ratio,
and the result is the median ratio with its range.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from i2md.runtime.device import fast_cpu_matmul

Spent = dict[str, list[float]]


def time_interleaved(
    implementations: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Spent:
    """Seconds that each implementation took in each round, after one round to warm up.

    With `clock=time.process_time` it is processor time, in which other processes do not count.
    """
    spent: Spent = {name: [] for name in implementations}
    for round_number in range(rounds + 1):
        for name, function in implementations.items():
            seconds = timed(function, clock)
            if round_number:
                spent[name].append(seconds)
    return spent


def timed(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a function takes, the work of a GPU included."""
    _wait_for_gpu()
    began = clock()
    function()
    _wait_for_gpu()
    return clock() - began


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, smallest and largest, to four digits.

    >>> spread([2, 1, 4])
    {'median': 2.0, 'from': 1.0, 'to': 4.0}
    """
    values = list(values)
    found = {"median": statistics.median(values), "from": min(values), "to": max(values)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def ratios(spent: Mapping[str, Sequence[float]], ours: str = "ours") -> dict[str, dict[str, float]]:
    """How many times as long as ours every other implementation took, round by round.

    >>> ratios({"ours": [1, 2], "plain": [3, 4]})
    {'plain': {'median': 2.5, 'from': 2.0, 'to': 3.0}}
    """
    return {
        name: spread(theirs / own for own, theirs in zip(spent[ours], values, strict=True))
        for name, values in spent.items()
        if name != ours
    }


def product_rate(
    dtype: torch.dtype,
    seconds: float = 1.0,
    device: torch.device | str = "cpu",
    shape: tuple[int, int, int] = (4096, 2048, 2048),
) -> float:
    """GFLOP a second of a large product (median over about so many seconds), by PyTorch's own choice of library.

    Inside `i2md.runtime.device.fast_cpu_matmul` it is the rate of the products of training.
    """
    rows, inner, columns = shape
    draws = torch.Generator().manual_seed(0)
    left = torch.randn(rows, inner, generator=draws).to(device, dtype)
    right = torch.randn(inner, columns, generator=draws).to(device, dtype)
    product = lambda: left @ right  # noqa: E731
    product()
    spent = [timed(product)]
    while sum(spent) < seconds:
        spent.append(timed(product))
    return 2 * rows * inner * columns / statistics.median(spent) / 1e9


def product_rates(
    seconds: float = 1.0,
    device: torch.device | str = "cpu",
    shape: tuple[int, int, int] = (4096, 2048, 2048),
) -> dict[str, float]:
    """GFLOP a second of this machine, by precision: what the fractions in the benchmarks refer to."""
    rates = {"float32": product_rate(torch.float32, seconds, device, shape)}
    with fast_cpu_matmul():
        rates["float32, oneDNN"] = product_rate(torch.float32, seconds, device, shape)
    rates["bfloat16"] = product_rate(torch.bfloat16, seconds, device, shape)
    return {name: round(rate, 1) for name, rate in rates.items()}


def machine(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Device, threads, cores and version of PyTorch, to be stated with measurements."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "cpu"


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
