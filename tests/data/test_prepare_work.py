"""Work shared by several processes: the same outcomes in the same order, and what goes wrong there is told here."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_reader import LAYOUT, faulty_source

import i2md.data.executor
from i2md.data.executor import work_through
from i2md.data.outcomes import Left, Made
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source
from i2md.data.report import Report, kind_of
from i2md.data.store import open_clips
from i2md.errors import InputError, Stopped

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


def _told(source: Source, jobs: int | None, start: int = 0) -> tuple[list[int], list[tuple[Any, ...]]]:
    done, told = [], []
    with closing(work_through(source, "none", jobs, start)) as work:
        for pieces, found in work:
            done.append(pieces)
            told += [(o.clip.name, o.clip.positions.tobytes()) if isinstance(o, Made) else o for o in found]
    return done, told


@pytest.mark.parametrize("start", [0, 7, 39, 40])
def test_any_number_of_processes_tells_the_same_in_the_same_order(start: int) -> None:
    source = faulty_source(40, at=9, fault="unreadable")
    (alone, told), (together, same) = _told(source, 1, start), _told(source, 3, start)
    assert same == told
    assert alone == sorted(alone) and together == sorted(together)
    assert (alone or [40])[-1] == (together or [40])[-1] == 40
    if start == 0:
        assert [entry[0] for entry in told if not isinstance(entry, Left)] == [
            f"{index}-{part}" for index in range(40) if index != 9 for part in range(index % 4)
        ]
        assert Left("9.txt", "9.txt: line 9: no number", True) in told


def test_a_pass_that_cannot_be_divided_is_read_here_and_gone_on_with() -> None:
    recordings = [Recording(f"r{n}", np.full((1, 2, 20, 3), n, np.float32)) for n in range(1, 6)]

    def read() -> Iterator[Recording]:
        yield from recordings

    source = Source("list", LAYOUT, (), "m", "none", read)
    done, told = _told(source, 4, start=2)
    assert done == [3, 4, 5]
    assert [name for name, _ in told] == ["r3", "r4", "r5"]


def test_what_cannot_be_sent_is_read_here() -> None:
    source = faulty_source(12)
    read = source.read
    here = type("Here", (), {"__len__": lambda s: 12, "part": lambda s, a, b: lambda: read.part(a, b)()})()
    assert _told(replace(source, read=here), 2)[1] == _told(source, 1)[1]


def test_help_is_called_for_when_the_rest_would_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    worker = i2md.data.executor.Worker
    monkeypatch.setattr(i2md.data.executor, "Worker", lambda: started.append(worker()) or started[-1])
    monkeypatch.setattr(i2md.data.executor, "cores", lambda: 2)
    told = _told(faulty_source(), None)
    assert started == []
    monkeypatch.setattr(i2md.data.executor, "_TRIED", 0.0)
    monkeypatch.setattr(i2md.data.executor, "_WORTH_HELP", 0.0)
    assert _told(faulty_source(), None)[1] == told[1]
    assert len(started) == 2


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("fault", "error"), [("refuses", InputError), ("bug", ZeroDivisionError)])
def test_an_error_in_another_process_is_raised_here(jobs: int, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"(nothing to be done)|(by zero)"):
        _told(faulty_source(at=20, fault=fault), jobs)


def test_a_process_that_dies_is_told_and_what_is_done_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = faulty_source(at=35, fault="dies")
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: source)
    monkeypatch.setattr("i2md.data.prepare._BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(Stopped, match=r"ended \(9\).*the same command goes on"):
        prepare("odd", tmp_path / "x", tmp_path / "c", jobs=2)
    assert [path.name for path in tmp_path.iterdir()] == [".c.partial"]
    with monkeypatch.context() as sound:
        sound.setenv("I2MD_TEST_MAIN", "1")
        clips = prepare("odd", tmp_path / "x", tmp_path / "c", jobs=1)
    assert clips.columns["name"].tolist() == [f"{index}-{part}" for index in range(40) for part in range(index % 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_bytes_are_the_same_for_any_number_of_processes(skeletons: Path, tmp_path: Path, packed: bool) -> None:
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


def test_all_that_is_left_out_is_listed_and_counted_by_reason(
    skeletons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2md.data.report.LISTED", 1)
    report = prepare("ntu-rgbd", skeletons, tmp_path / "c", jobs=2).dataset.report
    lines = (tmp_path / "c" / "left_out.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(".")[0][-4:] for line in lines] == ["A007", "A008", "A020"]
    assert report["left_out"] == 3
    assert report["left_out_files"] == lines[:1]
    assert sum(report["left_out_reasons"].values()) == 3
    assert report["left_out_reasons"]["no person is seen in any frame"] == 1
    assert len(prepare("ntu-rgbd", skeletons, tmp_path / "d", preset="none").dataset.report["left_out_files"]) == 1


def test_strict_stops_several_processes_and_leaves_nothing(skeletons: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A007\.skeleton: .*leave out --strict"):
        prepare("ntu-rgbd", skeletons, tmp_path / "c", strict=True, jobs=2)
    assert list(tmp_path.iterdir()) == []


def test_reports_of_parts_add_up_to_the_report_of_all() -> None:
    outcomes = [Left(f"{n}.txt", f"{n}.txt: fault {'abcdefgh'[n % 8] * (n % 60 + 1)}", True) for n in range(5000)]
    whole, parts = Report(), Report()
    for report, step in ((whole, 5000), (parts, 333)):
        for start in range(0, 5000, step):
            part = Report()
            part.add(outcomes[start : start + step])
            report.add_note(part.to_note())
    assert whole.to_dict() == parts.to_dict()
    assert list(whole.to_dict()["left_out_reasons"]) == list(parts.to_dict()["left_out_reasons"])
    assert whole.seen == 5000 and sum(whole.reasons.values()) == 5000 and len(whole.left_out) == 1000


def test_reasons_that_differ_in_file_and_number_alone_are_one() -> None:
    assert kind_of("a.txt: line 6: 13 fields, not 12") == kind_of("b.txt: line 17: 11 fields, not 12")
    assert kind_of("a.txt: line 6: 'x' is not a count") != kind_of("a.txt: line 6: it is cut short")


@pytest.mark.parametrize("jobs", [0, -2])
def test_as_many_processes_as_there_can_be(jobs: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"jobs {jobs} must be at least 1"):
        prepare("synthetic", tmp_path / "x", tmp_path / "c", jobs=jobs)


def test_the_processes_need_no_torch() -> None:
    words = "import sys, i2md.data.worker, i2md.data.readers.ntu_rgbd, i2md.data.prepare; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
