"""Clips on disk: what is written is read back, and an incomplete write is never taken for clips."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from i2md.data.recording import Recording
from i2md.data.store import Clips, ClipsWriter, Dataset, open_clips
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout

LAYOUT = Layout(
    "stick", ("hip", "left", "right"), (0, 0, 0), (0, 2, 1), centre=0, across=(1, 2), spine=(0, 1), channels=2
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), 3, 2)
    return Recording(
        name=draw(st.text(max_size=8)),
        positions=draw(arrays.arrays(np.float32, shape)),
        label=draw(st.integers(-1, 1)),
        subject=draw(NUMBERS),
        camera=draw(NUMBERS),
        setup=draw(NUMBERS),
        trial=draw(NUMBERS),
        fps=draw(st.floats(allow_nan=False)),
        source=draw(st.text(max_size=8)),
    )


def _dataset(**changes: object) -> Dataset:
    plain = Dataset("stick", LAYOUT, ("wave", "clap"), "m", "none", {"xsub": {"train": {"subject": (1,)}}}, {"n": 1})
    return replace(plain, **changes)


def _write(folder: Path, clips: list[Recording], overwrite: bool = False, **changes: object) -> Clips:
    with ClipsWriter(folder, 3, 2, overwrite) as writer:
        for clip in clips:
            writer.add(clip)
        writer.finish(_dataset(**changes))
    return open_clips(folder)


def _clip(subject: int = 1, label: int = 0, persons: int = 1, frames: int = 2) -> Recording:
    size = persons * frames * 6
    positions = np.arange(size, dtype=np.float32).reshape(persons, frames, 3, 2)
    return Recording(f"s{subject}", positions + subject, label=label, subject=subject)


@settings(deadline=None)
@given(st.lists(recordings(), min_size=1, max_size=6))
def test_any_clips_are_read_as_written(written: list[Recording]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clips = _write(Path(folder) / "clips", written)
        assert len(clips) == len(written)
        assert clips.max_persons == max(len(recording.positions) for recording in written)
        for index, (read, recording) in enumerate(zip(clips, written, strict=True)):
            np.testing.assert_array_equal(read, recording.positions)
            for column in ("name", "label", "subject", "camera", "setup", "trial", "fps", "source"):
                assert clips.columns[column][index] == getattr(recording, column)


def test_files_are_as_documented_and_without_padding(tmp_path: Path) -> None:
    _write(tmp_path / "clips", [_clip(1, persons=2, frames=3), _clip(2, frames=4)])
    rows = np.load(tmp_path / "clips" / "frames.npy")
    assert rows.shape == (2 * 3 + 4, 3, 2)
    assert rows.dtype == np.float32
    index = pq.read_table(tmp_path / "clips" / "clips.parquet").to_pydict()
    assert (index["start"], index["frames"], index["persons"]) == ([0, 6], [3, 4], [2, 1])
    # Person after person: the second person's first frame follows the first person's last.
    np.testing.assert_array_equal(rows[3:6], _clip(1, persons=2, frames=3).positions[1])


def test_the_description_is_read_as_written(tmp_path: Path) -> None:
    clips = _write(tmp_path / "clips", [_clip()], class_names=("wave", "clap"))
    assert clips.dataset.layout == LAYOUT
    assert clips.dataset.class_names == ("wave", "clap")
    assert clips.dataset.report == {"n": 1}
    assert clips.default_split() == "xsub"


def test_parts_of_a_split_and_selections_of_selections(tmp_path: Path) -> None:
    split = {"train": {"subject": [1, 3], "label": [0]}, "test": {"subject": [2]}}
    written = [_clip(1), _clip(2), _clip(3), _clip(3, label=1), _clip(4)]
    clips = _write(tmp_path / "clips", written, splits={"both": split})
    train = clips.part("both", "train")
    assert train.columns["subject"].tolist() == [1, 3]
    assert clips.part("both", "test").columns["subject"].tolist() == [2]
    turned = train.select(np.array([1, 0]))
    assert turned.columns["name"].tolist() == ["s3", "s1"]
    np.testing.assert_array_equal(turned[0], written[2].positions)
    with pytest.raises(InputError, match="no split 'xview'; choose one of both"):
        clips.part("xview", "train")
    with pytest.raises(InputError, match="has no part 'validation', only train, test"):
        clips.part("both", "validation")


def test_frames_stay_on_disk(tmp_path: Path) -> None:
    clips = _write(tmp_path / "clips", [_clip()])
    assert isinstance(clips.frames, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        clips[0][:] = 0


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ClipsWriter(tmp_path / "clips", 3, 2) as writer:
        writer.add(_clip())
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_replacing_leaves_the_old_clips(tmp_path: Path) -> None:
    _write(tmp_path / "clips", [_clip(7)])
    with pytest.raises(RuntimeError), ClipsWriter(tmp_path / "clips", 3, 2, overwrite=True) as writer:
        writer.add(_clip(8))
        raise RuntimeError
    assert open_clips(tmp_path / "clips").columns["subject"].tolist() == [7]
    assert len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_a_killed_writer_are_not_clips_and_are_replaced(tmp_path: Path) -> None:
    (tmp_path / ".clips.partial").mkdir()
    (tmp_path / ".clips.partial" / "frames.npy").write_bytes(b"half a fra")
    with pytest.raises(InputError, match="not a folder of clips"):
        open_clips(tmp_path / "clips")
    assert len(_write(tmp_path / "clips", [_clip(), _clip()])) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_only_clips_are_overwritten_and_only_with_overwrite(tmp_path: Path) -> None:
    _write(tmp_path / "clips", [_clip(1)])
    with pytest.raises(InputError, match="add --overwrite"):
        ClipsWriter(tmp_path / "clips", 3, 2)
    assert _write(tmp_path / "clips", [_clip(2)], overwrite=True).columns["subject"].tolist() == [2]
    (tmp_path / "empty").mkdir()
    assert len(_write(tmp_path / "empty", [_clip()])) == 1
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(InputError, match="name a folder that does not exist"):
        ClipsWriter(tmp_path / "full", 3, 2, overwrite=True)


def test_an_unknown_field_of_the_description_is_refused() -> None:
    text = _dataset().to_json().replace('"units"', '"unites"')
    with pytest.raises(InputError, match=r"here\.json: not a dataset description"):
        Dataset.from_json(text, Path("here.json"))


def test_included_layouts_are_read_from_json_as_written() -> None:
    for name in ("kinect-v2", "mediapipe-33"):
        described = _dataset(layout=get_layout(name)).to_json()
        assert Dataset.from_json(described, Path("x")).layout == get_layout(name)
