"""Which process of a job this is, as torchrun or Slurm say in the environment; free of torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from i2md.errors import InputError

_FIRST_HOST = re.compile(r"(?:[^,\[]|\[[^\]]*\])+")
_FIRST_OF_BRACKET = re.compile(r"\[([^,\-\]]+)[^\]]*\]")


@dataclass(frozen=True)
class Launch:
    """A process's place among the `count` of its job, `local` among those of its machine; and where they meet."""

    rank: int = 0
    count: int = 1
    local: int = 0
    host: str = "localhost"
    port: int = 0


def find_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """The place that torchrun, or else Slurm's srun, gave this process; alone where neither did.

    Slurm's batch script itself is no process of a job step, so it is alone, however many tasks it has allocated.
    Raises InputError where the environment is half of one.

    >>> find_launch({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"})
    Launch(rank=1, count=2, local=1, host='a', port=29500)
    """
    e = environment
    try:
        if "RANK" in e and "WORLD_SIZE" in e:
            rank, count = int(e["RANK"]), int(e["WORLD_SIZE"])
            if count > 1:
                return Launch(rank, count, int(e["LOCAL_RANK"]), e["MASTER_ADDR"], int(e["MASTER_PORT"]))
        elif int(e.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            count = int(e["SLURM_STEP_NUM_TASKS"])
            host = e.get("MASTER_ADDR") or first_host(e.get("SLURM_STEP_NODELIST") or e["SLURM_JOB_NODELIST"])
            return Launch(int(e["SLURM_PROCID"]), count, int(e["SLURM_LOCALID"]), host, _slurm_port(e))
    except KeyError as error:
        raise InputError(f"environment: {error.args[0]} is missing; start many processes by torchrun or srun") from None
    except ValueError as error:
        raise InputError(f"environment: {error}; start many processes by torchrun or srun") from None
    return Launch()


def first_host(nodes: str) -> str:
    """The first of Slurm's list of machines.

    >>> first_host("gpu[03-05,09],login1"), first_host("rack[2,4]-n[1-8].local"), first_host("a,b")
    ('gpu03', 'rack2-n1.local', 'a')
    """
    first = _FIRST_HOST.match(nodes)
    if first is None:
        raise ValueError(f"{nodes!r} is no list of machines")
    return _FIRST_OF_BRACKET.sub(r"\1", first[0])


def _slurm_port(environment: Mapping[str, str]) -> int:
    """A port that jobs, and steps of one job, that share a machine are unlikely to share."""
    if "MASTER_PORT" in environment:
        return int(environment["MASTER_PORT"])
    # Below the ports that systems hand out to clients, which begin at 32768.
    return 12000 + (int(environment["SLURM_JOB_ID"]) * 16 + int(environment.get("SLURM_STEP_ID", 0))) % 20000
