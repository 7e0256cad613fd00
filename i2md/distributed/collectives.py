"""Many processes at one job: each has a rank, and they meet in the functions below.

All of them do nothing, not even copy, where a process is alone, as it is outside of `together`. Every process has
to call them in the same order. Where another process has gone they raise RankLost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor

from i2md.distributed.launch import Launch, find_launch
from i2md.distributed.rendezvous import leave_in_failure, meet, stay_for_the_others
from i2md.errors import InputError, RankLost

# A process that ends is noticed at once; this is for machines that fall silent. So long the others also wait for
# what the first does by itself, such as a report.
PATIENCE = timedelta(minutes=30)
# Gradients travel in blocks of so many numbers (64 MB of float32): few messages, little memory.
BLOCK = 2**24

Value = TypeVar("Value")

_here = Launch()


@contextmanager
def process_group() -> Iterator[None]:
    """Within the block, the processes that torchrun or Slurm started work as one; they leave it together.

    CPU tensors travel by gloo, CUDA tensors by nccl. Raises InputError where the processes do not meet.
    """
    global _here
    launch = find_launch()
    if launch.count == 1:
        yield
        return
    _connect(launch)
    _here = launch
    try:
        yield
        barrier()
        dist.destroy_process_group()
    except BaseException as error:
        leave_in_failure()
        # A message to the one that is gone may still be under way on a GPU, and closing would wait for it.
        if not (isinstance(error, RankLost) and torch.cuda.is_available()):
            dist.destroy_process_group()
        stay_for_the_others(launch)
        raise
    finally:
        _here = Launch()


@contextmanager
def single_process() -> Iterator[None]:
    """Within the block this process is the only one: for work that each does for itself, whole or on its own part."""
    global _here
    before, _here = _here, Launch()
    try:
        yield
    finally:
        _here = before


def world_size() -> int:
    """How many processes work together."""
    return _here.count


def is_main_process() -> bool:
    """Whether this process is the one that writes and shows what happens."""
    return _here.rank == 0


def local_rows(x: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "rows ..."]:
    """This process's part of a batch that all of them hold; the batch is a multiple of `count()`."""
    return x if _here.count == 1 else x.chunk(_here.count)[_here.rank]


def local_range(parts: int) -> range:
    """Which of `parts` pieces of work are this process's: successive ones, and as many as the others', or one more."""
    return range(parts * _here.rank // _here.count, parts * (_here.rank + 1) // _here.count)


def all_gather_rows(x: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "batch ..."]:
    """The rows of all processes in the order of their ranks, equally many each: `own_rows` taken back.

    The gradient of each process's rows is the sum of what all processes make of them.
    """
    return x if _here.count == 1 else cast(Tensor, _GatherRows.apply(x))


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(_here.count)]
        with _noticing_loss():
            dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        with _noticing_loss():
            dist.all_reduce(total)
        return local_rows(total)


def all_reduce_sum(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by the sum of all processes', in place; they are of one type and on one device."""
    _reduce(tensors, divisor=1)


def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by the mean over all processes, as `add_up` does by the sum."""
    _reduce(tensors, divisor=_here.count)


def _reduce(tensors: Iterable[Tensor], divisor: int) -> None:
    if _here.count == 1:
        return
    for block in _blocks(tensors):
        flat = torch.cat([tensor.flatten() for tensor in block])
        with _noticing_loss():
            dist.all_reduce(flat)
        flat /= divisor
        for tensor, total in zip(block, flat.split([tensor.numel() for tensor in block]), strict=True):
            tensor.copy_(total.view_as(tensor))


def _blocks(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in order, some at a time: at least one, and no more than a block holds."""
    block: list[Tensor] = []
    for tensor in tensors:
        if block and sum(other.numel() for other in block) + tensor.numel() > BLOCK:
            yield block
            block = []
        block.append(tensor)
    if block:
        yield block


def all_reduce_max(number: int) -> int:
    """The largest of the processes' numbers. Settled between the hosts: no device is waited for."""
    if _here.count == 1:
        return number
    largest = torch.tensor(number)
    with _noticing_loss():
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def barrier() -> None:
    """Wait for all processes."""
    all_reduce_max(0)


def broadcast(value: Value) -> Value:
    """The value that the first process gave, which may be any object that pickles."""
    if _here.count == 1:
        return value
    box = [value]
    with _noticing_loss():
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def all_gather_object(value: Value) -> list[Value]:
    """The values that the processes gave, in the order of their ranks."""
    if _here.count == 1:
        return [value]
    values: list[Any] = [None] * _here.count
    with _noticing_loss():
        dist.all_gather_object(values, value)
    return values


def run_on_main(work: Callable[[], object]) -> None:
    """Have the first process do what is done once for all, such as writing; what it meets with, all raise."""

    def nothing() -> None:
        work()

    broadcast_result(nothing)


def broadcast_result(work: Callable[[], Value]) -> Value:
    """What the first process gets by work that it alone does; what it meets with, all raise."""
    result: Value | InputError | OSError | None = None
    if is_main_process():
        try:
            result = work()
        except (InputError, OSError) as error:
            result = error
    result = broadcast(result)
    if isinstance(result, (InputError, OSError)):
        raise result
    return cast(Value, result)


def _connect(launch: Launch) -> None:
    # Its functions have the group of the moment of import as their default, and would keep it, and its threads,
    # until the interpreter ends: under load such a thread then takes the whole process down. Optimisers import it.
    import torch.distributed.nn

    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(
            backends, store=meet(launch), rank=launch.rank, world_size=launch.count, timeout=PATIENCE
        )
    except RuntimeError as error:
        raise InputError(
            f"{launch.host}:{launch.port}: process {launch.rank} of {launch.count} did not meet the others there"
            f" ({_reason(error)}); start all of them, on machines that reach one another"
        ) from None


@contextmanager
def _noticing_loss() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"another process of this job has gone ({_reason(error)})") from error


def _reason(error: RuntimeError) -> str:
    """What torch says, without the place in its source that says it, and without its guesses."""
    words = re.sub(r"^\[[^\]]*\]\s*", "", " ".join(str(error).split()))
    return words.split(". ")[0].rstrip(".")
