"""Files that may not be read: one line that says so, and never that they are damaged or should be removed."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from refusal import one_line

from i2md.cli.main import main

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may list; those above pytest's own may not be."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@contextmanager
def _without(permission: Path) -> Iterator[None]:
    """Nobody may read the file, the user of the tests included."""
    before = permission.stat().st_mode
    permission.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        permission.chmod(before)


def _arrays(folder: Path) -> Path:
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(4, 9, 20, 3)))
    np.savez(folder / "x.npz", positions=np.load(folder / "x.npy"))
    (folder / "x.pkl").write_bytes(pickle.dumps([]))
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(folder / "x.npy", "x.npy")
    (folder / "my.yaml").write_text("joints: [a, b]")
    return folder


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("run/model.safetensors", ["embed", "run", "data", "out.npz"]),
        ("run/config.yaml", ["embed", "run", "data", "out.npz"]),
        ("data/dataset.json", ["info", "data"]),
        ("data/clips.parquet", ["info", "data"]),
        ("data/frames.npy", ["info", "data"]),
        ("x.npy", ["prepare", "arrays", "x.npy", "out", "--layout", "kinect-v1"]),
        ("x.npz", ["prepare", "arrays", "x.npz", "out", "--layout", "kinect-v1"]),
        ("x.zip", ["prepare", "arrays", "x.zip", "out", "--layout", "kinect-v1"]),
        ("x.pkl", ["prepare", "pyskl", "x.pkl", "out"]),
        ("checkpoint", ["import-cmd", "checkpoint", "out"]),
        ("my.yaml", ["layouts", "show", "my.yaml"]),
        ("my.yaml", ["pretrain", "data", "out", "--recipe", "my.yaml"]),
    ],
)
def test_file_that_may_not_be_read(
    file: str,
    words: list[str],
    folder: Path,
    clips: Path,
    run: Path,
    golden: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(clips, folder / "data")
    shutil.copytree(run, folder / "run")
    shutil.copyfile(golden / "cmd_step.pth.tar", folder / "checkpoint")
    _arrays(folder)
    monkeypatch.chdir(folder)
    capsys.readouterr()
    with _without(folder / file):
        assert main(words) == 2
    line = one_line(capsys.readouterr().err)
    assert file in line
    assert line.endswith("Permission denied; give yourself the permission, or choose another location")
