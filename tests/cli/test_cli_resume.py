"""A run that is killed, stopped or cut off at any moment goes on, and ends as if it had never been."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from i2md.cli.main import main

EPOCHS = 8
# Four steps an epoch, so that states are saved within epochs and at their ends.
WORDS = [*tiny.SETTINGS, "--batch_size", "4", "--epochs", str(EPOCHS), "--knn_every", "5"]
SAVING = [*WORDS, "--checkpoint_minutes", "0.0005"]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    return run


def _end_when(process: subprocess.Popen[str], reached: Callable[[], bool], number: int, after: float = 0.0) -> str:
    """Send the signal `after` seconds once `reached`, or let the process end; what it wrote to stderr."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not reached() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(after)
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE)[1]


def _so_far(run: Path, lines: int) -> bool:
    """Whether the run has begun, and logged more than so many lines."""
    log = run / "log.jsonl"
    logged = log.read_bytes().count(b"\n") if log.is_file() else 0
    return (run / "config.yaml").is_file() and logged > lines


def _require_same_end(run: Path, undisturbed: Path) -> None:
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (run, undisturbed))
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    log, whole = (
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] for folder in (run, undisturbed)
    )
    assert [line["epoch"] for line in log] == list(range(1, EPOCHS + 1))
    timed = ("seconds", "clips_per_second")
    for line, other in zip(log, whole, strict=True):
        assert {k: v for k, v in line.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_killed_again_and_again_it_ends_with_the_same_weights(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    chance = random.Random(0)
    killed = 0
    for lines in (-1, 0, 3):
        process = tiny.start("pretrain", clips, run, *SAVING)
        reached = partial(_so_far, run, lines)
        # Where within a step, a save or a line of the log it strikes is left to chance.
        _end_when(process, reached, signal.SIGKILL, after=chance.random() / 20)
        killed += process.returncode == -signal.SIGKILL
    assert killed >= 2
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_killed_before_it_ever_saved_it_begins_again(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = tiny.start("pretrain", clips, run, *SAVING[:-1], "5")
    _end_when(process, partial(_so_far, run, 3), signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (run / "training_state.safetensors").exists()
    assert main(["pretrain", str(clips), str(run), *SAVING[:-1], "5"]) == 0
    _require_same_end(run, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_saves_says_so_and_goes_on(
    clips: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    words = [*SAVING[:-1], "5"]
    process = tiny.start("pretrain", clips, run, *words)
    stderr = _end_when(process, partial(_so_far, run, 2), number)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "i2md: stopped; the same command goes on from here"
    assert "Traceback" not in stderr
    state = load_file(run / "training_state.safetensors")
    assert 0 < int(state["progress.step"]) < 4 * EPOCHS
    assert main(["pretrain", str(clips), str(run), *words]) == 0
    _require_same_end(run, undisturbed)


@pytest.mark.parametrize("step", [1, 3, 4, 31, 32])
def test_it_goes_on_from_any_step(
    clips: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    from i2md.pretraining.loop import Training

    run, whole_step = tmp_path / "run", Training._step

    def step_then_stop(self: Training, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        losses = whole_step(self, indices)
        if self.step == step:
            signal.raise_signal(signal.SIGINT)
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", step_then_stop)
        assert main(["pretrain", str(clips), str(run), *WORDS]) == 130
    assert int(load_file(run / "training_state.safetensors")["progress.step"]) == step
    assert main(["pretrain", str(clips), str(run), *WORDS]) == 0
    _require_same_end(run, undisturbed)


def test_killed_between_the_last_state_and_the_model_it_writes_the_model(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").unlink()
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_a_finished_run_is_left_alone(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_what_a_kill_leaves_of_half_a_write_is_taken_over(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.yaml.partial").write_text("settings:\n  meth")
    (run / ".training_state.safetensors.partial").write_bytes(b"\0" * 100)
    (run / ".model.safetensors.partial").write_bytes(b"\0" * 100)
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_a_line_cut_short_in_the_log_is_written_anew(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "training_state.safetensors").unlink()
    (run / "model.safetensors").unlink()
    log = run / "log.jsonl"
    log.write_text(log.read_text()[:-40])
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_a_run_may_be_evaluated_while_it_is_still_in_training(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").unlink()
    assert main(["embed", str(run), str(clips), str(tmp_path / "a.npz"), "--device", "cpu"]) == 0
    assert main(["embed", str(undisturbed), str(clips), str(tmp_path / "b.npz"), "--device", "cpu"]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("left", [0, 1000])
def test_a_finished_model_that_was_damaged_is_made_whole_from_the_state(
    left: int, clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").write_bytes((undisturbed / "model.safetensors").read_bytes()[:left])
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)
