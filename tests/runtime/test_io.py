"""Files written whole: their permissions, and several writers of one file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from i2md.cli.main import main
from i2md.pretraining.checkpoint import load_tensors, save_tensors
from i2md.runtime.io import atomic_write, locked, write_text


@pytest.fixture(params=[0o022, 0o002, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("leftover", [False, True])
def test_modes_follow_the_umask(tmp_path: Path, umask: int, leftover: bool) -> None:
    if leftover:
        for name in ("tensors", "text", "array"):
            (tmp_path / f".{name}.partial").touch(mode=0o600)
    save_tensors(tmp_path / "tensors", {"x": torch.ones(3)})
    write_text(tmp_path / "text", "x")
    with atomic_write(tmp_path / "array") as partial, open(partial, "wb") as file:
        np.save(file, np.ones(3))
    assert {path.name: _mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("tensors", "text", "array"), 0o666 & ~umask
    )


def test_all_files_of_clips_run_and_results_can_be_read_by_a_group(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        clips, run = str(tmp_path / "clips"), str(tmp_path / "run")
        assert main(["prepare", "synthetic", "x", clips, *tiny.MAKE_CLIPS]) == 0
        assert main(["pretrain", clips, run, *tiny.SETTINGS]) == 0
        assert main(["evaluate", run, clips, "--protocol", "knn", "--device", "cpu"]) == 0
        assert main(["embed", run, clips, str(tmp_path / "features.npz"), "--device", "cpu"]) == 0
        assert main(["embed", run, clips, str(tmp_path / "features"), "--device", "cpu"]) == 0
    finally:
        os.umask(before)
    found = {str(path.relative_to(tmp_path)): (path.is_dir(), oct(_mode(path))) for path in tmp_path.rglob("*")}
    assert found == {name: (is_dir, oct(0o750 if is_dir else 0o640)) for name, (is_dir, _) in found.items()}


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "tensors"

    def write(number: int) -> None:
        try:
            for _ in range(20):
                save_tensors(path, {"x": torch.full((1000,), number)})
                write_text(tmp_path / "text", str(number) * 10000)
        except BaseException as error:
            errors.append(error)

    errors: list[BaseException] = []
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(load_tensors(path)["x"].unique()) == 1
    text = (tmp_path / "text").read_text()
    assert len(text) == 10000 and len(set(text)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"tensors", "text"}


def test_a_locked_file_is_refused_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()  # as a killed process leaves it
    with locked(path), pytest.raises(BlockingIOError), locked(path):
        pass
    assert not path.exists()
    with locked(path):
        assert path.exists()


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "tensors"
    save_tensors(path, {"x": torch.ones(3)})
    with pytest.raises(ZeroDivisionError), atomic_write(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert torch.equal(load_tensors(path)["x"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]
