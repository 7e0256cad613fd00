"""A disk that is full in the middle of `prepare` or `join`: what is safe is kept, and the same command resumes."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from refusal import one_line

from i2md.cli.main import main


@contextmanager
def _files_no_larger_than(size: int) -> Iterator[None]:
    """As far as any one file can tell, a disk that is full after so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "recordings").mkdir()
    for number in range(12):
        np.save(tmp_path / "recordings" / f"{number:02d}.npy", rng.normal(size=(40, 25, 3)).astype(np.float32))
    return tmp_path / "recordings"


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _checkpoints(target: Path) -> int:
    """The clips that are safe in the hidden folder next to the target."""
    lines = (target.parent / f".{target.name}.partial" / "journal.jsonl").read_bytes().splitlines()
    return sum(len(json.loads(line[9:]).get("clips", [])) for line in lines)


# A clip has 12,000 bytes, all of them 144,000; the index is smaller.
@pytest.mark.parametrize("size", [30_000, 100_000, 143_000])
@pytest.mark.parametrize("command", ["prepare", "join"])
def test_full_disk_keeps_what_is_safe_and_the_same_command_resumes(
    command: str,
    size: int,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("i2md.data.writer.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("i2md.data.pipeline._MAX_CHUNK", 1)
    undisturbed, target = tmp_path / "undisturbed", tmp_path / "clips"
    words = ["prepare", "arrays", str(recordings)]
    if command == "join":
        sets = [_half(recordings, first, tmp_path) for first in (0, 5)]
        words = ["join", *map(str, sets)]

    def call(out: Path) -> int:
        return main([*words, str(out), "--jobs", "1"] if command == "prepare" else [words[0], str(out), *words[1:]])

    assert call(undisturbed) == 0
    capsys.readouterr()
    with _files_no_larger_than(size):
        assert call(target) == 2
    line = one_line(capsys.readouterr().err)
    assert line.endswith("raise the limit on file sizes, then run the same command again to resume")
    assert not target.exists()
    assert _checkpoints(target) == size // 12_000
    assert call(target) == 0
    assert _contents(target) == _contents(undisturbed)
    assert not (tmp_path / ".clips.partial").exists()


def _half(recordings: Path, first: int, folder: Path) -> Path:
    """Clips of the first 5 recordings, or of the other 7."""
    some = folder / f"from-{first}"
    some.mkdir()
    for path in sorted(recordings.iterdir())[first : 5 if first == 0 else None]:
        shutil.copy(path, some)
    assert main(["prepare", "arrays", str(some), str(folder / f"clips-from-{first}")]) == 0
    return folder / f"clips-from-{first}"


def test_full_disk_before_the_first_checkpoint_leaves_nothing(recordings: Path, tmp_path: Path) -> None:
    with _files_no_larger_than(5_000):
        assert main(["prepare", "arrays", str(recordings), str(tmp_path / "clips"), "--jobs", "1"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recordings"]
