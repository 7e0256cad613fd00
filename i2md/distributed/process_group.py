"""The process group of a job: torch.distributed's, initialised from the environment that torchrun or Slurm set.

Two things are added to `torch.distributed.init_process_group("env://")`:

- Every group has a key prefix of its own in the job's store. torchrun keeps one store for the whole job; groups opened
  one after another in the same processes read each other's stale keys there, and the third one hangs. Commands open a
  group each, so a script that calls `pretrain` and then `evaluate` needs this
  (tests/two_ranks.py opens seven groups under torchrun).
- When processes fail, one of them reports the error: the one that failed first. torchrun names the failed rank but
  cannot print its message, and without it every other rank would report that it lost a process
  (tests/distributed/test_collectives.py, tests/cli/test_cli_distributed.py).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, cast

import torch
import torch.distributed as dist

from i2md.errors import InputError, RankLost
from i2md.runtime.cluster_environment import ClusterEnvironment, cluster_environment
from i2md.runtime.exit_codes import set_reported_here

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

RENDEZVOUS_TIMEOUT = timedelta(minutes=10)
# A process that ends is noticed at once; this limit is for machines that fall silent. The other ranks also wait this
# long for work that only the main process does, such as writing a report.
COLLECTIVE_TIMEOUT = timedelta(minutes=30)

# What a barrier reduces. It is kept for good: torch 2.4 holds the GIL while it waits for the threads of a group that it
# destroys, and a thread needs the GIL to drop the last reference to a tensor.
_NOTHING = torch.zeros(())

_group_numbers = count()
_single_process = False


@contextmanager
def process_group() -> Iterator[None]:
    """Run the block in all processes that torchrun or Slurm started, as one process group; usable as a decorator.

    CPU tensors are exchanged by gloo, CUDA tensors by NCCL. Nothing happens with one process, or where the caller has
    initialised torch.distributed already.

    Raises:
        InputError: The processes of the job cannot reach each other.
        RankLost: Another process ended before the block did.
    """
    environment = cluster_environment()
    if environment.world_size == 1 or dist.is_initialized():
        yield
        return
    store = _initialize(environment)
    try:
        yield
        barrier()
        dist.destroy_process_group()
    except BaseException as error:
        set_reported_here(error, _failed_first(store))
        # Destroying an NCCL group waits for messages that a lost process will never send.
        if not (isinstance(error, RankLost) and torch.cuda.is_available()):
            dist.destroy_process_group()
        _wait_for_failing_ranks(store, environment)
        raise


@contextmanager
def single_process() -> Iterator[None]:
    """In the block, this process acts as if it were the only one: for work that every rank does by itself."""
    global _single_process
    before, _single_process = _single_process, True
    try:
        yield
    finally:
        _single_process = before


def world_size() -> int:
    """Number of processes in the process group; 1 outside of one."""
    return dist.get_world_size() if _in_group() else 1


def rank() -> int:
    """Rank of this process in the process group; 0 outside of one."""
    return dist.get_rank() if _in_group() else 0


def is_main_process() -> bool:
    """Whether this is rank 0, the process that writes files and shows progress."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes have called this.

    Raises:
        RankLost: Another process has ended.
    """
    if world_size() > 1:
        with detecting_lost_ranks():
            dist.all_reduce(_NOTHING)


@contextmanager
def detecting_lost_ranks() -> Iterator[None]:
    """Raise RankLost where torch.distributed fails in the block, which it does when another process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(f"another process of this job has ended ({_reason(error)})") from error


def _in_group() -> bool:
    return not _single_process and dist.is_available() and dist.is_initialized()


def _initialize(environment: ClusterEnvironment) -> Store:
    """Initialise the default process group; returns the part of the job's store that belongs to this group."""
    # Functions in torch.distributed.nn take the default group of the moment of import as a default argument and keep
    # its threads alive until the interpreter ends, where they may crash the process. Optimizers import the module.
    import torch.distributed.nn

    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    size, rank = environment.world_size, environment.rank
    try:
        store: Store = dist.PrefixStore(_group_name(), _job_store(environment))  # type: ignore[attr-defined]
        _wait_for_all_ranks(store, size)
        dist.init_process_group(backends, store=store, rank=rank, world_size=size, timeout=COLLECTIVE_TIMEOUT)
    except RuntimeError as error:
        refused = InputError(
            f"{environment.master_addr}:{environment.master_port}: rank {rank} of {size} could not reach the other"
            f" processes ({_reason(error)}); start all of them, on machines that reach each other"
        )
        set_reported_here(refused, True)
        raise refused from None
    return store


def _group_name() -> str:
    """A name for the next group of these processes; torchrun may keep the store when it restarts them."""
    return f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)} group {next(_group_numbers)}"


@cache
def _job_store(environment: ClusterEnvironment) -> Store:
    """The job's key-value store, kept for all groups that this process opens; served by torchrun, or else by rank 0."""
    from torch.distributed.rendezvous import rendezvous

    os.environ.update(environment.variables())
    return cast("Store", next(rendezvous("env://", timeout=RENDEZVOUS_TIMEOUT))[0])


def _wait_for_all_ranks(store: Store, world_size: int) -> None:
    """Wait until all ranks have left the group before this one, so that no rank connects to what another closes."""
    joined = store.add("joined", 1)
    deadline = time.monotonic() + RENDEZVOUS_TIMEOUT.total_seconds()
    while joined < world_size:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {joined} of {world_size} processes have joined")
        time.sleep(0.01)
        joined = store.add("joined", 0)


def _failed_first(store: Store) -> bool:
    """Count this rank as failed in the store; True where it is the first."""
    try:
        return store.add("failures", 1) == 1
    except RuntimeError:  # the process that served the store was killed, so it has not reported anything
        return True


def _wait_for_failing_ranks(store: Store, environment: ClusterEnvironment) -> None:
    """Keep rank 0, which may serve the store, alive for a moment until all ranks have recorded that they fail."""
    deadline = time.monotonic() + 2
    with suppress(RuntimeError):
        # Not store.wait(), which prints warnings on stderr when its time is over.
        while environment.rank == 0 and store.add("failures", 0) < environment.world_size:
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)


def _reason(error: RuntimeError) -> str:
    """The first sentence of torch's message, without its source location."""
    words = re.sub(r"^\[[^\]]*\]\s*", "", " ".join(str(error).split()))
    return words.split(". ")[0].rstrip(".")
