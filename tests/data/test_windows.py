"""Windows of recordings: the same numbers as slices that are copied, over frames that are stored once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clips import LAYOUT, moving, write_clips
from refusal import Refused

from i2md.cli.main import main
from i2md.data.dataset import Dataset
from i2md.data.packed import pack, pack_arrays
from i2md.data.recording import Interval, Recording
from i2md.data.store import Clips, open_clips
from i2md.data.windows import BEGIN, RECORDING, Windows, parse_windows
from i2md.errors import InputError
from i2md.views.resize import centre_crop, crop_resize


def in_memory(recordings: list[Recording]) -> Clips:
    """Clips as `open_clips` gives them, without files."""
    shapes = [each.positions.shape for each in recordings]
    sizes = [persons * frames for persons, frames, *_ in shapes]
    names = ("name", "label", "subject", "camera", "setup", "trial", "fps", "source")
    columns = {name: np.array([getattr(each, name) for each in recordings]) for name in names}
    columns |= {"start": np.cumsum(sizes) - sizes, "frames": np.array([s[1] for s in shapes])}
    columns |= {"persons": np.array([s[0] for s in shapes])}
    marks = [(clip, *interval) for clip, each in enumerate(recordings) for interval in each.intervals]
    intervals = dict(zip(("clip", "start", "end", "label"), np.array(marks, np.int64).reshape(-1, 4).T, strict=True))
    rows = np.concatenate([each.positions.reshape(-1, *each.positions.shape[2:]) for each in recordings])
    described = Dataset("made", LAYOUT, ("a", "b", "c"), "m", "none")
    return Clips(Path("made"), described, rows, columns, intervals if marks else None)


def slowly(recordings: list[Recording], windows: Windows) -> list[tuple[int, int, int, int]]:
    """Recording, first frame, frame after the last and label of each window, one at a time, frame by frame."""
    found = []
    for number, each in enumerate(recordings):
        total, rate = each.positions.shape[1], each.fps or 30.0
        length = min(max(round(windows.length * rate), 1), total)
        step, begin = max(round(windows.stride * rate), 1), 0
        while True:
            begin = min(begin, total - length)
            covered = [sum(s <= f < e for f in range(begin, begin + length)) for s, e, _ in each.intervals]
            best = int(np.argmax(covered)) if covered else -1
            label = each.label
            if each.intervals:
                label = each.intervals[best].label if 2 * covered[best] >= length else -1
            found.append((number, begin, begin + length, label))
            if begin + length >= total:
                break
            begin += step
    return found


@st.composite
def recordings(draw: st.DrawFn) -> list[Recording]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        frames, persons = draw(st.integers(1, 40)), draw(st.integers(1, 3))
        bounds = sorted(draw(st.sets(st.integers(0, frames), max_size=4)))
        intervals = [Interval(a, b, i % 3) for i, (a, b) in enumerate(zip(bounds[::2], bounds[1::2], strict=False))]
        about = {"fps": draw(st.sampled_from([0.0, 10.0, 30.0])), "label": number, "intervals": tuple(intervals)}
        made.append(moving(f"r{number}", frames, persons, **about))
    return made


@settings(max_examples=25)
@given(recordings(), st.floats(0.05, 2.0), st.floats(0.05, 1.0))
def test_windows_are_the_slices_that_they_stand_for(made: list[Recording], length: float, stride: float) -> None:
    windows = Windows(length, stride)
    whole, expected = in_memory(made), slowly(made, windows)
    clips = whole.windows(windows)
    got = zip(clips.columns[RECORDING], clips.columns[BEGIN], clips.columns["frames"], clips.labels, strict=True)
    assert [(r, b, b + f, label) for r, b, f, label in got] == expected
    slices = [made[number].positions[:, begin:end] for number, begin, end, _ in expected]
    for index, wanted in enumerate(slices):
        np.testing.assert_array_equal(clips[index], wanted)
        np.testing.assert_array_equal(clips.read(index), wanted)
    assert len(set(clips.columns["name"])) == len(clips)
    assert clips.recordings is whole and clips.windows(None) is whole and clips.frames is whole.frames
    part = clips.span(len(clips) // 2, len(clips)).in_memory()
    np.testing.assert_array_equal(part[0], slices[len(clips) // 2])


@settings(max_examples=8)
@given(recordings(), st.integers(0, 2**32 - 1))
def test_packed_windows_give_the_views_of_copies_and_share_rows(made: list[Recording], seed: int) -> None:
    clips = in_memory(made).windows(Windows(0.4, 0.1))
    chosen = np.random.default_rng(seed).permutation(len(clips))[: max(1, len(clips) // 2)]
    selected = clips.select(chosen)
    shared, copied = pack(selected), pack_arrays([selected[i] for i in range(len(selected))])
    indices = torch.arange(len(selected))
    views = [crop_resize(each, indices, *centre_crop(each, indices), 5, 3) for each in (shared, copied)]
    torch.testing.assert_close(*views, rtol=0, atol=0)
    assert len(shared.rows) <= len(clips.frames)


def test_memory_does_not_grow_with_the_number_of_windows() -> None:
    clips = in_memory([moving("day", 3000, 2, fps=30.0)]).windows(Windows(2.0, 1 / 30))
    packed = pack(clips)
    assert len(clips) == 2941 and len(packed.rows) == 6000
    assert clips[5].base is not None or len(clips.frames) == 6000


@pytest.mark.parametrize("text", ["", "2 h", "-1s", "0s", "s", "1e9", "nan"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"duration|above 0"):
        parse_windows(text, None)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of three subjects with labelled intervals, one of them long."""
    made = []
    for number in range(6):
        frames = 900 if number == 2 else 60 + 10 * number
        intervals = (Interval(0, 30, 0), Interval(30, 60, 1))
        made.append(
            moving(f"r{number}", frames, fps=30.0, subject=number // 2, source=f"{number}.csv", intervals=intervals)
        )
    return write_clips(tmp_path_factory.mktemp("day") / "clips", made)


def test_a_folder_is_divided_and_put_together_again(
    day: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in day.iterdir()}
    assert main(["windows", str(day), "--length", "1s", "--stride", "500ms"]) == 0
    assert "windows: 1 s every 0.5 s" in capsys.readouterr().out
    clips = open_clips(day)
    assert len(clips) > 60 and len(clips.recordings) == 6
    assert clips.columns["name"][:2].tolist() == ["r0[0:30]", "r0[15:45]"]
    assert clips.labels[:3].tolist() == [0, 0, 1]
    changed = {path.name for path in day.iterdir() if path.read_bytes() != before.get(path.name)}
    assert changed == {"dataset.json"}, "no frame is copied"
    assert main(["info", str(day)]) == 0
    assert "windows:     are 1 s every 0.5 s, recordings 6, intervals 12" in capsys.readouterr().out
    assert "by time, windows of one recording would be in both parts" in refused("split", day, "--by", "time")
    for by in ("recording", "subject", "random"):
        assert main(["split", str(day), "--by", by]) == 0
        divided = open_clips(day)
        sides = {part: set(divided.part(f"{by}-0.3-seed0", part).columns[RECORDING]) for part in ("train", "test")}
        assert not sides["train"] & sides["test"] and len(sides["train"] | sides["test"]) == 6
    assert main(["windows", str(day), "--whole"]) == 0
    assert len(open_clips(day)) == 6 and len(open_clips(day).part("recording-0.3-seed0", "test")) in (1, 2)
    assert "by --length, such as 2s, or --whole" in refused("windows", day)


def test_recordings_without_labels_are_windows_for_every_command(tmp_path: Path) -> None:
    """Arrays of several lengths: prepare, info, view, pretrain, embed and report, with nothing labelled."""
    recordings, clips, run = tmp_path / "arrays", tmp_path / "clips", tmp_path / "run"
    recordings.mkdir()
    for number in range(3):
        np.save(recordings / f"{number}.npy", moving("", 60 + 15 * number).positions[0])
    words = ["prepare", "arrays", str(recordings), str(clips), "--layout", "kinect-v1", "--options.fps", "30"]
    assert main([*words, "--windows", "1s", "--stride", "0.5s", "--split-by", "recording"]) == 0
    opened = open_clips(clips)
    assert len(opened) == 3 + 4 + 5
    assert len(opened.frames) == 60 + 75 + 90
    assert main(["info", str(clips)]) == 0
    assert main(["view", str(clips), "--most", "6"]) == 0
    assert main(["pretrain", str(clips), str(run), *tiny.SETTINGS, "--epochs", "1", "--split", "all"]) == 0
    assert main(["embed", str(run), str(clips), str(tmp_path / "f.npz"), "--device", "cpu"]) == 0
    with np.load(tmp_path / "f.npz") as features:
        assert features["names"].tolist() == opened.columns["name"].tolist()
        assert (features["labels"] == -1).all()
    said = tmp_path / "said.json"
    assert main(["report", str(run), "--clips", str(clips), "--device", "cpu", "--json", str(said)]) == 0
    assert json.loads(said.read_text())["labelled"] == 0


def test_presets_that_move_frames_are_refused_for_windows(refused: Refused, tmp_path: Path) -> None:
    words = ("prepare", "synthetic", "x", tmp_path / "c", "--windows", "1s", "--preset", "ntu")
    assert "moves frames in time" in refused(*words)
    assert "give their length by --windows" in refused("prepare", "synthetic", "x", tmp_path / "c", "--stride", "1s")
