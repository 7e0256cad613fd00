"""What the user can mend: exit 2, one line that names place and mend, no traceback, nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from scipy.io import savemat

from i2md.cli import main

SKELETON = "S001C001P001R001A001.skeleton"
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.run(tmp_path_factory.getbasetemp())


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """A command that has to be refused: its one line. Nothing may have changed below tmp_path."""

    def call(*words: object) -> str:
        before = _contents(tmp_path)
        capsys.readouterr()
        code = main([str(word) for word in words])
        line = _one_line(capsys.readouterr().err)
        assert code == 2, line
        assert _contents(tmp_path) == before
        return line

    return call


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def _one_line(stderr: str) -> str:
    """The complaint; progress bars aside it is all there is."""
    lines = [line for line in stderr.replace("\r", "\n").splitlines() if line.strip() and "it/s" not in line]
    plain = [line for line in lines if not any(unit in line for unit in ("step/s", "clip/s", "epoch/s", "?, ?"))]
    assert len(plain) == 1, plain
    assert plain[0].startswith("i2md: ")
    assert lines[-1] == plain[0]
    return plain[0]


# Recordings


@pytest.mark.parametrize("format", ["utd-mhad", "msr-action3d", "nw-ucla", "ntu-rgbd", "arrays"])
def test_a_folder_without_recordings(refused: Refused, tmp_path: Path, format: str) -> None:
    (tmp_path / "empty").mkdir()
    line = refused("prepare", format, tmp_path / "empty", tmp_path / "clips")
    assert str(tmp_path / "empty") in line
    assert "; give the f" in line


def test_a_folder_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in refused("prepare", "ntu-rgbd", tmp_path / "absent", tmp_path / "clips")


@pytest.mark.parametrize("damage", ["truncated", "empty", "binary"])
@pytest.mark.parametrize("strict", [[], ["--strict"]])
def test_a_damaged_skeleton(refused: Refused, tmp_path: Path, golden: Path, damage: str, strict: list[str]) -> None:
    whole = (golden / "ntu-rgbd" / SKELETON).read_bytes()
    damaged = {"truncated": whole[:3000], "empty": b"", "binary": np.random.default_rng(0).bytes(2000)}[damage]
    (tmp_path / "ntu").mkdir()
    (tmp_path / "ntu" / SKELETON).write_bytes(damaged)
    line = refused("prepare", "ntu-rgbd", tmp_path / "ntu", tmp_path / "clips", *strict)
    assert SKELETON in line
    assert line.isprintable()


def test_one_damaged_file_among_sound_ones_is_left_out_and_said(
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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_no_numbers(refused: Refused, tmp_path: Path, value: float) -> None:
    positions = np.random.default_rng(0).normal(size=(3, 10, 25, 3))
    positions[:, 2, 3, 0] = value
    np.savez(tmp_path / "mine.npz", positions=positions)
    line = refused("prepare", "arrays", tmp_path / "mine.npz", tmp_path / "clips")
    assert "mine.npz" in line
    assert "clip 0: frame 2" in line


def test_a_mat_without_d_skel(refused: Refused, tmp_path: Path) -> None:
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
    ("words", "named"),
    [
        (["nosuch", "x"], "choose one of arrays, generated,"),
        (["generated", "x", "--preset", "nosuch"], "choose one of facing,"),
        (["generated", "x", "--options.bodys", "2"], "its options are actions, bodies, repeats, seed"),
        (["generated", "x", "--options.actions", "many"], "actions"),
        (["generated", "x", "--options.actions", "99"], "choose 1 to"),
        (["generated", "x", "--opions.actions", "2"], "unknown setting 'opions.actions'"),
    ],
)
def test_prepare_words_that_are_wrong(refused: Refused, tmp_path: Path, words: list[str], named: str) -> None:
    assert named in refused("prepare", *words[:2], tmp_path / "clips", *words[2:])


# Targets


def test_clips_that_are_there_already(refused: Refused, tmp_path: Path) -> None:
    few = ["--options.actions", "1", "--options.bodies", "2"]
    words = ["prepare", "generated", "x", str(tmp_path / "clips")]
    assert main([*words, *few]) == 0
    assert "add --overwrite" in refused(*words)
    assert main([*words, *few, "--options.repeats", "1", "--overwrite"]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "name a folder that does not exist" in refused(*words[:3], tmp_path / "mine", "--overwrite")


def test_a_run_of_other_settings_is_there_already(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--epochs", 3, "--encoder.units", 4)
    assert "differs in encoder.units, epochs; name another folder" in line


def test_something_else_is_there_already(refused: Refused, clips: Path, golden: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "is not a run" in refused("pretrain", clips, tmp_path / "mine", *tiny.SETTINGS)
    assert "is not a run" in refused("pretrain", clips, tmp_path / "mine" / "letter.txt", *tiny.SETTINGS)
    assert "already exists" in refused("import-cmd", golden / "cmd_step.pth.tar", tmp_path / "mine")
    assert "a part of it is a file" in refused("prepare", "generated", "x", tmp_path / "mine" / "letter.txt" / "c")
    assert "name a file, not a folder" in refused("info", clips, "--json", tmp_path / "mine")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nothing can be written to, not by root either."""
    folder = tmp_path / "closed"
    folder.mkdir()
    if os.geteuid() == 0:
        _mount(folder, "-o", "ro,size=64k")
        yield folder
        subprocess.run(["umount", "-l", folder], check=True)
    else:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)


def _mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")


def test_a_target_that_cannot_be_written_to(
    refused: Refused, closed: Path, clips: Path, run: Path, golden: Path
) -> None:
    for words in (
        ["prepare", "generated", "x", closed / "clips"],
        ["pretrain", clips, closed / "run", *tiny.SETTINGS],
        ["embed", run, clips, closed / "out.npz"],
        ["import-cmd", golden / "cmd_step.pth.tar", closed / "run"],
        ["info", clips, "--json", closed / "info.json"],
    ):
        line = refused(*words)
        assert str(closed) in line
        assert "; name a place that" in line


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes, as far as any one file can tell."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [100, 10_000, 600_000])
def test_no_room_for_clips(refused: Refused, tmp_path: Path, size: int) -> None:
    with _files_no_larger_than(size):
        line = refused("prepare", "generated", "x", tmp_path / "clips", *tiny.MAKE_CLIPS)
    assert line == f"i2md: {tmp_path / 'clips'}: File too large; raise the limit on file sizes"


@pytest.mark.parametrize(
    ("size", "file"),
    [(100, "config.yaml"), (2_100, "training_state.safetensors"), (30_000, "training_state.safetensors")],
)
def test_no_room_for_a_run_and_room_again(
    clips: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, file: str
) -> None:
    words = ["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS]
    with _files_no_larger_than(size):
        assert main(words) == 2
    assert f"{tmp_path / 'run' / file}: File too large; raise" in _one_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / file).exists()
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))
    assert main(words) == 0
    model = "model.safetensors"
    assert (tmp_path / "run" / model).read_bytes() == (run / model).read_bytes()


@pytest.mark.parametrize(("size", "file"), [(100, "evaluation/knn-generated-xsub.json"), (20_000, "report.html")])
def test_no_room_for_results(
    clips: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, file: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    with _files_no_larger_than(size):
        assert main(["evaluate", str(tmp_path / "run"), str(clips), "--protocol", "knn", "--device", "cpu"]) == 2
    assert f"{tmp_path / 'run' / file}: File too large; raise" in _one_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / file).exists()
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root on Linux may mount a small disk")
@pytest.mark.parametrize("kilobytes", [4, 8, 12, 64, 240])
def test_a_disk_that_is_full(
    clips: Path, run: Path, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kilobytes: int
) -> None:
    disk = tmp_path / "disk"
    commands = {
        "clips": ["prepare", "generated", "x", disk / "clips", *tiny.MAKE_CLIPS],
        "run": ["pretrain", clips, disk / "run", *tiny.SETTINGS],
        "official": ["import-cmd", golden / "cmd_step.pth.tar", disk / "official"],
    }
    disk.mkdir()
    for target, words in commands.items():
        _mount(disk, "-o", f"size={kilobytes}k")
        try:
            capsys.readouterr()
            code = main([str(word) for word in words])
            assert code == 2 or (target == "official" and kilobytes == 240)
            if code:
                line = _one_line(capsys.readouterr().err)
                assert f"{disk / target}" in line
                assert line.endswith("No space left on device; free some space")
                assert not any(path.name.startswith(".") for path in disk.rglob("*"))
                assert not (disk / "clips").exists()
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


# Clips and runs


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "named"),
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
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    shutil.copytree(clips, tmp_path / "clips")
    damage(tmp_path / "clips")
    for words in (["info"], ["pretrain"], ["evaluate", run]):
        target = [tmp_path / "run", *tiny.SETTINGS] if words == ["pretrain"] else []
        line = refused(*words, tmp_path / "clips", *target)
        assert str(tmp_path / "clips") in line
        assert named in line


def test_a_folder_that_holds_no_clips_or_no_run(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "make one with i2md prepare" in refused("info", tmp_path / "empty")
    assert "make one with i2md prepare" in refused("pretrain", tmp_path / "absent", tmp_path / "run")
    assert "make one with i2md pretrain" in refused("evaluate", tmp_path / "empty", clips)
    assert "make one with i2md prepare" in refused("embed", run, run, tmp_path / "out.npz")


def test_fewer_clips_than_the_batch(refused: Refused, clips: Path, tmp_path: Path) -> None:
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--batch", 32)
    assert f"{clips}: 16 clips to train on are fewer than a batch of 32; lower --batch" in line


def test_a_split_that_is_not_there(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--split", "xview")
    assert f"{clips}: no split 'xview'; choose one of xsub" in line
    assert "no split 'xview'; choose one of xsub" in refused("evaluate", run, clips, "--split", "xview")


def test_a_run_of_another_layout(refused: Refused, clips: Path, golden: Path, tmp_path: Path) -> None:
    assert main(["import-cmd", str(golden / "cmd_step.pth.tar"), str(tmp_path / "run")]) == 0
    for words in (["evaluate", tmp_path / "run", clips], ["embed", tmp_path / "run", clips, tmp_path / "out.npz"]):
        line = refused(*words)
        assert "pretrained on layout 'kinect-v2'" in line
        assert "has 'kinect-v1'; give clips of the same layout" in line


def test_clips_prepared_otherwise(refused: Refused, run: Path, tmp_path: Path) -> None:
    assert main(["prepare", "generated", "x", str(tmp_path / "c"), *tiny.MAKE_CLIPS, "--preset", "none"]) == 0
    assert "prepare it with --preset facing" in refused("evaluate", run, tmp_path / "c")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda d: (d / "model.safetensors").write_bytes(b"hello"), "model.safetensors: not a checkpoint of i2md"),
        (lambda d: _cut(d / "model.safetensors", 2000), "model.safetensors: not a checkpoint of i2md"),
        (lambda d: _cut(d / "config.yaml", 40), "config.yaml"),
        (lambda d: (d / "config.yaml").write_text("{{"), "config.yaml: not the configuration of a run"),
        (lambda d: (d / "config.yaml").write_bytes(b"\xff\xfe\x00"), "config.yaml: not the configuration of a run"),
        (lambda d: _replace(d / "config.yaml", "units: 8", "units: 9"), "do not fit its config.yaml"),
        (lambda d: _replace(d / "config.yaml", "units: 8", "unit: 8"), "config.yaml: "),
        (lambda d: _cut((d / "training_state.safetensors").rename(d / "model.safetensors"), 2000), "not a checkpoint"),
        (lambda d: [(d / f"{n}.safetensors").unlink() for n in ("model", "training_state")], "nothing saved there yet"),
    ],
)  # fmt: skip
def test_a_damaged_run(
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    assert named in refused("evaluate", tmp_path / "run", clips, "--protocol", "knn")
    assert named in refused("embed", tmp_path / "run", clips, tmp_path / "out.npz")


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
def test_a_damaged_training_state(
    refused: Refused, clips: Path, run: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    damage(tmp_path / "run")
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS)
    assert "training_state.safetensors: not " in line
    assert "remove it or restore a copy" in line


def test_a_checkpoint_that_is_not_one(refused: Refused, golden: Path, tmp_path: Path) -> None:
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


# Settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epoch", "3"], "unknown setting 'epoch': did you mean epochs?"),
        (["--optimiser.learningrate=3"], "'optimiser.learningrate': did you mean optimiser.learning_rate?"),
        (["--objectives.neighbors", "3"], "'objectives.neighbors': did you mean objectives.neighbours?"),
        (["--zzzz", "3"], "unknown setting 'zzzz': see i2md pretrain --help"),
        (["--epochs", "many"], '"epochs"'),
        (["--method", "simclr"], "'moco', 'cmd', 'imd', 'i2md'"),
        (["--objectives.bank", "33"], "objectives.bank 33 must be a multiple of batch 8"),
        (["--streams", "[joint]"], "method i2md needs at least two streams"),
        (["--streams", "[joint, depth]"], "choose among joint, motion, bone"),
        (["--encoder.name", "nosuch"], "nosuch"),
        (["--device", "tpu"], "choose auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:77"], "choose auto or cpu"),
        (["--recipe", "nosuch"], "recipe 'nosuch' is neither a file nor one of"),
        (["--recipe=nosuch"], "recipe 'nosuch' is neither a file nor one of"),
        (["--recipe"], "--recipe"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong(refused: Refused, clips: Path, tmp_path: Path, words: list[str], said: str) -> None:
    assert said in refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, *words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 3\n", "mine.yaml: unknown setting 'epoch': did you mean epochs?"),
        ("encoder:\n  unit: 3\n", "mine.yaml: unknown setting 'encoder.unit': did you mean encoder.units?"),
        ("{{{", "mine.yaml: "),
        ("- 3\n", "mine.yaml: "),
    ],
)
def test_a_recipe_that_is_wrong(refused: Refused, clips: Path, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert said in refused("pretrain", clips, tmp_path / "run", "--recipe", tmp_path / "mine.yaml")


@pytest.mark.parametrize("words", [["nosuch"], ["pretrain"], ["evaluate", "a"], ["info", "a", "b"]])
def test_commands_that_are_wrong(refused: Refused, words: list[str]) -> None:
    refused(*words)


def test_protocols_and_files_that_are_wrong(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    assert "choose among knn, linear, linear-sweep" in refused("evaluate", run, clips, "--protocol", "svm")
    assert "name the file so" in refused("embed", run, clips, tmp_path / "out.csv")


def test_a_loss_that_is_not_finite_says_what_to_do(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS, "--optimiser.learning_rate", "1e30"]
    assert main(words) == 2
    line = _one_line(capsys.readouterr().err)
    assert f"{tmp_path / 'run'}: the loss" in line
    assert "is not finite at step 2; lower --optimiser.learning_rate" in line
    assert not list((tmp_path / "run").glob("*.safetensors"))
