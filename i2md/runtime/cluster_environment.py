"""Rank, world size and rendezvous address of this process, as torchrun or Slurm set them; does not import torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from i2md.errors import InputError

_FIRST_HOST = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
_FIRST_OF_BRACKET = re.compile(r"\[([^,\-\]]+)[^\]]*\]")


@dataclass(frozen=True)
class ClusterEnvironment:
    """Rank of a process among the `world_size` processes of its job; `local_rank` counts those of one machine."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    master_addr: str = "localhost"
    master_port: int = 0

    def variables(self) -> dict[str, str]:
        """The environment variables that torchrun would set, which `init_process_group` reads.

        >>> ClusterEnvironment(1, 2, 1, "gpu03", 29500).variables()["MASTER_ADDR"]
        'gpu03'
        """
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.world_size),
            "LOCAL_RANK": str(self.local_rank),
            "MASTER_ADDR": self.master_addr,
            "MASTER_PORT": str(self.master_port),
        }


def cluster_environment(environment: Mapping[str, str] = os.environ) -> ClusterEnvironment:
    """Read what torchrun, or else Slurm's srun, set for this process; a world of one process where neither did.

    Slurm's batch script is not a task of a job step: its world size is 1, however many tasks are allocated.

    Args:
        environment: Environment variables.

    Returns:
        Rank, world size and rendezvous address of this process.

    Raises:
        InputError: A variable is missing or is not a number.

    >>> cluster_environment(
    ...     {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
    ... )
    ClusterEnvironment(rank=1, world_size=2, local_rank=1, master_addr='a', master_port=29500)
    """
    e = environment
    try:
        if "RANK" in e and "WORLD_SIZE" in e:
            rank, size = int(e["RANK"]), int(e["WORLD_SIZE"])
            if size > 1:
                return ClusterEnvironment(rank, size, int(e["LOCAL_RANK"]), e["MASTER_ADDR"], int(e["MASTER_PORT"]))
        elif int(e.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            size = int(e["SLURM_STEP_NUM_TASKS"])
            host = e.get("MASTER_ADDR") or first_host(e.get("SLURM_STEP_NODELIST") or e["SLURM_JOB_NODELIST"])
            return ClusterEnvironment(int(e["SLURM_PROCID"]), size, int(e["SLURM_LOCALID"]), host, _slurm_port(e))
    except KeyError as error:
        raise InputError(
            f"environment: {error.args[0]} is missing; start several processes with torchrun or srun"
        ) from None
    except ValueError as error:
        raise InputError(f"environment: {error}; start several processes with torchrun or srun") from None
    return ClusterEnvironment()


def first_host(nodes: str) -> str:
    """The first host of a Slurm node list.

    Args:
        nodes: A node list as in SLURM_JOB_NODELIST.

    Returns:
        The name of its first host.

    Raises:
        ValueError: The text is not a node list.

    >>> first_host("gpu[03-05,09],login1"), first_host("rack[2,4]-n[1-8].local"), first_host("a,b")
    ('gpu03', 'rack2-n1.local', 'a')
    """
    first = _FIRST_HOST.match(nodes)
    if first is None:
        raise ValueError(f"{nodes!r} is not a node list")
    return _FIRST_OF_BRACKET.sub(r"\1", first[0])


def _slurm_port(environment: Mapping[str, str]) -> int:
    """MASTER_PORT, or a port that is unlikely to be the same for two jobs or job steps on one machine."""
    if "MASTER_PORT" in environment:
        return int(environment["MASTER_PORT"])
    # Below the ephemeral ports, which begin at 32768.
    return 12000 + (int(environment["SLURM_JOB_ID"]) * 16 + int(environment.get("SLURM_STEP_ID", 0))) % 20000
