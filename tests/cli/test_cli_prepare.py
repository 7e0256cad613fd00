"""i2md prepare, killed or stopped at any moment, goes on; and what is there in the end is the same, byte for byte."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import i2md
from i2md.cli.main import main

PATIENCE = 60.0
FILES = 400
# The command, but sure of what it has after every piece instead of every other second.
OFTEN = (
    "import sys, i2md.data.prepare as p; from i2md.cli.main import main;"
    " p._BETWEEN_CHECKPOINTS = 0.0; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture(scope="module")
def skeletons(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred files, one of which can't be read."""
    folder = tmp_path_factory.mktemp("skeletons")
    whole = [file.read_bytes() for file in sorted((golden / "ntu-rgbd").iterdir())]
    for number in range(FILES):
        name = f"S001C{number // 120 % 3 + 1:03}P{number // 360 + 1:03}R001A{number % 120 + 1:03}.skeleton"
        (folder / name).write_bytes(whole[number % len(whole)] if number != 150 else b"3\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(skeletons: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "clips"
    assert main(["prepare", "ntu-rgbd", str(skeletons), str(folder), "--jobs", "1"]) == 0
    return _contents(folder)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OFTEN, "prepare", "ntu-rgbd", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _end_once(process: subprocess.Popen[str], reached: Callable[[], bool], number: int) -> str:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not reached() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE)[1]


def _end_midway(source: Path, clips: Path, number: int) -> tuple[subprocess.Popen[str], str]:
    """End a preparation by two processes with some files done and some not, and what it said.

    On a busy machine it may be done before this process gets to see how far it is: then it looks out for less.
    """
    for wanted in (100, 50, 20, 5, 0, 0, 0):
        process = _start(source, clips, "--jobs", "2")
        stderr = _end_once(process, lambda wanted=wanted: _done(clips) > wanted, number)
        if process.returncode:
            break
        shutil.rmtree(clips)
    return process, stderr


def _done(clips: Path) -> int:
    """The files that the journal beside the clips tells of."""
    journal = clips.parent / f".{clips.name}.partial" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True) if journal.is_file() else []
    notes = [json.loads(line).get("note") for line in lines if line.endswith("\n")]
    return max((note["done"] for note in notes if note), default=0)


def _children(process: subprocess.Popen[str]) -> list[Path]:
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [Path("/proc") / number for number in told.read_text().split()] if told.is_file() else []


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    skeletons: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    clips, chance = tmp_path / "clips", random.Random(0)
    killed, before = 0, 0
    for jobs in (2, 1, 2):
        process = _start(skeletons, clips, "--jobs", jobs)
        wanted = before + chance.randrange(1, FILES // 4)
        children: list[Path] = []

        def reached(process=process, wanted=wanted, children=children) -> bool:
            children[:] = _children(process) or children
            return _done(clips) >= wanted

        _end_once(process, reached, signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
        assert _done(clips) >= before
        before = _done(clips)
        # Nobody is left at work on what is no longer wanted.
        deadline = time.monotonic() + PATIENCE
        while any(child.exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(child.exists() for child in children)
    assert killed == 3 and 0 < before < FILES
    assert main(["prepare", "ntu-rgbd", str(skeletons), str(clips)]) == 0
    assert _contents(clips) == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_so_and_reads_no_finished_file_again(
    skeletons: Path, undisturbed: dict[str, bytes], tmp_path: Path, number: signal.Signals
) -> None:
    source, clips = tmp_path / "source", tmp_path / "clips"
    source.mkdir()
    for file in skeletons.iterdir():
        os.link(file, source / file.name)
    process, stderr = _end_midway(source, clips, number)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "i2md: stopped; the same command goes on from here"
    assert "Traceback" not in stderr
    assert not clips.exists()
    done = _done(clips)
    assert 0 < done < FILES
    # Of the finished files only names, sizes and times are as they were: who reads them, notices.
    for file in sorted(source.iterdir())[:done]:
        status = file.stat()
        file.unlink()
        file.write_bytes(b"?" * status.st_size)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert main(["prepare", "ntu-rgbd", str(source), str(clips)]) == 0
    assert _contents(clips) == undisturbed


@pytest.fixture
def stopped(skeletons: Path, tmp_path: Path) -> Path:
    """Where clips were on their way when the command was killed."""
    clips = tmp_path / "clips"
    process, _ = _end_midway(skeletons, clips, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and _done(clips) < FILES
    return clips


@pytest.mark.parametrize("damage", ["line cut short", "frames cut short", "no frames", "no journal", "noise"])
def test_whatever_a_kill_leaves_the_bytes_are_the_same(
    skeletons: Path, undisturbed: dict[str, bytes], stopped: Path, damage: str
) -> None:
    partial = stopped.parent / ".clips.partial"
    journal, frames = partial / "journal.jsonl", partial / "clips" / "frames.npy"
    {
        "line cut short": lambda: journal.write_bytes(journal.read_bytes()[:-30]),
        "frames cut short": lambda: frames.write_bytes(frames.read_bytes()[:100_000]),
        "no frames": frames.unlink,
        "no journal": journal.unlink,
        "noise": lambda: journal.write_bytes(np.random.default_rng(0).bytes(5000)),
    }[damage]()
    assert main(["prepare", "ntu-rgbd", str(skeletons), str(stopped)]) == 0
    assert _contents(stopped) == undisturbed
    assert [path.name for path in stopped.parent.iterdir()] == ["clips"]


def test_another_command_begins_anew(skeletons: Path, stopped: Path, tmp_path: Path) -> None:
    words = ["prepare", "ntu-rgbd", str(skeletons)]
    assert main([*words, str(stopped), "--preset", "facing"]) == 0
    assert main([*words, str(tmp_path / "other"), "--preset", "facing"]) == 0
    assert _contents(stopped) == _contents(tmp_path / "other")


def test_a_source_that_changed_is_read_anew(skeletons: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    source, clips = tmp_path / "source", tmp_path / "clips"
    source.mkdir()
    for file in skeletons.iterdir():
        os.link(file, source / file.name)
    _end_once(_start(source, clips, "--jobs", "1"), lambda: _done(clips) > 50, signal.SIGKILL)
    assert not clips.exists()
    first = min(source.iterdir())
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content.replace(b"0.1", b"0.2"))
    assert main(["prepare", "ntu-rgbd", str(source), str(clips)]) == 0
    assert main(["prepare", "ntu-rgbd", str(source), str(tmp_path / "other")]) == 0
    assert _contents(clips) == _contents(tmp_path / "other") != undisturbed


def _stored(contents: dict[str, bytes], folder: Path) -> Path:
    (folder / "frames.npy").write_bytes(contents["frames.npy"])
    return folder / "frames.npy"


def test_two_at_once_do_not_spoil_each_other(
    skeletons: Path, tmp_path: Path, undisturbed: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    process = _start(skeletons, clips, "--jobs", "1")
    try:
        deadline = time.monotonic() + PATIENCE
        while not _done(clips) and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        assert main(["prepare", "ntu-rgbd", str(skeletons), str(clips)]) == 2
        assert "another process is writing it; wait for it, or name another folder" in capsys.readouterr().err
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert _contents(clips) == undisturbed


def test_clips_of_half_the_size(skeletons: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    words = ["prepare", "ntu-rgbd", str(skeletons), str(tmp_path / "clips"), "--precision", "float16"]
    assert main(words) == 0
    half, whole = i2md.open_clips(tmp_path / "clips"), np.load(_stored(undisturbed, tmp_path))
    assert (tmp_path / "clips" / "frames.npy").stat().st_size < 0.51 * len(undisturbed["frames.npy"])
    np.testing.assert_allclose(np.concatenate([c.reshape(-1, 25, 3) for c in half]), whole, rtol=2**-11, atol=1e-7)
    assert main([*words[:3], str(tmp_path / "none"), "--precision", "int8"]) == 2
    assert not (tmp_path / "none").exists()
