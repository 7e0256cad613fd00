"""Where the processes of a job find one another, and agree on which of them says why it ends."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import torch.distributed as dist

from i2md.distributed.launch import Launch, find_launch

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

PATIENCE_AT_START = timedelta(minutes=10)

# All that the processes know of one another; torchrun keeps it, or else the first process.
_store: Store | None = None
_meeting = ""
_may_tell: bool | None = None


def meet(launch: Launch) -> Store:
    """A store that this meeting's processes share, and no others; RuntimeError where they do not come in time."""
    # Not every system's torch has it to import.
    from torch.distributed.rendezvous import rendezvous

    global _store, _meeting, _may_tell
    # Those that have not met cannot agree: each says where it waited.
    _may_tell = True
    if _store is None:
        places = rendezvous(f"tcp://{launch.host}:{launch.port}", launch.rank, launch.count, timeout=PATIENCE_AT_START)
        _store = cast("Store", next(places)[0])
    _meeting = _appoint(_store, launch) if launch.rank == 0 else _join(_store, launch)
    _may_tell = None
    return cast("Store", dist.PrefixStore(_meeting, _store))  # type: ignore[attr-defined]


def _appoint(store: Store, launch: Launch) -> str:
    """Name a new meeting, and tell it to each process as it comes.

    What is in the store may be of an earlier meeting: torchrun starts processes again beside the old store.
    """
    meeting = uuid.uuid4().hex
    deadline = time.monotonic() + PATIENCE_AT_START.total_seconds()
    while (come := store.add(f"come {meeting}", 0)) < launch.count - 1:
        for rank in range(1, launch.count):
            if store.check([f"here {rank}"]):
                store.set(f"meeting of {store.get(f'here {rank}').decode()}", meeting)
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {come} of {launch.count - 1} others have come")
        time.sleep(0.01)
    return meeting


def _join(store: Store, launch: Launch) -> str:
    """Be told the meeting by the first process: this one asks by a name that no earlier process had."""
    name = uuid.uuid4().hex
    store.set(f"here {launch.rank}", name)
    store.wait([f"meeting of {name}"], PATIENCE_AT_START)
    meeting = store.get(f"meeting of {name}").decode()
    store.add(f"come {meeting}", 1)
    return meeting


def leave_in_failure() -> None:
    """Settle which process says why the job ends: the first that leaves it."""
    global _may_tell
    assert _store is not None
    try:
        _may_tell = _store.add(f"leaving {_meeting}", 1) == 1
    except RuntimeError:  # the process that kept the store is gone, and said nothing if it was killed
        _may_tell = True


def stay_for_the_others(launch: Launch) -> None:
    """Wait a moment until all have left: the first process may be the one that keeps the store."""
    assert _store is not None
    deadline = time.monotonic() + 2
    with suppress(RuntimeError):
        while launch.rank == 0 and _store.add(f"leaving {_meeting}", 0) < launch.count and time.monotonic() < deadline:
            time.sleep(0.01)


def first_to_tell() -> bool:
    """Whether this process is the one to say why it ends; before they have met, the first in rank is."""
    return find_launch().rank == 0 if _may_tell is None else _may_tell
