"""A run that is killed or interrupted at any moment resumes, and ends with the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pausing
import pytest
import stopping
import tiny
import torch
from forked import Forked
from safetensors.torch import load_file

from i2md.cli.main import main

EPOCHS = 5
# Four steps an epoch, so that states are saved within epochs and at their ends.
WORDS = [*tiny.SETTINGS, "--batch_size", "4", "--epochs", str(EPOCHS), "--knn_every", "5"]
# At every step.
SAVING = [*WORDS, "--checkpoint_minutes", "0"]
RARELY_SAVING = [*WORDS, "--checkpoint_minutes", "60"]
# Seconds after which a process hangs; none takes a tenth of it.
PATIENCE = 300.0


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    return run


def _kill_itself(run: Path, ending: str, at: int, *words: object) -> None:
    process = Forked(stopping.run, str(run), ending, at, "kill", *map(str, words))
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, stderr


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


# Numbers of operations on files of the run; with a checkpoint at every step there are about fifty.
@pytest.mark.parametrize("operations", [(3, 25), pytest.param((1, 8, 30, 15), marks=pytest.mark.slow)])
def test_killed_at_any_file_operation_it_ends_with_the_same_weights(
    operations: tuple[int, ...], clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for operation in operations:
        _kill_itself(run, "", operation, "pretrain", clips, run, *SAVING)
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_killed_before_the_first_checkpoint_it_starts_again(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _kill_itself(run, "log.jsonl", 4, "pretrain", clips, run, *RARELY_SAVING)
    assert (run / "log.jsonl").read_bytes().count(b"\n") > 0
    assert not (run / "training_state.safetensors").exists()
    assert main(["pretrain", str(clips), str(run), *RARELY_SAVING]) == 0
    _require_same_end(run, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGHUP])
def test_interrupted_it_saves_a_checkpoint_and_resumes(
    clips: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    process = Forked(stopping.run, str(run), "log.jsonl", 4, "wait", "pretrain", str(clips), str(run), *RARELY_SAVING)
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    _, stderr = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "i2md: stopped; run the same command again to resume"
    assert "Traceback" not in stderr
    state = load_file(run / "training_state.safetensors")
    assert 0 < int(state["progress.step"]) < 4 * EPOCHS
    assert main(["pretrain", str(clips), str(run), *RARELY_SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_sighup_that_nohup_ignores_does_not_stop_it(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = stopping.start(run, "log.jsonl", 4, "wait", "pretrain", clips, run, *RARELY_SAVING)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGHUP)
    process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0
    _require_same_end(run, undisturbed)


def test_second_process_in_the_folder_of_a_run_is_refused(
    clips: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["pretrain", str(clips), str(run), *RARELY_SAVING]
    process = Forked(pausing.run, pausing.END_OF_STEP, 3, *words)
    pausing.wait_until_paused(process)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(words) == 2
    assert (
        capsys.readouterr().err == f"i2md: {run}: another process is writing it; wait for it, or name another folder\n"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0
    _require_same_end(run, undisturbed)
    assert not (run / ".pretrain.lock").exists()


def test_lock_file_of_a_killed_process_locks_nothing(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["pretrain", str(clips), str(run), *RARELY_SAVING]
    process = Forked(pausing.run, pausing.END_OF_STEP, 3, *words)
    pausing.wait_until_paused(process)
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert (run / ".pretrain.lock").exists()
    assert main(words) == 0
    _require_same_end(run, undisturbed)


@pytest.mark.parametrize("step", [1, 3, 4, 19, 20])
def test_interrupted_after_any_step_it_resumes(
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


def test_model_is_written_from_the_last_checkpoint(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").unlink()
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_finished_run_is_not_written_to(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_partial_files_of_a_killed_process_are_replaced(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".config.yaml.partial").write_text("settings:\n  meth")
    (run / ".training_state.safetensors.partial").write_bytes(b"\0" * 100)
    (run / ".model.safetensors.partial").write_bytes(b"\0" * 100)
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_truncated_last_line_of_the_log_is_rewritten(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "training_state.safetensors").unlink()
    (run / "model.safetensors").unlink()
    log = run / "log.jsonl"
    log.write_text(log.read_text()[:-40])
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)


def test_unfinished_run_can_be_embedded(clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").unlink()
    assert main(["embed", str(run), str(clips), str(tmp_path / "a.npz"), "--device", "cpu"]) == 0
    assert main(["embed", str(undisturbed), str(clips), str(tmp_path / "b.npz"), "--device", "cpu"]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_embedding_killed_while_it_writes_its_first_file_resumes(
    clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "._embedding.json.partial").write_text('{"key": "')
    for name in "ab":
        assert main(["embed", str(undisturbed), str(clips), str(tmp_path / name), "--device", "cpu"]) == 0
    found, whole = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert found == whole


@pytest.mark.parametrize("left", [0, 1000])
def test_damaged_model_is_restored_from_the_checkpoint(
    left: int, clips: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    (run / "model.safetensors").write_bytes((undisturbed / "model.safetensors").read_bytes()[:left])
    assert main(["pretrain", str(clips), str(run), *SAVING]) == 0
    _require_same_end(run, undisturbed)
