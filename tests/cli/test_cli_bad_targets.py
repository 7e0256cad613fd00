"""Targets that exist, are read-only or full: exit code 2, one line, and nothing half-written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny
from refusal import Refused, one_line

from i2md.cli.main import main


def test_existing_clips_need_overwrite(refused: Refused, tmp_path: Path) -> None:
    few = ["--options.actions", "1", "--options.subjects", "2"]
    words = ["prepare", "synthetic", "x", str(tmp_path / "clips")]
    assert main([*words, *few]) == 0
    assert "add --overwrite" in refused(*words)
    assert main([*words, *few, "--options.repeats", "1", "--overwrite"]) == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "name a folder that does not exist" in refused(*words[:3], tmp_path / "mine", "--overwrite")


def test_existing_run_of_other_settings(refused: Refused, clips: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    line = refused("pretrain", clips, tmp_path / "run", *tiny.SETTINGS, "--epochs", 3, "--encoder.hidden_size", 4)
    assert "differs in encoder.hidden_size, epochs; name another folder" in line


def test_target_that_is_something_else(refused: Refused, clips: Path, golden: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "is not a run" in refused("pretrain", clips, tmp_path / "mine", *tiny.SETTINGS)
    assert "is not a run" in refused("pretrain", clips, tmp_path / "mine" / "letter.txt", *tiny.SETTINGS)
    assert "already exists" in refused("import-cmd", golden / "cmd_step.pth.tar", tmp_path / "mine")
    assert "a part of it is a file" in refused("prepare", "synthetic", "x", tmp_path / "mine" / "letter.txt" / "c")
    assert "give a file, not a folder" in refused("info", clips, "--json", tmp_path / "mine")


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


def test_read_only_target(refused: Refused, closed: Path, clips: Path, run: Path, golden: Path) -> None:
    for words in (
        ["prepare", "synthetic", "x", closed / "clips"],
        ["pretrain", clips, closed / "run", *tiny.SETTINGS],
        ["embed", run, clips, closed / "out.npz"],
        ["import-cmd", golden / "cmd_step.pth.tar", closed / "run"],
        ["info", clips, "--json", closed / "info.json"],
    ):
        line = refused(*words)
        assert str(closed) in line
        assert "; choose a writable location" in line


# A command for each kind of output, "TARGET" in the place of what it writes.
WRITING = {
    "prepare": ["prepare", "synthetic", "x", "TARGET", *tiny.MAKE_CLIPS],
    "pretrain": ["pretrain", "CLIPS", "TARGET", *tiny.SETTINGS],
    "embed": ["embed", "RUN", "CLIPS", "TARGET"],
    "embed .npz": ["embed", "RUN", "CLIPS", "TARGET.npz"],
    "join": ["join", "TARGET", "CLIPS", "OTHER"],
    "json": ["info", "CLIPS", "--json", "TARGET"],
    "report": ["report", "RUN", "--out", "TARGET"],
    "sweep": ["sweep", "CLIPS", "TARGET", *tiny.SWEEP, "--grid", "method=cmd"],
    "reproduce": ["reproduce", "utd-mhad", "TARGET", "--clips", "CLIPS"],
    "import-cmd": ["import-cmd", "CHECKPOINT", "TARGET"],
    "recipes": ["recipes", "copy", "ntu60", "TARGET"],
    "layouts": ["layouts", "copy", "kinect-v1", "TARGET"],
}


VIA_PARTIAL = ("prepare", "join", "embed .npz", "json", "report", "recipes", "layouts")


def _link(path: Path, to: str) -> Path:
    path.symlink_to(to)
    return path


@pytest.mark.parametrize("command", WRITING)
def test_target_that_cannot_be_made(
    refused: Refused, clips: Path, run: Path, golden: Path, tmp_path: Path, command: str
) -> None:
    other = shutil.copytree(clips, tmp_path / "other") / "dataset.json"
    other.write_text(other.read_text().replace('"name": "synthetic"', '"name": "other"'))
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.npz")
    for name in ("nowhere", "nowhere.npz"):
        _link(tmp_path / name, "not-there/at-all")
    for name in ("circle", "circle.npz"):
        _link(tmp_path / name, name)
    names = {"CLIPS": clips, "RUN": run, "CHECKPOINT": golden / "cmd_step.pth.tar", "OTHER": tmp_path / "other"}
    for target, message in (
        # Names of up to 255 bytes are possible, but not with the ending of the file that is written first.
        *([("x" * 250, "File name too long; choose a shorter name")] if command in VIA_PARTIAL else []),
        ("x" * 256, "File name too long; choose a shorter name"),
        ("x" * 300, "File name too long; choose a shorter name"),
        ("y/" * 3000 + "y", "File name too long; choose a shorter name"),
        ("nowhere", ": a link to not-there/at-all, where nothing is; remove the link, or name another target"),
        ("nowhere/inside", ": a link to not-there/at-all, where nothing is; remove the link, or name another target"),
        ("circle", "where nothing is; remove the link, or name another target"),
        ("pipe", ": neither a file nor a folder but a pipe or a device; name another target"),
    ):
        if target == "pipe" and command in ("recipes", "layouts", "import-cmd"):
            continue  # they never replace what exists
        words = [str(names.get(str(word), word)).replace("TARGET", str(tmp_path / target)) for word in WRITING[command]]
        line = refused(*words)
        assert line.endswith(message), line
        assert len(line) <= 500


def test_target_that_is_a_link_to_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "clips").symlink_to("disk")
    for _ in range(2):
        assert main(["prepare", "synthetic", "x", str(tmp_path / "clips"), *tiny.MAKE_CLIPS, "--overwrite"]) == 0
        assert (tmp_path / "clips").is_symlink()
        assert (tmp_path / "disk" / "frames.npy").is_file()


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
def test_file_size_limit_while_writing_clips(refused: Refused, tmp_path: Path, size: int) -> None:
    with _files_no_larger_than(size):
        line = refused("prepare", "synthetic", "x", tmp_path / "clips", *tiny.MAKE_CLIPS)
    fix = "raise the limit on file sizes, then run the same command again to resume"
    assert line == f"i2md: {tmp_path / 'clips'}: File too large; {fix}"


@pytest.mark.parametrize(
    ("size", "file"),
    [(100, "config.yaml"), (6_000, "training_state.safetensors"), (30_000, "training_state.safetensors")],
)
def test_run_resumes_after_a_file_size_limit(
    clips: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, file: str
) -> None:
    words = ["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS]
    with _files_no_larger_than(size):
        assert main(words) == 2
    assert f"{tmp_path / 'run' / file}: File too large; raise" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / file).exists()
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))
    assert main(words) == 0
    model = "model.safetensors"
    assert (tmp_path / "run" / model).read_bytes() == (run / model).read_bytes()


@pytest.mark.parametrize(("size", "file"), [(100, "evaluation/knn-k=1-synthetic-xsub.json"), (20_000, "report.html")])
def test_file_size_limit_while_writing_results(
    clips: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, file: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    with _files_no_larger_than(size):
        assert main(["evaluate", str(tmp_path / "run"), str(clips), "--protocol", "knn", "--device", "cpu"]) == 2
    assert f"{tmp_path / 'run' / file}: File too large; raise" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / file).exists()
    assert not any(path.name.startswith(".") for path in tmp_path.rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root on Linux may mount a small disk")
@pytest.mark.parametrize("kilobytes", [4, 8, 12, 64, 240])
def test_full_disk(
    clips: Path, run: Path, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kilobytes: int
) -> None:
    disk = tmp_path / "disk"
    commands = {
        "clips": ["prepare", "synthetic", "x", disk / "clips", *tiny.MAKE_CLIPS],
        "run": ["pretrain", clips, disk / "run", *tiny.SETTINGS],
        "reference": ["import-cmd", golden / "cmd_step.pth.tar", disk / "reference"],
    }
    disk.mkdir()
    for target, words in commands.items():
        _mount(disk, "-o", f"size={kilobytes}k")
        try:
            capsys.readouterr()
            code = main([str(word) for word in words])
            assert code == 2 or (target == "reference" and kilobytes == 240)
            if code:
                line = one_line(capsys.readouterr().err)
                assert f"{disk / target}" in line
                assert "No space left on device; free some space, then run the same command again" in line
                assert not any(path.name.startswith(".") for path in disk.rglob("*"))
                assert not (disk / "clips").exists()
        finally:
            subprocess.run(["umount", "-l", disk], check=True)
