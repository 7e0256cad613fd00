"""Runs through submitit: on this machine in every test run, and on a Slurm where one is installed (slow)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from i2md.cli.main import main
from i2md.errors import InputError
from i2md.experiments.job import Job
from i2md.experiments.runner import choose_workers, run_jobs
from i2md.experiments.slurm import Slurm

DEADLOCK_SECONDS = 600.0


def test_parameters_are_those_of_sbatch_and_of_submitit() -> None:
    slurm = choose_workers("cuda:7", 4, ["partition=gpu", "timeout_min=240", "gpus-per-node=1", "array_parallelism=2"])
    assert slurm == Slurm(
        {"slurm_partition": "gpu", "timeout_min": 240, "gpus_per_node": 1, "slurm_array_parallelism": 2}, 4
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gpu"], "write NAME=VALUE"),
        (["=gpu"], "write NAME=VALUE"),
        (["partitoin=gpu"], "partitoin is unknown; choose among"),
        (["cluster=moon"], "cluster is slurm, or local"),
    ],
)
def test_words_that_are_wrong_are_named(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_workers("cpu", None, words)


def test_without_slurm_it_is_said_before_any_run(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = [*tiny.SWEEP, "--grid", "method=cmd", "--seeds", "0", "--slurm", "partition=gpu"]
    assert main(["sweep", str(clips), str(tmp_path / "out"), *words]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "srun" in last and "--slurm" in last


def test_runs_through_submitit_are_those_of_the_pool_and_failures_keep_their_reason(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path_factory.getbasetemp()
    swept, name = tiny.swept(base), "method=i2md,seed=1"
    out = tmp_path / "out"
    words = [*tiny.SWEEP, "--baselines", "none", "--grid", "method=i2md", "--seeds", "1", "--slurm", "cluster=local"]
    assert main(["sweep", str(tiny.clips(base)), str(out), *words]) == 0
    (result,) = (out / name / "evaluation").iterdir()
    assert (out / name / "model.safetensors").read_bytes() == (swept / name / "model.safetensors").read_bytes()
    assert result.read_bytes() == (swept / name / "evaluation" / result.name).read_bytes()
    failed = run_jobs(
        [Job(str(out / "failing"), "no-clips", {}, (), "cpu")], Slurm(cluster="local"), out / "logs", "test"
    )
    assert failed["failing"].exit_code == 2 and "no-clips" in failed["failing"].reason


def _slurm_answers() -> bool:
    return (
        shutil.which("sinfo") is not None and not subprocess.run(["sinfo"], capture_output=True, check=False).returncode
    )


def _wait_until(seen: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLOCK_SECONDS
    while not seen():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(not _slurm_answers(), reason="no Slurm answers here: apt install slurmctld slurmd munge")
def test_on_slurm_preempted_killed_and_interrupted_it_ends_with_the_table_of_one_machine(
    clips: Path, tmp_path: Path
) -> None:
    """One task of the array is preempted, one killed, the waiting command interrupted; started again, it ends."""
    out, here = tmp_path / "out", tmp_path / "here"
    words = [*tiny.SWEEP, "--grid", "method=cmd,i2md", "--seeds", "0", "1", "2", "3", "--epochs", "300"]
    command = [sys.executable, "-m", "i2md", "sweep", str(clips), str(out), *words, "--slurm", "timeout_min=60"]
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_until(lambda: (tasks := _running()) and any(_logged(out)) and tasks)
    first, *others = _running()
    # scancel may fail though the signal arrives, since the task is requeued meanwhile: the log below decides.
    subprocess.run(["scancel", "--signal=USR2", first], check=False)
    for other in others[:1]:
        subprocess.run(["scancel", "--signal=KILL", other], check=False)
    waiting.send_signal(signal.SIGINT)
    assert "the runs stay in Slurm's queue" in waiting.communicate()[1] and waiting.returncode == 130
    for _ in range(2):  # a killed run fails the command, which resumes it
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        if again.returncode == 0:
            break
    assert again.returncode == 0, again.stderr
    assert main(["sweep", str(clips), str(here), *words]) == 0
    one, other = ((path / "table.md").read_text(encoding="utf-8").splitlines() for path in (out, here))
    assert [line for line in one if line.startswith("|")] == [line for line in other if line.startswith("|")]
    log = "".join(path.read_text() for path in (out / "logs" / "slurm").glob(f"{first}_*_log.*"))
    assert "stopped; run the same command again to resume" in log and "Requeued job" in log


def _logged(out: Path) -> list[Path]:
    return list(out.glob("*/log.jsonl"))


def _running() -> list[str]:
    asked = ["squeue", "--noheader", "--array", "--me", "--states=R", "--format=%i", "--name=i2md"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
