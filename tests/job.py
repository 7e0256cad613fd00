"""A command in several processes at once, started with torchrun's or Slurm's environment, or by torchrun itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import pausing

# Only ends a test that hangs: a busy machine may take a minute.
TIMEOUT = 300.0
Environment = dict[str, str]
Job = list[subprocess.Popen[str]]


def torchrun_environment(rank: int, world_size: int, port: int) -> Environment:
    """The variables that torchrun sets."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
    return {"MASTER_ADDR": "localhost", **{name: str(number) for name, number in numbers.items()}}


def slurm_environment(rank: int, world_size: int, port: int) -> Environment:
    """The variables that srun sets."""
    numbers = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": world_size, "MASTER_PORT": port}
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "localhost,elsewhere[1-3]",
        **{name: str(number) for name, number in numbers.items()},
    }


def start(*typed: object, environment: Callable[[int, int, int], Environment] = torchrun_environment) -> Job:
    """Two processes of the command, without a launcher that would end one when the other fails."""
    port = free_port()
    return [_process(["-m", "i2md", *typed], environment(rank, 2, port)) for rank in range(2)]


def start_paused(step: int, *typed: object) -> Job:
    """Two processes of the command that are both paused at the end of a training step when this returns."""
    port = free_port()
    job = [
        _process(pausing.command(pausing.END_OF_STEP, step, *typed), torchrun_environment(rank, 2, port))
        for rank in range(2)
    ]
    for process in job:
        pausing.wait_until_paused(process)
    return job


def start_torchrun(*command: object, restarts: int = 0) -> Job:
    """Two processes of a command, started and watched by torchrun, which is the one process of this job."""
    address = ["--master_addr", "localhost", "--master_port", free_port()]
    options = ["--nproc_per_node", 2, "--max_restarts", restarts, *address]
    return [_process(["-m", "torch.distributed.run", *options, *command], {})]


def finish(job: Job) -> tuple[list[int], list[str]]:
    """Let paused processes continue and wait for all; their exit codes and what they wrote to stderr."""
    for process in job:
        assert process.stdin
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None
    try:
        written = [process.communicate(timeout=TIMEOUT)[1] for process in job]
    finally:
        for process in job:
            process.terminate()
    return [process.returncode for process in job], written


def messages(stderr: str) -> list[str]:
    """The lines that the program itself wrote, without progress bars and what launchers write."""
    lines = stderr.replace("\r", "\n").splitlines()
    return [line for line in lines if line.startswith("i2md: ") and "step/s" not in line and "?step" not in line]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _process(command: Sequence[object], environment: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
