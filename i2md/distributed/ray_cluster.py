"""A Ray cluster as an executor: tasks are submitted to its workers, and each returns a future."""

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
from typing import Any, TypeVar

from i2md.errors import InputError, Stopped, WorkerLost, require_extra
from i2md.runtime.device import available_cores

Value = TypeVar("Value")
# How often a task whose process or machine is lost is tried again; one that always takes too much memory fails.
_RETRIES = 3
_ADDRESS = re.compile(r"auto|local|ray://[^/\s]+:\d+")


class RayCluster:
    """A connection to a Ray cluster; made by `connect`.

    Args:
        ray: The module `ray`, initialised.
        gpus: Whether each task gets a GPU of its own instead of a processor core.
    """

    def __init__(self, ray: Any, gpus: bool = False) -> None:
        self._ray = ray
        self._resource = {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}
        self._tasks: dict[Callable[..., Any], Any] = {}

    @property
    def num_workers(self) -> int:
        """Number of tasks that run at once; it changes as the cluster grows and shrinks."""
        return max(1, int(self._ray.cluster_resources().get("GPU" if "num_gpus" in self._resource else "CPU", 0)))

    @cached_property
    def has_gpus(self) -> bool:
        """Whether the cluster has a GPU."""
        return self._ray.cluster_resources().get("GPU", 0) >= 1

    def with_gpus(self) -> RayCluster:
        """The same cluster with one GPU for each task."""
        if not self.has_gpus:
            raise InputError("the cluster has no GPU; choose --device auto or cpu")
        return RayCluster(self._ray, gpus=True)

    def put(self, value: Value) -> Value:
        """Send a value to each machine once, for many tasks.

        Args:
            value: Any object that can be pickled.

        Returns:
            A reference, to be passed to `submit` as an argument.
        """
        return self._ray.put(value)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> RayFuture:
        """Call a function in a worker.

        Args:
            function: A function of a module that is installed on all machines.
            arguments: Objects that can be pickled, or references from `put`.

        Returns:
            A future whose `result()` waits for the value.
        """
        if function not in self._tasks:
            # Worker processes are reused, with GPUs too, so that what a task keeps in memory serves the next one.
            options = {**self._resource, "max_retries": _RETRIES, "max_calls": 0}
            self._tasks[function] = self._ray.remote(**options)(function)
        reference = self._tasks[function].remote(*arguments)
        return RayFuture(self._ray, reference)


@dataclass(frozen=True)
class RayFuture:
    """The result of a submitted task."""

    ray: Any
    reference: Any

    def result(self) -> Any:
        """Wait for the task and return its value, or raise what it raised.

        Raises:
            WorkerLost: The worker process was lost at every try.
            Stopped: A package is missing on a machine of the cluster.
        """
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (InputError, KeyboardInterrupt)):
                raise cause from None
            if isinstance(cause, ImportError):
                raise Stopped(missing_package_message(cause)) from None
            raise
        except self.ray.exceptions.RayError as error:
            reason = " ".join(str(error).split()).split(". ")[0]
            raise WorkerLost(
                f"a task failed on the cluster, tried {_RETRIES + 1} times ({reason}), perhaps for lack of memory;"
                " run the same command again to resume"
            ) from None


def missing_package_message(error: ImportError) -> str:
    """Error message for a machine of the cluster that could not import what it received.

    Args:
        error: What the import raised there.
    """
    return (
        f"a package is missing on a machine of the cluster ({error}); install it there and run the same command again"
    )


@contextmanager
def connect(address: str) -> Iterator[RayCluster]:
    """Connect to a Ray cluster; at the end of the block disconnect, and stop a cluster that was started here.

    Args:
        address: `auto` (the cluster that this machine is part of), `ray://HOST:PORT`, or `local` (start one here).

    Raises:
        InputError: The address is invalid, Ray is not installed, or there is no cluster at the address.
    """
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"--cluster {address} is not known; give auto, local or ray://HOST:PORT")
    require_extra("ray", "ray", f"--cluster {address}")
    # Ray sends usage statistics by default; a setting of the user takes precedence.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield RayCluster(ray)
        return
    with _signals_restored(), _environment(_environment_of_workers(address)), warnings.catch_warnings():
        # Where nothing answers, Ray warns before it raises.
        warnings.simplefilter("ignore", UserWarning)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **_start_options(address))
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split()).split(". ")[0]
            raise InputError(f"--cluster {address}: {reason}; start one with ray start, or give local") from None
    try:
        yield RayCluster(ray)
    finally:
        ray.shutdown()


def _start_options(address: str) -> dict[str, Any]:
    return {"include_dashboard": False, "num_cpus": available_cores()} if address == "local" else {}


def _environment_of_workers(address: str) -> dict[str, str]:
    """Environment variables for worker processes started here: the module path, and an authentication token.

    Without a token Ray would write one to the home folder and leave it there.
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
    """One token per process, since Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Restore the SIGTERM handler after the block: Ray replaces it when it starts."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            with suppress(TypeError):  # a handler that was not set from Python can't be put back
                signal.signal(signal.SIGTERM, before)
