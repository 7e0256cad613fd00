"""Invalid recordings and arguments: exit code 2 and one line that says what is wrong, where, and how to fix it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from refusal import Refused, one_line
from scipy.io import savemat

from i2md.cli.main import main

SKELETON = "S001C001P001R001A001.skeleton"


@pytest.mark.parametrize("format", ["utd-mhad", "msr-action3d", "nw-ucla", "ntu-rgbd", "arrays"])
def test_folder_without_recordings(refused: Refused, tmp_path: Path, format: str) -> None:
    (tmp_path / "empty").mkdir()
    line = refused("prepare", format, tmp_path / "empty", tmp_path / "clips")
    assert str(tmp_path / "empty") in line
    assert "; give the f" in line


def test_missing_folder(refused: Refused, tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in refused("prepare", "ntu-rgbd", tmp_path / "absent", tmp_path / "clips")


@pytest.mark.parametrize("damage", ["truncated", "empty", "binary"])
@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_damaged_skeleton_file(refused: Refused, tmp_path: Path, golden: Path, damage: str, strict: list[str]) -> None:
    whole = (golden / "ntu-rgbd" / SKELETON).read_bytes()
    damaged = {"truncated": whole[:3000], "empty": b"", "binary": np.random.default_rng(0).bytes(2000)}[damage]
    (tmp_path / "ntu").mkdir()
    (tmp_path / "ntu" / SKELETON).write_bytes(damaged)
    line = refused("prepare", "ntu-rgbd", tmp_path / "ntu", tmp_path / "clips", *strict)
    assert SKELETON in line
    assert line.isprintable()


def test_damaged_file_among_valid_ones_is_left_out_and_named(
    tmp_path: Path, golden: Path, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    shutil.copytree(golden / "ntu-rgbd", tmp_path / "ntu")
    (tmp_path / "ntu" / "S002C001P001R001A001.skeleton").write_bytes(b"")
    words = ["prepare", "ntu-rgbd", str(tmp_path / "ntu"), str(tmp_path / "clips")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "clips:       6" in printed
    assert [line for line in printed.splitlines() if "left out" in line and "S002C001P001R001A001" in line]
    assert "S002C001P001R001A001.skeleton" in refused(*words[:3], tmp_path / "strict", "--strict")


def test_coordinates_that_are_infinite(refused: Refused, tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(3, 10, 25, 3))
    positions[:, 2, 3, 0] = np.inf
    np.savez(tmp_path / "mine.npz", positions=positions)
    line = refused("prepare", "arrays", tmp_path / "mine.npz", tmp_path / "clips")
    assert "mine.npz" in line
    assert "clip 0: frame 2" in line


def test_mat_file_without_d_skel(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "utd").mkdir()
    savemat(tmp_path / "utd" / "a1_s1_t1_skeleton.mat", {"other": np.zeros(3)})
    line = refused("prepare", "utd-mhad", tmp_path / "utd", tmp_path / "clips")
    assert "a1_s1_t1_skeleton.mat: no variable d_skel" in line


def test_joints_that_do_not_fit_the_layout(refused: Refused, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", positions=np.ones((3, 10, 20, 3)))
    line = refused("prepare", "arrays", tmp_path / "mine.npz", tmp_path / "clips")
    assert "mine.npz: 20 joints" in line
    assert "layouts that fit: kinect-v1" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch", "x"], "choose among arrays,"),
        (["synthetic", "x", "--preset", "nosuch"], "facing, facing-rigid, facing-scaled, none"),
        (["synthetic", "x", "--options.subjets", "2"], "its options are actions, subjects, repeats, seed"),
        (["synthetic", "x", "--options.actions", "many"], "actions"),
        (["synthetic", "x", "--options.actions", "99"], "choose 1 to"),
        (["synthetic", "x", "--opions.actions", "2"], "unknown option --opions.actions"),
    ],
)
def test_invalid_arguments_of_prepare(refused: Refused, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in refused("prepare", *words[:2], tmp_path / "clips", *words[2:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "3"], "unknown option --epoch: did you mean --epochs?"),
        (["--optimizer.learningrate=3"], "option --optimizer.learningrate: did you mean --optimizer.learning_rate?"),
        (["--objectives.neighbors", "3"], "option --objectives.neighbors: did you mean --objectives.num_neighbours?"),
        (["--zzzz", "3"], "unknown option --zzzz: see i2md pretrain --help"),
        (["--epochs", "many"], '"epochs"'),
        (["--method", "simclr"], "'moco', 'cmd', 'imd', 'i2md'"),
        (["--objectives.queue_size", "33"], "objectives.queue_size 33 must be a multiple of batch_size 8"),
        (["--streams", "[joint]"], "method i2md needs at least two streams"),
        (["--streams", "[joint, depth]"], "choose among joint, motion, bone"),
        (["--encoder.name", "nosuch"], "nosuch"),
        (["--device", "tpu"], "choose auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:77"], "choose auto or cpu"),
        (["--recipe", "nosuch"], "unknown recipe 'nosuch': "),
        (["--recipe=nosuch"], "unknown recipe 'nosuch': "),
        (["--recipe"], "--recipe"),
    ],
)  # fmt: skip
def test_invalid_settings(refused: Refused, clips: Path, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, *words)


def test_rotation_of_2d_clips(refused: Refused, tmp_path: Path) -> None:
    np.savez(tmp_path / "flat.npz", positions=np.random.default_rng(0).normal(size=(3, 10, 17, 2)))
    flat = ["--preset", "none", "--options.layout", "coco-17"]
    assert main(["prepare", "arrays", str(tmp_path / "flat.npz"), str(tmp_path / "clips"), *flat]) == 0
    line = refused("pretrain", tmp_path / "clips", tmp_path / "run", "--recipe", "ntu60", "--views.rotation", "30")
    assert "are 2-D; leave it at 0" in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3\n", "mine.yaml: unknown setting 'epoch': did you mean epochs?"),
        (
            "encoder:\n  num_layer: 3\n",
            "mine.yaml: unknown setting 'encoder.num_layer': did you mean encoder.num_layers?",
        ),
        ("{{{", "mine.yaml: "),
        ("- 3\n", "mine.yaml: "),
    ],
)
def test_invalid_recipe(refused: Refused, clips: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert message in refused("pretrain", clips, tmp_path / "run", "--recipe", tmp_path / "mine.yaml")


@pytest.mark.parametrize("words", [["nosuch"], ["pretrain"], ["evaluate", "a"], ["info", "a", "b"]])
def test_unknown_command_or_missing_argument(refused: Refused, words: list[str]) -> None:
    refused(*words)


def test_unknown_protocol_and_file_type(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    assert "choose among knn, retrieval, cluster, ridge," in refused("evaluate", run, clips, "--protocol", "svm")
    assert "an .npz or a .parquet file, or to a folder" in refused("embed", run, clips, tmp_path / "out.csv")


def test_loss_that_is_not_finite_names_a_fix(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS, "--optimizer.learning_rate", "1e30"]
    assert main(words) == 2
    line = one_line(capsys.readouterr().err)
    assert f"{tmp_path / 'run'}: the loss" in line
    assert "is not finite at step 2; lower --optimizer.learning_rate" in line
    assert not list((tmp_path / "run").glob("*.safetensors"))
