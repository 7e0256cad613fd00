"""Clips, runs and checkpoints that are damaged, or do not fit one another: exit code 2 and one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from refusal import Refused

from i2md.cli.main import main

SKELETON = "S001C001P001R001A001.skeleton"


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: _cut(d / "frames.npy", 5000), "prepare them again"),
        (lambda d: _cut(d / "frames.npy", 0), "prepare them again"),
        (lambda d: (d / "frames.npy").unlink(), "frames.npy is missing"),
        (lambda d: np.save(d / "frames.npy", np.load(d / "frames.npy")[:-1]), "does not fit the index"),
        (lambda d: np.save(d / "frames.npy", np.load(d / "frames.npy")[:, :, :2]), "does not fit the index"),
        (lambda d: np.save(d / "frames.npy", np.load(d / "frames.npy").astype("f8")), "does not fit the index"),
        (lambda d: (d / "dataset.json").unlink(), "dataset.json is missing"),
        (lambda d: _cut(d / "dataset.json", 100), "dataset.json: not a dataset description"),
        (lambda d: (d / "dataset.json").write_bytes(b"\xff\xfe\x00"), "dataset.json: not a dataset description"),
        (lambda d: (d / "dataset.json").write_text("[]"), "dataset.json: not a dataset description"),
        (lambda d: (d / "dataset.json").write_text('{"format_version": 9}'), "format 9, this program reads 1"),
        (lambda d: _cut(d / "clips.parquet", 1000), "prepare them again"),
        (lambda d: (d / "clips.parquet").write_text("name\n"), "prepare them again"),
    ],
)
def test_damaged_clips(
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(clips, tmp_path / "clips")
    damage(tmp_path / "clips")
    for words in (["info"], ["pretrain"], ["evaluate", run]):
        target = [tmp_path / "run", *tiny.SETTINGS] if words == ["pretrain"] else []
        line = refused(*words, tmp_path / "clips", *target)
        assert str(tmp_path / "clips") in line
        assert message in line


def test_folder_without_clips_or_run(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "make one with i2md prepare" in refused("info", tmp_path / "empty")
    assert "make one with i2md prepare" in refused("pretrain", tmp_path / "absent", tmp_path / "run")
    assert "make one with i2md pretrain" in refused("evaluate", tmp_path / "empty", clips)
    assert "make one with i2md prepare" in refused("embed", run, run, tmp_path / "out.npz")


def test_fewer_clips_than_the_batch(refused: Refused, clips: Path, tmp_path: Path) -> None:
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--batch_size", 32)
    assert f"{clips}: 16 clips to train on are fewer than a batch of 32; lower --batch_size" in line


def test_unknown_split(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--split", "xview")
    assert f"{clips}: no split 'xview'; choose one of xsub" in line
    assert "no split 'xview'; choose one of xsub" in refused("evaluate", run, clips, "--split", "xview")


def test_run_of_another_layout(refused: Refused, clips: Path, golden: Path, tmp_path: Path) -> None:
    assert main(["import-cmd", str(golden / "cmd_step.pth.tar"), str(tmp_path / "run")]) == 0
    # Converted on the way, but of another preset, which needs the positions of the recordings.
    line = f"{clips}: prepared by 'facing', which cannot be made 'ntu'; prepare the recordings with --preset ntu"
    assert line in refused("evaluate", tmp_path / "run", clips)
    assert line in refused("embed", tmp_path / "run", clips, tmp_path / "out.npz")


def test_clips_of_another_preset(refused: Refused, run: Path, tmp_path: Path) -> None:
    assert main(["prepare", "synthetic", "x", str(tmp_path / "c"), *tiny.MAKE_CLIPS, "--preset", "ntu"]) == 0
    assert "prepare the recordings with --preset facing" in refused("evaluate", run, tmp_path / "c")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "model.safetensors").write_bytes(b"hello"), "model.safetensors: not a checkpoint of i2md"),
        (lambda d: _cut(d / "model.safetensors", 2000), "model.safetensors: not a checkpoint of i2md"),
        (lambda d: _cut(d / "config.yaml", 40), "config.yaml"),
        (lambda d: (d / "config.yaml").write_text("{{"), "config.yaml: not the configuration of a run"),
        (lambda d: (d / "config.yaml").write_bytes(b"\xff\xfe\x00"), "config.yaml: not the configuration of a run"),
        (lambda d: _replace(d / "config.yaml", "hidden_size: 8", "hidden_size: 9"), "do not fit its config.yaml"),
        (lambda d: _replace(d / "config.yaml", "hidden_size: 8", "hiddensize: 8"), "config.yaml: "),
        (lambda d: _replace(d / "config.yaml", "persons: 1", "persons: true"), "persons is True, outside 1 to 1000"),
        (lambda d: _cut((d / "training_state.safetensors").rename(d / "model.safetensors"), 2000), "not a checkpoint"),
        (lambda d: [(d / f"{n}.safetensors").unlink() for n in ("model", "training_state")], "nothing saved there yet"),
    ],
)  # fmt: skip
def test_damaged_run(
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    assert message in refused("evaluate", tmp_path / "run", clips, "--protocol", "knn")
    assert message in refused("embed", tmp_path / "run", clips, tmp_path / "out.npz")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: _cut(d / "training_state.safetensors", 2000),
        lambda d: _cut(d / "training_state.safetensors", 0),
        lambda d: shutil.copy(d / "model.safetensors", d / "training_state.safetensors"),
    ],
)
def test_damaged_training_state(
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS)
    assert "training_state.safetensors: not " in line
    assert "remove it or restore a copy" in line


def test_file_that_is_not_a_cmd_checkpoint(refused: Refused, golden: Path, tmp_path: Path) -> None:
    state = torch.load(golden / "cmd_step.pth.tar", weights_only=True)["state_dict"]
    for name, content in {
        "other.pth": {"weights": torch.zeros(1)},
        "list.pth": [1, 2],
        "bankless.pth": {"state_dict": {k: v for k, v in state.items() if k != "queue"}},
        "half.pth": {"state_dict": dict(list(state.items())[: len(state) // 2])},
        "more.pth": {"state_dict": {**state, "encoder_q.extra": torch.zeros(1)}},
    }.items():
        torch.save(content, tmp_path / name)
    shutil.copy(golden / "ntu-rgbd" / SKELETON, tmp_path / "text.pth")
    (tmp_path / "cut.pth").write_bytes((golden / "cmd_step.pth.tar").read_bytes()[:5000])
    for file in (*sorted(tmp_path.glob("*.pth")), tmp_path / "absent.pth", tmp_path):
        line = refused("import-cmd", file, tmp_path / "run")
        assert str(file) in line
        assert "; give " in line
