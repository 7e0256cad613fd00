"""A command in several processes at once, started as torchrun, as Slurm, or by torchrun itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

# For a test that hangs; a busy machine may well take a minute.
PATIENCE = 300.0
Environment = dict[str, str]
Job = list[subprocess.Popen[str]]


def as_torchrun(rank: int, count: int, port: int) -> Environment:
    """What torchrun tells a process."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
    return {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), **{k: str(v) for k, v in place.items()}}


def as_slurm(rank: int, count: int, port: int) -> Environment:
    """What srun tells a process."""
    place = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": count}
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "localhost,elsewhere[1-3]",
        "MASTER_PORT": str(port),
        **{k: str(v) for k, v in place.items()},
    }


def start(
    *typed: object,
    count: int = 2,
    told: Callable[[int, int, int], Environment] = as_torchrun,
    command: str = "i2md",
) -> Job:
    """So many processes of a command, without a launcher that would look after them."""
    port = free_port()
    return [_process([command, *typed], told(rank, count, port)) for rank in range(count)]


def start_torchrun(*typed: object, count: int = 2, restarts: int = 0, command: Sequence[str] = ("-m", "i2md")) -> Job:
    """So many processes of a command, started and watched by torchrun: the one process of this job."""
    options = [
        "--nproc_per_node",
        count,
        "--max_restarts",
        restarts,
        "--master_addr",
        "localhost",
        "--master_port",
        free_port(),
    ]
    return [_process(["torch.distributed.run", *options, *command, *typed], {})]


def ends(job: Job) -> tuple[list[int], list[str]]:
    """Exit codes and what stood on stderr, once all processes have ended."""
    try:
        written = [process.communicate(timeout=PATIENCE)[1] for process in job]
    finally:
        for process in job:
            process.terminate()
    return [process.returncode for process in job], written


def said(stderr: str) -> list[str]:
    """The lines of the program, without those of progress bars and launchers."""
    lines = stderr.replace("\r", "\n").splitlines()
    return [line for line in lines if line.startswith("i2md: ") and "step/s" not in line and "?step" not in line]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _process(command: Sequence[object], told: Environment) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **told},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
