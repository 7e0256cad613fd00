"""The pool of workers, with small programs as workers: what fails, what continues, and how it is stopped."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from i2md.errors import InputError, WorkerLost
from i2md.experiments.job import Job
from i2md.experiments.runner import require_all, require_some, run_jobs
from i2md.experiments.workers import Failure, worker_environments

# Only a deadlock takes as long.
DEADLOCK_SECONDS = 300
# A worker that does what the name of its run says.
WORKER = """
import json, os, signal, sys

run = json.loads(sys.stdin.readline())["run"]
name = os.path.basename(run)
if name == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if name == "invalid":
    print("progress 50 %\\ri2md: clips: no such folder", file=sys.stderr)
    sys.exit(2)
if name == "bug":
    raise ValueError("bug")
os.makedirs(run)
with open(run + "/started", "a") as file:
    file.write(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
open(run + "/model.safetensors", "w").close()
"""
# A worker that names itself in a pipe, waits for SIGTERM, and then saves its state.
WAITING_WORKER = """
import json, os, signal, sys

run = json.loads(sys.stdin.readline())["run"]
os.makedirs(run)
signal.signal(signal.SIGTERM, lambda number, frame: None)
ready, wakeup = os.pipe()
os.set_blocking(wakeup, False)
signal.set_wakeup_fd(wakeup)
with open(os.environ["READY"], "w") as pipe:
    pipe.write(f"{os.getpid()}\\n")
os.read(ready, 1)
open(run + "/state", "w").close()
sys.exit(130)
"""
# A script without an `if __name__ == "__main__"`.
SCRIPT = """
import signal, sys
from pathlib import Path
from i2md.experiments.job import Job
from i2md.experiments.runner import run_jobs
from i2md.runtime.exit_codes import exit_code

print("script imported")
signal.signal(signal.SIGINT, signal.default_int_handler)
out, names, *command = sys.argv[1:]
jobs = [Job(str(Path(out) / name), "no-clips", {}, (), "cpu") for name in names.split()]

def run():
    for name, failure in run_jobs(jobs, [{}, {}], Path(out) / "logs", "test", *([command] if command else [])).items():
        print(name, failure.exit_code, failure.reason)
    return 0

sys.exit(exit_code(run, True))
"""


def _jobs(out: Path, *names: str) -> list[Job]:
    return [Job(str(out / name), "clips", {}, (), "cpu") for name in names]


def _command(folder: Path, program: str) -> list[str]:
    path = folder / "worker.py"
    path.write_text(program, encoding="utf-8")
    return [sys.executable, str(path)]


def test_a_dead_worker_fails_its_own_run_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = _jobs(tmp_path, "one", "killed", "invalid", "bug", "two")
    failed = run_jobs(jobs, [{}, {}], tmp_path / "logs", "test", _command(tmp_path, WORKER))
    assert failed == {
        "killed": Failure("its process was ended by SIGKILL, possibly out of memory", 75),
        "invalid": Failure("clips: no such folder", 2),
        "bug": Failure("ValueError: bug", 1),
    }
    assert (tmp_path / "one" / "started").is_file() and (tmp_path / "two" / "started").is_file()
    printed = capsys.readouterr().err
    assert printed.count("killed failed: its process was ended by SIGKILL") == 1
    assert "Traceback" in (tmp_path / "logs" / "bug.txt").read_text() and "Traceback" not in printed


def test_finished_runs_are_not_started_again(tmp_path: Path) -> None:
    command, jobs = _command(tmp_path, WORKER), _jobs(tmp_path, "one", "two")
    assert run_jobs(jobs[:1], [{"CUDA_VISIBLE_DEVICES": "x"}], tmp_path / "logs", "test", command) == {}
    assert run_jobs(jobs, [{"CUDA_VISIBLE_DEVICES": "y"}], tmp_path / "logs", "test", command) == {}
    assert [(tmp_path / name / "started").read_text() for name in ("one", "two")] == ["x", "y"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_lets_every_worker_save_its_state(tmp_path: Path, number: signal.Signals) -> None:
    command, pipe = _command(tmp_path, WAITING_WORKER), tmp_path / "ready"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    environment = {**os.environ, "READY": str(pipe)}
    script = [sys.executable, "-c", SCRIPT, str(tmp_path / "out"), "one two three", *command]
    process = subprocess.Popen(script, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    workers = b""
    while workers.count(b"\n") < 2:
        assert select.select([reader], [], [], DEADLOCK_SECONDS)[0], "the workers did not start"
        workers += os.read(reader, 100)
    os.close(reader)
    process.send_signal(number)
    error = process.communicate(timeout=DEADLOCK_SECONDS)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1].startswith("i2md: ")
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/state")) == ["one", "two"]
    assert not (tmp_path / "out" / "three").exists()
    for worker in workers.split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker), 0)


def test_workers_do_not_import_the_script_that_started_them(tmp_path: Path) -> None:
    script = [sys.executable, "-c", SCRIPT, str(tmp_path / "out"), "one"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=DEADLOCK_SECONDS, check=True)
    assert done.stdout.count("script imported") == 1
    (line,) = done.stdout.splitlines()[1:]
    assert line.startswith("one 2 ") and "no-clips" in line


def test_the_error_of_a_sweep_depends_on_why_its_runs_failed() -> None:
    lost, invalid = Failure("its process was ended by SIGKILL", 75), Failure("no such folder", 2)
    require_all({})
    require_some(Path("out"), {"one": 1}, {"two": lost})
    with pytest.raises(WorkerLost, match=r"1 run failed; one: .* SIGKILL; run the same command again"):
        require_all({"one": lost})
    with pytest.raises(InputError, match="2 runs failed; one: its process") as failed:
        require_all({"one": lost, "two": invalid})
    assert not isinstance(failed.value, WorkerLost)
    with pytest.raises(WorkerLost, match="out: all 1 runs failed"):
        require_some(Path("out"), {}, {"one": lost})


def test_each_worker_has_one_of_the_visible_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [worker["CUDA_VISIBLE_DEVICES"] for worker in worker_environments("auto", None)] == ["4", "7"]
    assert [worker["CUDA_VISIBLE_DEVICES"] for worker in worker_environments("cuda", 3)] == ["4", "7", "4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [worker["CUDA_VISIBLE_DEVICES"] for worker in worker_environments("cuda", None)] == ["0", "1"]
    assert worker_environments("cuda:1", None) == [{}]
