"""Rank and world size as torchrun and Slurm set them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2md.errors import InputError
from i2md.runtime.cluster_environment import ClusterEnvironment, cluster_environment, first_host

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29400"}
# The second of two tasks on the second of two machines of a job step.
SLURM = {
    "SLURM_JOB_ID": "123456",
    "SLURM_STEP_ID": "2",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_NODELIST": "gpu[1-4]",
    "SLURM_STEP_NODELIST": "gpu[2-3]",
}


def without(environment: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key != name}


def test_without_a_launcher_there_is_one_process() -> None:
    assert cluster_environment({"HOME": "/root"}) == ClusterEnvironment(rank=0, world_size=1)


def test_torchrun() -> None:
    assert cluster_environment(TORCHRUN) == ClusterEnvironment(5, 8, 1, "node7", 29400)


def test_torchrun_within_a_slurm_job_step_takes_precedence() -> None:
    assert cluster_environment({**SLURM, **TORCHRUN}).world_size == 8
    assert cluster_environment({**SLURM, **TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}).world_size == 1


def test_slurm() -> None:
    found = cluster_environment(SLURM)
    assert (found.rank, found.world_size, found.local_rank, found.master_addr) == (3, 4, 1, "gpu2")
    assert found == cluster_environment({**SLURM, "SLURM_PROCID": "3"})
    assert 1024 < found.master_port < 32768


def test_jobs_and_steps_on_one_machine_use_different_ports() -> None:
    ports = {
        cluster_environment({**SLURM, "SLURM_JOB_ID": str(123456 + later), "SLURM_STEP_ID": str(step)}).master_port
        for later in range(100)
        for step in range(16)
    }
    assert len(ports) == 1600


def test_master_addr_and_port_may_be_set_for_slurm() -> None:
    found = cluster_environment({**SLURM, "MASTER_ADDR": "login", "MASTER_PORT": "4000"})
    assert (found.master_addr, found.master_port) == ("login", 4000)


def test_a_batch_script_is_one_process_however_many_tasks_are_allocated() -> None:
    assert cluster_environment(without(SLURM, "SLURM_STEP_NUM_TASKS")).world_size == 1
    assert cluster_environment({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}).world_size == 1


@pytest.mark.parametrize("name", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_a_missing_variable_of_torchrun_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is missing; start several processes with torchrun or srun"):
        cluster_environment(without(TORCHRUN, name))


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID"])
def test_a_missing_variable_of_slurm_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is missing"):
        cluster_environment(without(SLURM, name))


@pytest.mark.parametrize("changed", [{**TORCHRUN, "RANK": "one"}, {**SLURM, "SLURM_STEP_NODELIST": ",a"}])
def test_an_invalid_variable_is_an_input_error(changed: dict[str, str]) -> None:
    with pytest.raises(InputError, match="start several processes with torchrun or srun"):
        cluster_environment(changed)


def test_the_command_line_reports_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from i2md.cli.main import main

    for name, value in without(TORCHRUN, "LOCAL_RANK").items():
        monkeypatch.setenv(name, value)
    assert main(["info", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "i2md: environment: LOCAL_RANK is missing; start several processes with torchrun or srun\n"
    )


NAMES = st.from_regex(r"[a-z]{1,5}-?", fullmatch=True)
NUMBERS = st.integers(0, 99).map(lambda number: f"{number:02}")


@given(NAMES, st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4), st.sampled_from(["", "-ib", ".local"]))
def test_the_first_host_of_brackets(name: str, ranges: list[tuple[str, str]], end: str) -> None:
    inside = ",".join(low if low == high else f"{low}-{high}" for low, high in ranges)
    assert first_host(f"{name}[{inside}]{end},other[1-2]") == f"{name}{ranges[0][0]}{end}"
