"""Collective operations of a process group.

With one process they do nothing and do not copy their arguments. Every process has to call them in the same order;
where another process has ended they raise RankLost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor

from i2md.distributed.process_group import detecting_lost_ranks, is_main_process, rank, world_size
from i2md.errors import InputError

# Tensors are reduced in buffers of this many elements (64 MB of float32): few messages, little memory.
BUFFER_SIZE = 2**24

Value = TypeVar("Value")


def local_rows(x: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "rows ..."]:
    """This process's rows of a batch that all processes hold.

    Args:
        x: The batch; its length is a multiple of the world size.

    Returns:
        A view of the rows of this rank.
    """
    return x if world_size() == 1 else x.chunk(world_size())[rank()]


def local_range(parts: int) -> range:
    """This process's part of `parts` pieces of work: consecutive, and as many as every other rank's or one more.

    Args:
        parts: Number of pieces.

    Returns:
        Indices of the pieces of this rank.
    """
    return range(parts * rank() // world_size(), parts * (rank() + 1) // world_size())


def all_gather_rows(x: Shaped[Tensor, "rows ..."]) -> Shaped[Tensor, "batch ..."]:
    """Concatenate the rows of all processes in the order of ranks: the inverse of `local_rows`.

    Args:
        x: This process's rows; every process has the same number.

    Returns:
        The batch. Its gradient is summed over all processes before each takes that of its own rows.
    """
    return x if world_size() == 1 else cast(Tensor, _AllGatherRows.apply(x))


class _AllGatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        with detecting_lost_ranks():
            dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        with detecting_lost_ranks():
            dist.all_reduce(total)
        return local_rows(total)


def all_reduce_sum(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in place.

    Args:
        tensors: Tensors of one type on one device.
    """
    _all_reduce(tensors, divisor=1)


def all_reduce_mean(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its mean over all processes, in place.

    Args:
        tensors: Tensors of one type on one device.
    """
    _all_reduce(tensors, divisor=world_size())


def _all_reduce(tensors: Iterable[Tensor], divisor: int) -> None:
    if world_size() == 1:
        return
    for buffer in _buffers(tensors):
        flat = torch.cat([tensor.flatten() for tensor in buffer])
        with detecting_lost_ranks():
            dist.all_reduce(flat)
        flat /= divisor
        for tensor, total in zip(buffer, flat.split([tensor.numel() for tensor in buffer]), strict=True):
            tensor.copy_(total.view_as(tensor))


def _buffers(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in order, as many at a time as fit into a buffer, and at least one."""
    buffer: list[Tensor] = []
    for tensor in tensors:
        if buffer and sum(other.numel() for other in buffer) + tensor.numel() > BUFFER_SIZE:
            yield buffer
            buffer = []
        buffer.append(tensor)
    if buffer:
        yield buffer


def all_reduce_max(number: int) -> int:
    """The maximum of an integer over all processes; exchanged between hosts without waiting for a GPU.

    Args:
        number: This process's integer.

    Returns:
        The largest of all processes' integers.
    """
    if world_size() == 1:
        return number
    largest = torch.tensor(number)
    with detecting_lost_ranks():
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def broadcast(value: Value) -> Value:
    """The main process's value.

    Args:
        value: Any object that can be pickled; ignored on other ranks.

    Returns:
        The value given on rank 0.
    """
    if world_size() == 1:
        return value
    box = [value]
    with detecting_lost_ranks():
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def all_gather_object(value: Value) -> list[Value]:
    """The values of all processes in the order of ranks.

    Args:
        value: Any object that can be pickled.

    Returns:
        One value per rank.
    """
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    with detecting_lost_ranks():
        dist.all_gather_object(values, value)
    return values


def run_on_main(work: Callable[[], object]) -> None:
    """Do something once for all processes, such as writing a file: on the main process, while the others wait.

    Args:
        work: What to do.

    Raises:
        InputError, OSError: Raised by `work` on the main process; all processes raise it.
    """

    def without_result() -> None:
        work()

    broadcast_result(without_result)


def broadcast_result(work: Callable[[], Value]) -> Value:
    """Call a function on the main process only and send what it returns to all.

    Args:
        work: Returns an object that can be pickled.

    Returns:
        What `work` returned on the main process.

    Raises:
        InputError, OSError: Raised by `work` on the main process; all processes raise it.
    """
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
