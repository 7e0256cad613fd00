"""Resumed writes, clips in half precision, and untrimmed recordings kept with the clips cut from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faulty_reader import LAYOUT, faulty_source
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from i2md.data.fingerprint import fingerprint
from i2md.data.info import info
from i2md.data.packed import pack
from i2md.data.prepare import prepare
from i2md.data.recording import Interval, Recording
from i2md.data.storage.journal import Journal
from i2md.data.store import Clips, ClipsWriter, Dataset, open_clips
from i2md.errors import InputError

DATASET = Dataset("odd", LAYOUT, ("a", "b"), "m", "none")


def _clip(number: int, persons: int = 1, frames: int = 3) -> Recording:
    positions = np.random.default_rng(number).normal(size=(persons, frames, 20, 3)).astype(np.float32)
    return Recording(f"clip {number}", positions, label=number % 2, source=f"{number}.txt")


def _writer(folder: Path, key: str | None = "k", precision: str = "float32") -> ClipsWriter:
    return ClipsWriter(folder, 20, 3, precision=precision, key=key)


def _interrupted(folder: Path, clips: list[Recording], lost: list[Recording], key: str | None = "k") -> None:
    with pytest.raises(KeyboardInterrupt), _writer(folder, key) as writer:
        for clip in clips:
            writer.add(clip)
        writer.checkpoint({"done": len(writer)})
        for clip in lost:
            writer.add(clip)
        raise KeyboardInterrupt


def _finish(folder: Path, clips: list[Recording], key: str | None = "k") -> Clips:
    with _writer(folder, key) as writer:
        for clip in clips[len(writer) :]:
            writer.add(clip)
        writer.finish(DATASET)
    return open_clips(folder)


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 6), max_size=4), lost=st.integers(0, 2))
def test_a_write_resumed_any_number_of_times_gives_the_same_bytes(
    cuts: list[int], lost: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("interrupted")
    clips = [_clip(number, persons=1 + number % 2, frames=number + 1) for number in range(7)]
    clips[3] = replace(clips[3], intervals=(Interval(0, 2, 1), Interval(2, 4, 0)))
    done = 0
    for cut in sorted(cuts):
        _interrupted(folder / "a", clips[done:cut], [_clip(99)] * lost)
        done = max(done, cut)
    _finish(folder / "a", clips)
    _finish(folder / "b", clips, key=None)
    for name in ("frames.npy", "clips.parquet", "intervals.parquet", "dataset.json"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_notes_include_those_of_earlier_writers(tmp_path: Path) -> None:
    _interrupted(tmp_path / "c", [_clip(0)], [_clip(1)])
    _interrupted(tmp_path / "c", [_clip(1), _clip(2)], [])
    with _writer(tmp_path / "c") as writer:
        assert list(writer.notes()) == [{"done": 1}, {"done": 3}]
        assert len(writer) == 3


@pytest.mark.parametrize("key", ["other", None])
def test_a_write_with_another_key_starts_over(tmp_path: Path, key: str | None) -> None:
    _interrupted(tmp_path / "c", [_clip(0)], [])
    assert _finish(tmp_path / "c", [_clip(5)], key).columns["name"].tolist() == ["clip 5"]


def test_old_clips_are_restored_after_a_kill_while_replacing_them(tmp_path: Path) -> None:
    _finish(tmp_path / "c", [_clip(1)])
    (tmp_path / "c").rename(tmp_path / ".c.replaced")
    with pytest.raises(RuntimeError), _writer(tmp_path / "c"):
        raise RuntimeError
    assert open_clips(tmp_path / "c").columns["name"].tolist() == ["clip 1"]
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_journal_can_be_opened_by_one_writer_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", tmp_path / "c")
    with pytest.raises(InputError, match="c: another process is writing it"):
        Journal(tmp_path / "j", tmp_path / "c")
    journal.close()
    Journal(tmp_path / "j", tmp_path / "c").close()


def _cut(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2][:-4]]


def _other_number(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"3", b"8")]


@pytest.mark.parametrize(
    "damage",
    [
        *(_cut, _other_number),
        lambda lines: [*lines[:2], b"\0\0\0\n", lines[2]],
        lambda lines: [*lines[:2], b"\xff\n"],
        lambda lines: [lines[0], lines[1], lines[1], lines[2]],
        lambda lines: [*lines[:2], b'{"n": 3}\n'],
    ],
)
def test_a_journal_ends_before_the_first_line_that_is_not_as_written(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]]
) -> None:
    journal = Journal(tmp_path / "j", tmp_path / "c")
    for n in (1, 2, 3):
        journal.append({"n": n})
    journal.close()
    (tmp_path / "j").write_bytes(b"".join(damage((tmp_path / "j").read_bytes().splitlines(keepends=True))))
    journal = Journal(tmp_path / "j", tmp_path / "c")
    journal.drop_incomplete()
    journal.append({"n": 4})
    assert [line["n"] for line in journal] == [1, 2, 4]
    journal.close()


@settings(deadline=None, max_examples=50)
@given(positions=arrays.arrays(np.float32, (2, 3, 20, 3), elements=st.floats(-60000, 60000, width=32)))
def test_half_precision_is_read_as_float32(positions: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("half") / "c"
    with _writer(folder, precision="float16") as writer:
        writer.add(_clip(0))
        writer.add(Recording("half", positions))
        writer.finish(DATASET)
    clips = open_clips(folder)
    assert clips.frames.dtype == np.float16
    for clip in (clips[1], clips.read(1)):
        assert clip.dtype == np.float32
        np.testing.assert_array_equal(clip, positions.astype(np.float16).astype(np.float32))
    rows = pack(clips).rows
    assert rows.dtype == torch.float32
    np.testing.assert_array_equal(rows[3:].numpy(), positions.reshape(-1, 20, 3).astype(np.float16))
    assert info(clips)["bytes"] == 9 * 20 * 3 * 2


def test_coordinates_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    large = Recording("far", np.full((1, 2, 20, 3), 70000.0, np.float32), source="far.txt")
    with (
        pytest.raises(InputError, match=r"far\.txt: a coordinate is too large for float16"),
        _writer(tmp_path / "c", precision="float16") as writer,
    ):
        writer.add(large)
    assert list(tmp_path.iterdir()) == []


def test_a_clip_read_from_the_file_equals_the_mapped_clip(tmp_path: Path) -> None:
    clips = _finish(tmp_path / "c", [_clip(number, 1 + number % 2, number + 1) for number in range(5)])
    for chosen in (clips, clips.select(np.array([4, 1]))):
        for index in range(len(chosen)):
            np.testing.assert_array_equal(chosen.read(index), chosen[index])
            assert chosen.read(index).flags.writeable


def test_intervals_follow_their_recordings_into_a_selection(tmp_path: Path) -> None:
    spans = [(Interval(0, 2, 1), Interval(1, 3, 0)), (), (Interval(2, 3, 1),)]
    clips = _finish(tmp_path / "c", [replace(_clip(n), intervals=span) for n, span in enumerate(spans)])
    columns = {name: values.tolist() for name, values in (clips.intervals or {}).items()}
    assert columns == {"clip": [0, 0, 2], "start": [0, 1, 2], "end": [2, 3, 3], "label": [1, 0, 1]}
    chosen = clips.select(np.array([2, 1, 0])).intervals
    assert chosen is not None
    assert (chosen["clip"].tolist(), chosen["start"].tolist()) == ([0, 2, 2], [2, 0, 1])
    assert _finish(tmp_path / "d", [_clip(0)]).intervals is None


@pytest.mark.parametrize("jobs", [1, 2])
def test_untrimmed_recordings_are_written_with_their_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    source = replace(faulty_source(8), preset="facing", untrimmed=faulty_source(6, frames=9))
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: source)
    clips = prepare("odd", tmp_path / "x", tmp_path / "c", jobs=jobs)
    assert clips.intervals is not None and clips.dataset.preparation == "facing"
    whole = clips.untrimmed
    assert whole is not None and whole.untrimmed is None
    assert whole.dataset.preparation == "none"
    expected = [
        recording for index in range(6) for recording in faulty_source(6, frames=9).read.part(index, index + 1)()
    ]
    assert whole.columns["name"].tolist() == [recording.name for recording in expected]
    for recording, kept in zip(expected, whole, strict=True):
        np.testing.assert_array_equal(kept, recording.positions)
    spans = [(clip, *span) for clip, recording in enumerate(expected) for span in recording.intervals]
    assert list(zip(*(whole.intervals or {}).values(), strict=True)) == spans


def test_stopped_in_the_untrimmed_recordings_it_resumes_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = replace(faulty_source(8), untrimmed=faulty_source(30, at=25, fault="dies"))
    monkeypatch.setattr("i2md.data.prepare.open_source", lambda *_, **__: source)
    monkeypatch.setattr("i2md.data.writer.CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(InputError, match="run the same command again"):
        prepare("odd", tmp_path / "x", tmp_path / "c", jobs=2)
    assert not (tmp_path / "c").exists()
    monkeypatch.setenv("I2MD_TEST_MAIN", "1")
    prepare("odd", tmp_path / "x", tmp_path / "c", jobs=1)
    prepare("odd", tmp_path / "x", tmp_path / "d", jobs=1)
    files = sorted(path.relative_to(tmp_path / "d") for path in (tmp_path / "d").rglob("*.*"))
    assert [str(file) for file in files if "untrimmed" in str(file)] == [
        f"untrimmed/{name}" for name in ("clips.parquet", "dataset.json", "frames.npy", "intervals.parquet")
    ]
    assert all((tmp_path / "c" / file).read_bytes() == (tmp_path / "d" / file).read_bytes() for file in files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d"]


def test_a_fingerprint_depends_on_files_and_arguments(tmp_path: Path) -> None:
    source = tmp_path / "s"
    (source / "b").mkdir(parents=True)
    (source / "b" / "1.txt").write_text("one")
    seen = {fingerprint(source, source / "c", preset="none")}

    def changed(**arguments: object) -> bool:
        now = fingerprint(source, source / "c", **({"preset": "none"} | arguments))
        return now not in seen and not seen.add(now)

    assert not changed()
    assert changed(preset="ntu")
    (source / "b" / "2.txt").write_text("two")
    assert changed()
    (source / "b" / "2.txt").write_text("three")
    assert changed()
    (source / "b" / "2.txt").rename(source / "b" / "3.txt")
    assert changed()
    for folder in ("c", ".c.partial"):
        (source / folder).mkdir()
        (source / folder / "frames.npy").write_text("mine")
    assert not changed()
