"""`i2md prepare`, stopped at any point, resumes with the same command and ends with the same bytes."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gated_reader
import numpy as np
import pytest
from gated_reader import Command, Gate
from origin import without_origin

import i2md
from i2md.cli.main import main

FILES = 60
UNREADABLE = 20
MIDWAY = 40


def file_name(number: int) -> str:
    return f"S001C{number // 20 + 1:03}P001R001A{number % 20 + 1:03}.skeleton"


@pytest.fixture(scope="module")
def skeletons(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in the order of their names, one of which is unreadable."""
    folder = tmp_path_factory.mktemp("skeletons")
    recorded = [file.read_bytes() for file in sorted((golden / "ntu-rgbd").iterdir())]
    for number in range(FILES):
        (folder / file_name(number)).write_bytes(recorded[number % len(recorded)] if number != UNREADABLE else b"3\n")
    return folder


@pytest.fixture(autouse=True)
def format_gated(entry_point: Callable) -> None:
    entry_point("i2md.readers", "gated", "gated_reader:open_source", Path(gated_reader.__file__).parent)


@pytest.fixture(scope="module")
def uninterrupted(skeletons: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("uninterrupted") / "clips"
    assert main(["prepare", "ntu-rgbd", str(skeletons), str(folder), "--jobs", "1"]) == 0
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file; of dataset.json without the format and the options that the recordings were read by."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return without_origin({name: path.read_bytes() for name, path in files.items()})


def files_done(clips: Path) -> int:
    """The number of files that the journal covers."""
    journal = clips.parent / f".{clips.name}.partial" / "journal.jsonl"
    # A line is its checksum and its entry.
    entries = [json.loads(line.split(" ", 1)[1]) for line in journal.read_text().splitlines()]
    return max(entry["note"]["done"] for entry in entries if "note" in entry)


def stop_midway(
    source: Path, clips: Path, number: int, pipes: Path, group: bool = False, jobs: int = 2
) -> tuple[int, str]:
    """Stop a preparation when a checkpoint covers the first MIDWAY files and a reader is about to read the next."""
    gate = Gate(pipes, file_name(MIDWAY))
    command = Command(source, clips, "--jobs", jobs, gate=gate)
    command.wait_until_done(MIDWAY)
    ended = command.end(number, group)
    assert files_done(clips) == MIDWAY
    return ended


@pytest.fixture
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipes")


def test_killed_repeatedly_it_resumes_and_gives_the_same_bytes(
    skeletons: Path, uninterrupted: dict[str, bytes], tmp_path: Path, pipes: Path
) -> None:
    clips = tmp_path / "clips"
    for jobs, done in ((2, 7), (1, 25), (2, 50)):
        command = Command(skeletons, clips, "--jobs", jobs, gate=Gate(pipes, file_name(done)))
        command.wait_until_done(done)
        # Returns when no worker is left: each holds the other end of standard error.
        assert command.end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert files_done(clips) == done
    assert main(["prepare", "gated", str(skeletons), str(clips)]) == 0
    assert contents(clips) == uninterrupted
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_with_130_and_reads_no_finished_file_again(
    skeletons: Path,
    uninterrupted: dict[str, bytes],
    tmp_path: Path,
    pipes: Path,
    number: signal.Signals,
    jobs: int,
) -> None:
    source, clips = tmp_path / "source", tmp_path / "clips"
    source.mkdir()
    for file in skeletons.iterdir():
        os.link(file, source / file.name)
    # As a terminal does, the signal goes to all processes of the group.
    code, stderr = stop_midway(source, clips, number, pipes, group=True, jobs=jobs)
    assert code == 130
    assert stderr.splitlines()[-1].startswith("i2md: ")
    assert "Traceback" not in stderr
    assert not clips.exists()
    # Of the finished files only names, sizes and times stay as they were: reading one again would change the clips.
    for file in sorted(source.iterdir())[:MIDWAY]:
        status = file.stat()
        file.unlink()
        file.write_bytes(b"?" * status.st_size)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert main(["prepare", "gated", str(source), str(clips)]) == 0
    assert contents(clips) == uninterrupted


def test_a_killed_worker_ends_the_command_with_75_and_one_line(
    skeletons: Path, uninterrupted: dict[str, bytes], tmp_path: Path, pipes: Path
) -> None:
    clips, gate = tmp_path / "clips", Gate(pipes, file_name(MIDWAY))
    command = Command(skeletons, clips, "--jobs", 2, gate=gate)
    command.wait_until_done(MIDWAY)
    worker = gate.wait_until_reached()
    assert worker != command.process.pid
    os.kill(worker, signal.SIGKILL)
    code, stderr = command.end()
    assert code == 75
    assert [line for line in stderr.splitlines() if line.startswith("i2md: ")] == [
        "i2md: a worker process ended unexpectedly (SIGKILL(-9)), perhaps out of memory; run the same command again"
        " to resume, --jobs 1 takes the least memory"
    ]
    assert "Traceback" not in stderr
    assert files_done(clips) == MIDWAY
    assert main(["prepare", "gated", str(skeletons), str(clips)]) == 0
    assert contents(clips) == uninterrupted


def test_a_script_without_a_main_guard_can_use_worker_processes(
    skeletons: Path, uninterrupted: dict[str, bytes], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    call = f"i2md.prepare(format='ntu-rgbd', source={str(skeletons)!r}, clips='clips', jobs=2)"
    script.write_text(f"import i2md\nprint('started')\n{call}\nprint('done')\n")
    ran = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == "started\ndone\n"
    assert contents(tmp_path / "clips") == uninterrupted


@pytest.fixture
def killed(skeletons: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clips were being written when the command was killed."""
    left = killed_once(skeletons, tmp_path_factory.getbasetemp() / "killed")
    shutil.copytree(left, tmp_path / left.name)
    return tmp_path / "clips"


@functools.cache
def killed_once(skeletons: Path, folder: Path) -> Path:
    """What stands beside the clips in `folder` when the command is killed."""
    code, _ = stop_midway(skeletons, folder / "clips", signal.SIGKILL, folder / "pipes")
    assert code == -signal.SIGKILL
    (left,) = folder.glob(".*")
    return left


@pytest.mark.parametrize("damage", ["line cut short", "frames cut short", "no frames", "no journal", "noise"])
def test_whatever_a_kill_leaves_the_bytes_are_the_same(
    skeletons: Path, uninterrupted: dict[str, bytes], killed: Path, damage: str
) -> None:
    partial = killed.parent / ".clips.partial"
    journal, frames = partial / "journal.jsonl", partial / "clips" / "frames.npy"
    {
        "line cut short": lambda: journal.write_bytes(journal.read_bytes()[:-30]),
        "frames cut short": lambda: frames.write_bytes(frames.read_bytes()[:100_000]),
        "no frames": frames.unlink,
        "no journal": journal.unlink,
        "noise": lambda: journal.write_bytes(np.random.default_rng(0).bytes(5000)),
    }[damage]()
    assert main(["prepare", "gated", str(skeletons), str(killed)]) == 0
    assert contents(killed) == uninterrupted
    assert [path.name for path in killed.parent.iterdir()] == ["clips"]


def test_a_command_with_other_options_starts_over(skeletons: Path, killed: Path, tmp_path: Path) -> None:
    assert main(["prepare", "gated", str(skeletons), str(killed), "--preset", "facing"]) == 0
    assert main(["prepare", "gated", str(skeletons), str(tmp_path / "other"), "--preset", "facing"]) == 0
    assert contents(killed) == contents(tmp_path / "other")


def test_a_source_that_has_changed_is_read_from_the_start(
    skeletons: Path, tmp_path: Path, uninterrupted: dict[str, bytes], pipes: Path
) -> None:
    source, clips = tmp_path / "source", tmp_path / "clips"
    source.mkdir()
    for file in skeletons.iterdir():
        os.link(file, source / file.name)
    stop_midway(source, clips, signal.SIGKILL, pipes, jobs=1)
    first = min(source.iterdir())
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content.replace(b"0.1", b"0.2"))
    assert main(["prepare", "gated", str(source), str(clips)]) == 0
    assert main(["prepare", "gated", str(source), str(tmp_path / "other")]) == 0
    assert contents(clips) == contents(tmp_path / "other") != uninterrupted


def test_two_commands_cannot_write_the_same_clips_at_once(
    skeletons: Path,
    tmp_path: Path,
    uninterrupted: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    pipes: Path,
) -> None:
    clips, gate = tmp_path / "clips", Gate(pipes, file_name(MIDWAY))
    command = Command(skeletons, clips, "--jobs", "1", gate=gate)
    gate.wait_until_reached()
    assert main(["prepare", "gated", str(skeletons), str(clips)]) == 2
    assert "another process is writing it; wait for it, or name another folder" in capsys.readouterr().err
    gate.open()
    assert command.end()[0] == 0
    assert contents(clips) == uninterrupted


def test_float16_clips_take_half_the_space(skeletons: Path, uninterrupted: dict[str, bytes], tmp_path: Path) -> None:
    words = ["prepare", "ntu-rgbd", str(skeletons), str(tmp_path / "clips"), "--precision", "float16"]
    assert main(words) == 0
    (tmp_path / "frames.npy").write_bytes(uninterrupted["frames.npy"])
    half, whole = i2md.open_clips(tmp_path / "clips"), np.load(tmp_path / "frames.npy")
    assert (tmp_path / "clips" / "frames.npy").stat().st_size < 0.51 * len(uninterrupted["frames.npy"])
    np.testing.assert_allclose(np.concatenate([c.reshape(-1, 25, 3) for c in half]), whole, rtol=2**-11, atol=1e-7)
    assert main([*words[:3], str(tmp_path / "none"), "--precision", "int8"]) == 2
    assert not (tmp_path / "none").exists()
