"""Worker processes: the same outcomes in the same order for any number of them, and errors are raised here."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_reader import LAYOUT, faulty_source

import i2md.data.pipeline
from i2md.data.executor import LocalExecutor
from i2md.data.outcomes import PreparedClip, SkippedRecording
from i2md.data.pipeline import prepare_recordings
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source
from i2md.data.store import open_clips
from i2md.errors import InputError, WorkerLost

SIZES = ["S001C001P001R001A001", "S005C001P010R001A009", "S017C001P009R002A022"]


@pytest.fixture(scope="module")
def skeletons(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty files of three sizes; two can't be read, and in one nobody is seen."""
    folder = tmp_path_factory.mktemp("skeletons")
    whole = [(golden / "ntu-rgbd" / f"{name}.skeleton").read_bytes() for name in SIZES]
    for number in range(1, 41):
        (folder / f"S001C001P001R001A{number:03}.skeleton").write_bytes(whole[number % 3])
    (folder / "S001C001P001R001A007.skeleton").write_bytes(whole[0][:5000])
    (folder / "S001C001P001R001A008.skeleton").write_bytes(whole[0][:9000])
    (folder / "S001C001P001R001A020.skeleton").write_bytes(b"2\n0\n0\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _outcomes(source: Source, jobs: int | None, start: int = 0) -> tuple[list[int], list[tuple[Any, ...]]]:
    """How many units were done each time, and all outcomes in a form that compares."""
    done, outcomes = [], []
    with closing(prepare_recordings(source, "none", start, jobs)) as prepared:
        for units, found in prepared:
            done.append(units)
            outcomes += [(o.clip.name, o.clip.positions.tobytes()) if isinstance(o, PreparedClip) else o for o in found]
    return done, outcomes


@pytest.mark.parametrize("start", [0, 7, 39, 40])
def test_any_number_of_workers_gives_the_same_outcomes_in_the_same_order(start: int) -> None:
    source = faulty_source(40, at=9, fault="unreadable")
    (done_by_one, expected), (done_by_three, outcomes) = _outcomes(source, 1, start), _outcomes(source, 3, start)
    assert outcomes == expected
    assert done_by_one == sorted(done_by_one) and done_by_three == sorted(done_by_three)
    assert (done_by_one or [40])[-1] == (done_by_three or [40])[-1] == 40
    if start == 0:
        assert [entry[0] for entry in expected if not isinstance(entry, SkippedRecording)] == [
            f"{index}-{part}" for index in range(40) if index != 9 for part in range(index % 4)
        ]
        assert SkippedRecording("9.txt", "9.txt: line 9: no number", True) in expected


def test_a_pass_that_is_not_divisible_is_read_here_and_resumes() -> None:
    recordings = [Recording(f"r{n}", np.full((1, 2, 20, 3), n, np.float32)) for n in range(1, 6)]

    def read() -> Iterator[Recording]:
        yield from recordings

    source = Source("list", LAYOUT, (), "m", "none", read)
    done, outcomes = _outcomes(source, 4, start=2)
    assert done == [3, 4, 5]
    assert [name for name, _ in outcomes] == ["r3", "r4", "r5"]


def test_a_reader_that_cannot_be_pickled_is_read_here() -> None:
    source = faulty_source(12)
    read = source.read
    here = type("Here", (), {"__len__": lambda s: 12, "part": lambda s, a, b: lambda: read.part(a, b)()})()
    assert _outcomes(replace(source, read=here), 2)[1] == _outcomes(source, 1)[1]


def test_by_default_workers_start_if_the_rest_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def counted(num_workers: int) -> LocalExecutor:
        started.append(num_workers)
        return LocalExecutor(num_workers)

    monkeypatch.setattr(i2md.data.pipeline, "LocalExecutor", counted)
    monkeypatch.setattr(i2md.data.pipeline, "available_cores", lambda: 2)
    monkeypatch.setattr(i2md.data.pipeline, "_TRIAL_SECONDS", 1e9)
    expected = _outcomes(faulty_source(), None)
    assert started == []
    monkeypatch.setattr(i2md.data.pipeline, "_TRIAL_SECONDS", -1.0)
    monkeypatch.setattr(i2md.data.pipeline, "_MIN_REMAINING_SECONDS", -1.0)
    assert _outcomes(faulty_source(), None)[1] == expected[1]
    assert started == [2]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("fault", "error"), [("refuses", InputError), ("bug", ZeroDivisionError)])
def test_an_error_in_a_worker_is_raised_here(jobs: int, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"(nothing to be done)|(by zero)"):
        _outcomes(faulty_source(at=20, fault=fault), jobs)


def test_an_error_that_cannot_be_unpickled_is_raised_as_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"Unpicklable: one two"):
        _outcomes(faulty_source(at=20, fault="cannot be pickled"), 2)


def test_outcomes_are_in_order_if_later_ones_are_there_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2md.data.pipeline, "_MAX_CHUNK", 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Of two workers one waits at unit 0 until the other has read units 1 and 2.
    done, outcomes = _outcomes(faulty_source(12, at=0, fault="waits", pipe=str(pipe)), 2)
    assert done == list(range(1, 13))
    assert outcomes == _outcomes(faulty_source(12), 1)[1]


def test_two_chunks_a_worker_are_held_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2md.data.pipeline, "_MAX_CHUNK", 1)
    submitted = []

    class Counted(LocalExecutor):
        def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
            submitted.append(function)
            return super().submit(function, *arguments)

    with Counted(num_workers=2) as executor:
        for done, _ in prepare_recordings(faulty_source(30), "none", executor=executor):
            assert len(submitted) <= done - 1 + 4
    assert len(submitted) == 30


def test_what_a_reader_prints_in_a_worker_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    _outcomes(faulty_source(at=20), 2)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "a line of the reader" in printed.err


def test_a_worker_that_exits_raises_worker_lost_and_finished_work_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = faulty_source(at=35, fault="dies")
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: source)
    monkeypatch.setattr("i2md.data.writer.CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(WorkerLost, match=r"ended unexpectedly \(EXIT\(9\)\).*run the same command again"):
        prepare("odd", tmp_path / "x", tmp_path / "c", jobs=2)
    assert [path.name for path in tmp_path.iterdir()] == [".c.partial"]
    with monkeypatch.context() as sound:
        sound.setenv("I2MD_TEST_MAIN", "1")
        clips = prepare("odd", tmp_path / "x", tmp_path / "c", jobs=1)
    assert clips.columns["name"].tolist() == [f"{index}-{part}" for index in range(40) for part in range(index % 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_bytes_are_the_same_for_any_number_of_workers(skeletons: Path, tmp_path: Path, packed: bool) -> None:
    source = skeletons
    if packed:
        source = tmp_path / "all.zip"
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(skeletons.iterdir()):
                archive.write(file, file.name)
    for jobs in (1, 2, None):
        prepare("ntu-rgbd", source, tmp_path / f"c{jobs}", jobs=jobs)
    one, two, any_number = (contents(tmp_path / f"c{jobs}") for jobs in (1, 2, None))
    assert one == two == any_number
    assert sorted(one) == ["clips.parquet", "dataset.json", "frames.npy", "left_out.txt"]
    expected = [item.name for item in open_source("ntu-rgbd", skeletons).read() if isinstance(item, Recording)]
    expected.remove("S001C001P001R001A020")
    assert open_clips(tmp_path / "c2").columns["name"].tolist() == expected


def test_recordings_left_out_are_listed_and_counted_by_reason(
    skeletons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2md.data.outcomes.MAX_LISTED", 1)
    report = prepare("ntu-rgbd", skeletons, tmp_path / "c", jobs=2).dataset.report
    lines = (tmp_path / "c" / "left_out.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(".")[0][-4:] for line in lines] == ["A007", "A008", "A020"]
    assert report["left_out"] == 3
    assert report["left_out_files"] == lines[:1]
    assert report["left_out_reasons"] == {lines[0]: 2, lines[2]: 1}
    assert len(prepare("ntu-rgbd", skeletons, tmp_path / "d", preset="none").dataset.report["left_out_files"]) == 1


def test_strict_stops_the_workers_and_leaves_nothing(skeletons: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A007\.skeleton: .*leave out --strict"):
        prepare("ntu-rgbd", skeletons, tmp_path / "c", strict=True, jobs=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [0, -2])
def test_fewer_than_one_worker_is_refused(jobs: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"jobs {jobs} must be at least 1"):
        prepare("synthetic", tmp_path / "x", tmp_path / "c", jobs=jobs)


def test_workers_do_not_import_torch() -> None:
    words = (
        "import sys, i2md.data.executor, i2md.data.readers.ntu_rgbd, i2md.data.prepare; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
