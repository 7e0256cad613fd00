"""Jobs of two processes that are killed or stopped: they end with one line, and the same command resumes them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import job
import pausing
import pytest
import tiny
import torch
from safetensors.torch import load_file

from i2md.cli.main import main

EPOCHS, STEPS_PER_EPOCH = 8, 4
# A state is saved after each epoch.
SETTINGS = [*tiny.SETTINGS, "--batch_size", "4", "--epochs", str(EPOCHS)]
SETTINGS += ["--knn_every", "5", "--checkpoint_epochs", "1"]


@pytest.fixture(scope="module")
def uninterrupted(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    codes, written = job.finish(job.start("pretrain", clips, run, *SETTINGS, environment=job.slurm_environment))
    assert codes == [0, 0], written
    assert written[1] == ""
    return run


@pytest.mark.slow
def test_killed_and_stopped_jobs_report_it_once_and_resume_to_the_same_bytes(
    clips: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    pretrain = ("pretrain", clips, run, *SETTINGS)

    ranks = job.start_paused(STEPS_PER_EPOCH + 1, *pretrain)
    ranks[1].kill()
    codes, written = job.finish(ranks)
    assert codes == [75, -signal.SIGKILL]
    _require_lost_rank_reported(written[0], run, step=STEPS_PER_EPOCH + 1)
    assert _epochs(run) == 1

    # A job of another size may resume it, here one process.
    shutil.copytree(run, tmp_path / "one-process")
    assert main(["pretrain", str(clips), str(tmp_path / "one-process"), *SETTINGS]) == 0
    assert _epochs(tmp_path / "one-process") == EPOCHS

    ranks = job.start_paused(6, *pretrain)
    ranks[1].send_signal(signal.SIGTERM)
    codes, written = job.finish(ranks)
    assert codes == [130, 130], written
    assert job.messages("".join(written)) == ["i2md: stopped; run the same command again to resume"]
    # It resumed at step 4, got the signal at the end of the sixth step from there, and saved after the next one.
    assert _saved_step(run) == STEPS_PER_EPOCH + 7
    assert _epochs(run) == 2

    # Rank 0 writes the files and serves the job's store.
    ranks = job.start_paused(3, *pretrain)
    ranks[0].kill()
    codes, written = job.finish(ranks)
    assert codes == [-signal.SIGKILL, 75]
    _require_lost_rank_reported(written[1], run, step=STEPS_PER_EPOCH + 10)

    codes, written = job.finish(job.start(*pretrain))
    assert (codes, job.messages(written[0]), written[1]) == ([0, 0], [], "")
    _require_same_end(run, uninterrupted)


@pytest.mark.slow
def test_torchrun_restarts_a_killed_rank_and_the_run_ends_with_the_same_bytes(
    clips: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = pausing.command(pausing.END_OF_STEP, STEPS_PER_EPOCH + 1, "pretrain", clips, run, *SETTINGS)
    torchrun = job.start_torchrun(*command, restarts=1)
    process_of_rank = {rank: number for number, rank in (pausing.wait_until_paused(torchrun[0]) for _ in range(2))}
    os.kill(process_of_rank[1], signal.SIGKILL)
    # The ranks share torchrun's standard input: its end releases the other one, and the restarted ones do not pause.
    codes, written = job.finish(torchrun)
    # torchrun sends SIGTERM to the other rank, which reports the lost one first.
    assert codes == [0], written[0]
    (line,) = job.messages(written[0])
    assert "has ended" in line, written[0]
    _require_same_end(run, uninterrupted)


def _epochs(run: Path) -> int:
    return (run / "log.jsonl").read_bytes().count(b"\n")


def _saved_step(run: Path) -> int:
    return int(load_file(run / "training_state.safetensors")["progress.step"])


def _require_lost_rank_reported(stderr: str, run: Path, step: int) -> None:
    assert "Traceback" not in stderr
    (line,) = job.messages(stderr)
    assert line.startswith(f"i2md: {run}: another process of this job has ended (")
    assert line.endswith(f" at step {step}; run the same command again to resume")


def _require_same_end(run: Path, uninterrupted: Path) -> None:
    mine, theirs = (load_file(folder / "training_state.safetensors") for folder in (run, uninterrupted))
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == list(range(1, EPOCHS + 1))
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []
