"""The place of a process as torchrun and Slurm tell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2md.distributed.launch import Launch, find_launch, first_host
from i2md.errors import InputError

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node7", "MASTER_PORT": "29400"}
# As srun sets it in the second of two tasks of a step on the second of two machines.
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


def test_nobody_says_anything() -> None:
    assert find_launch({"HOME": "/root"}) == Launch(rank=0, count=1)


def test_torchrun() -> None:
    assert find_launch(TORCHRUN) == Launch(rank=5, count=8, local=1, host="node7", port=29400)


def test_torchrun_within_a_job_step_of_slurm_counts() -> None:
    assert find_launch({**SLURM, **TORCHRUN}).count == 8
    assert find_launch({**SLURM, **TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}).count == 1


def test_slurm() -> None:
    found = find_launch(SLURM)
    assert (found.rank, found.count, found.local, found.host) == (3, 4, 1, "gpu2")
    assert found == find_launch({**SLURM, "SLURM_PROCID": "3"})
    assert 1024 < found.port < 32768


def test_steps_and_jobs_side_by_side_on_a_machine_meet_at_different_ports() -> None:
    ports = {
        find_launch({**SLURM, "SLURM_JOB_ID": str(123456 + later), "SLURM_STEP_ID": str(step)}).port
        for later in range(100)
        for step in range(16)
    }
    assert len(ports) == 1600


def test_what_the_user_says_of_the_meeting_place_counts() -> None:
    found = find_launch({**SLURM, "MASTER_ADDR": "login", "MASTER_PORT": "4000"})
    assert (found.host, found.port) == ("login", 4000)


def test_a_batch_script_is_alone_however_many_tasks_it_has_allocated() -> None:
    assert find_launch(without(SLURM, "SLURM_STEP_NUM_TASKS")).count == 1
    assert find_launch({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}).count == 1


@pytest.mark.parametrize("name", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_half_of_torchruns_words_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is missing; start many processes by torchrun or srun"):
        find_launch(without(TORCHRUN, name))


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID"])
def test_half_of_slurms_words_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is missing"):
        find_launch(without(SLURM, name))


@pytest.mark.parametrize("changed", [{**TORCHRUN, "RANK": "one"}, {**SLURM, "SLURM_STEP_NODELIST": ",a"}])
def test_what_is_no_place_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(InputError, match="start many processes by torchrun or srun"):
        find_launch(changed)


def test_the_command_line_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    from i2md.cli.main import main

    for name, value in without(TORCHRUN, "LOCAL_RANK").items():
        monkeypatch.setenv(name, value)
    assert main(["info", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "i2md: environment: LOCAL_RANK is missing; start many processes by torchrun or srun\n"
    )


NAMES = st.from_regex(r"[a-z]{1,5}-?", fullmatch=True)
NUMBERS = st.integers(0, 99).map(lambda number: f"{number:02}")


@given(NAMES, st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4), st.sampled_from(["", "-ib", ".local"]))
def test_the_first_host_of_brackets(name: str, ranges: list[tuple[str, str]], end: str) -> None:
    inside = ",".join(low if low == high else f"{low}-{high}" for low, high in ranges)
    assert first_host(f"{name}[{inside}]{end},other[1-2]") == f"{name}{ranges[0][0]}{end}"
