"""A Ray cluster as more hands: pieces of work go out to its machines, and what comes back is waited for in order."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any, TypeVar

from i2md.errors import InputError, Stopped, WorkerLost
from i2md.runtime.device import available_cores

Value = TypeVar("Value")
# A task whose process or machine is lost is done again, so many times: one that always takes too much memory ends.
_RETRIES = 3
_ADDRESS = re.compile(r"auto|local|ray://[^/\s]+:\d+")


def require_extra(package: str, purpose: str) -> None:
    """Raise InputError unless the package, of the extra `ray`, is installed."""
    if find_spec(package) is None:
        raise InputError(f'{purpose} needs more packages; install them with pip install "i2md[ray]"')


class Cluster:
    """A cluster that was joined. `gpus` tells whether each task is to have a GPU of its own, or a core."""

    def __init__(self, ray: Any, gpus: bool = False) -> None:
        self._ray = ray
        self._resource = {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}
        self._tasks: dict[Callable[..., Any], Any] = {}

    @property
    def num_workers(self) -> int:
        """How many tasks run at once, now: a cluster may grow and shrink."""
        return max(1, int(self._ray.cluster_resources().get("GPU" if "num_gpus" in self._resource else "CPU", 0)))

    @cached_property
    def has_gpus(self) -> bool:
        """Whether there is a GPU in it."""
        return self._ray.cluster_resources().get("GPU", 0) >= 1

    def with_gpus(self) -> Cluster:
        """The same cluster, each task to have a GPU."""
        if not self.has_gpus:
            raise InputError("the cluster has no GPU; choose --device auto or cpu")
        return Cluster(self._ray, gpus=True)

    def put(self, value: Value) -> Value:
        """Send a value that many tasks take to each machine once; pass what this returns as their argument."""
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> RayFuture:
        """Have `function(*arguments)` called by a worker.

        Both travel by pickle: the function has to be a module's, and the module installed there.
        """
        if function not in self._tasks:
            # Processes go on from task to task, with GPUs too: what a task leaves in memory serves the next one.
            options = {**self._resource, "max_retries": _RETRIES, "max_calls": 0}
            self._tasks[function] = self._ray.remote(**options)(function)
        reference = self._tasks[function].remote(*arguments)
        return RayFuture(self._ray, reference)


@dataclass(frozen=True)
class RayFuture:
    """The result of a submitted task, once it is there."""

    ray: Any
    reference: Any

    def result(self) -> Any:
        """Wait for the task and return its value, or raise what it raised.

        Raises WorkerLost if its process was lost again and again, Stopped if a machine lacks a package.
        """
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (InputError, KeyboardInterrupt)):
                raise cause from None
            if isinstance(cause, ImportError):
                raise Stopped(lacking(cause)) from None
            raise
        except self.ray.exceptions.RayError as error:
            reason = " ".join(str(error).split()).split(". ")[0]
            raise WorkerLost(
                f"the cluster could not do a piece of the work, tried {_RETRIES + 1} times ({reason}),"
                " perhaps for want of memory; run the same command again to resume"
            ) from None


def lacking(error: ImportError) -> str:
    """What to say where a machine of the cluster could not import what it was sent."""
    return f"a machine of the cluster lacks what this one has ({error}); install it there, and the same command goes on"


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """The cluster at `address`: `auto` (that this machine is part of), `ray://HOST:PORT`, or `local`, started here.

    It is left, and one started here is ended, with the block. Raises InputError where there is none.
    """
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"--cluster {address} is not known; give auto, local or ray://HOST:PORT")
    require_extra("ray", f"--cluster {address}")
    # Whatever the user has decided stands; Ray itself would tell its makers by default.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield Cluster(ray)
        return
    with _own_signals(), _environment(_own_world(address)), warnings.catch_warnings():
        # Where nobody answers Ray warns first, and then raises what is told here.
        warnings.simplefilter("ignore", UserWarning)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **_how_to_start(address))
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()).split(". ")[0]
            raise InputError(f"--cluster {address}: {reason}; start one with ray start, or give local") from None
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _how_to_start(address: str) -> dict[str, Any]:
    return {"include_dashboard": False, "num_cpus": available_cores()} if address == "local" else {}


def _own_world(address: str) -> dict[str, str]:
    """What processes started here are to know: where this one finds its modules, and a secret of their own.

    Without one Ray would write one to the home folder, where it stays.
    """
    if address != "local":
        return {}
    has_token = "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ
    return {"PYTHONPATH": os.pathsep.join(sys.path)} | ({} if has_token else {"RAY_AUTH_TOKEN": _token()})


@contextmanager
def _environment(names: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def _token() -> str:
    """One a process: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts: after the block it means what it did."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            with suppress(TypeError):  # a handler that was not set from Python can't be put back
                signal.signal(signal.SIGTERM, before)
