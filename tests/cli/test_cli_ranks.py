"""Jobs of two processes that are cut short: they end with one line, and the same command goes on to the same end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import job
import pytest
import tiny
import torch
from safetensors.torch import load_file

from i2md.cli.main import main

EPOCHS = 12
# Four steps an epoch, and a state after the last of them.
WORDS = [*tiny.SETTINGS, "--batch_size", "4", "--epochs", str(EPOCHS), "--knn_every", "5", "--checkpoint_epochs", "1"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    codes, written = job.ends(job.start("pretrain", clips, run, *WORDS, told=job.as_slurm))
    assert codes == [0, 0], written
    assert written[1] == ""
    return run


def test_killed_and_stopped_it_says_so_once_and_goes_on_to_the_same_end(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    pretrain = ("pretrain", clips, run, *WORDS)

    both = job.start(*pretrain)
    _wait_for_epoch(1, run, both)
    both[1].kill()
    codes, written = job.ends(both)
    assert codes == [75, -signal.SIGKILL]
    _require_loss_told(written[0], run)

    # Another number of processes may go on with it, here one.
    shutil.copytree(run, tmp_path / "alone")
    assert main(["pretrain", str(clips), str(tmp_path / "alone"), *WORDS]) == 0
    assert _epochs(tmp_path / "alone") == EPOCHS

    both = job.start(*pretrain)
    _wait_for_epoch(4, run, both)
    both[1].send_signal(signal.SIGTERM)
    codes, written = job.ends(both)
    assert codes == [130, 130], written
    assert job.said("".join(written)) == ["i2md: stopped; the same command goes on from here"]
    step = int(load_file(run / "training_state.safetensors")["progress.step"])
    assert step // 4 == _epochs(run) < EPOCHS

    # The first process writes, and keeps what all meet at.
    both = job.start(*pretrain)
    _wait_for_epoch(7, run, both)
    both[0].kill()
    codes, written = job.ends(both)
    assert codes == [-signal.SIGKILL, 75]
    _require_loss_told(written[1], run)

    codes, written = job.ends(job.start(*pretrain))
    assert (codes, job.said(written[0]), written[1]) == ([0, 0], [], "")
    _require_same_end(run, undisturbed)


def test_torchrun_starts_it_again_and_it_ends_as_if_nothing_had_been(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    if not Path("/proc/self/environ").is_file():
        pytest.skip("this system does not tell which process torchrun gave which rank")
    run = tmp_path / "run"
    torchrun = job.start_torchrun("pretrain", clips, run, *WORDS, restarts=1)
    _wait_for_epoch(1, run, torchrun)
    os.kill(_process_of_rank(1, torchrun[0].pid), signal.SIGKILL)
    codes, written = job.ends(torchrun)
    # torchrun ends the other process by SIGTERM at once; what has happened is said before.
    (line,) = job.said(written[0])
    assert "has gone" in line
    assert codes == [0], written[0]
    _require_same_end(run, undisturbed)


def _wait_for_epoch(epoch: int, run: Path, started: job.Job) -> None:
    deadline = time.monotonic() + job.PATIENCE
    while _epochs(run) < epoch and started[0].poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)


def _epochs(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def _process_of_rank(rank: int, parent: int) -> int:
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"PPid:\t{parent}\n" in status.read_text() and _was_told(f"RANK={rank}", status.parent):
                return int(status.parent.name)
        except OSError:  # gone in the meantime
            continue
    raise AssertionError(f"torchrun has no process of rank {rank}")


def _was_told(variable: str, process: Path) -> bool:
    return variable.encode() in (process / "environ").read_bytes().split(b"\0")


def _require_loss_told(stderr: str, run: Path) -> None:
    assert "Traceback" not in stderr
    (line,) = job.said(stderr)
    assert line.startswith(f"i2md: {run}: another process of this job has gone (")
    assert " at step " in line
    assert line.endswith("; the same command goes on from the last state saved")
    assert _epochs(run) < EPOCHS


def _require_same_end(run: Path, undisturbed: Path) -> None:
    mine, theirs = (load_file(folder / "training_state.safetensors") for folder in (run, undisturbed))
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == list(range(1, EPOCHS + 1))
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []
