"""From recordings to clips: what is kept, what is left out, and how it is reported."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording
from i2md.data.store import open_clips
from i2md.errors import InputError


def _positions(clips: int = 4, frames: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(clips, frames, 20, 3)).astype(np.float32)


def _save(path: Path, positions: np.ndarray, **others: object) -> Path:
    np.savez(path, positions=positions, **others)
    return path


def test_generated_clips_are_the_recordings_in_order(tmp_path: Path) -> None:
    clips = prepare("synthetic", Path("x"), tmp_path / "c", preset="none", actions=2, subjects=2, repeats=1)
    recordings = list(open_source("synthetic", Path("x"), actions=2, subjects=2, repeats=1).read())
    assert clips.columns["name"].tolist() == [r.name for r in recordings]
    for clip, recording in zip(clips, recordings, strict=True):
        assert isinstance(recording, Recording)
        np.testing.assert_array_equal(clip, recording.positions)


def test_the_preset_is_recorded_and_defaults_to_that_of_the_format(tmp_path: Path) -> None:
    source = _save(tmp_path / "mine.npz", _positions())
    clips = prepare("arrays", source, tmp_path / "c", layout="kinect-v1")
    assert clips.dataset.preparation == "facing"
    # The first person's spine joint is at the origin in the first frame.
    assert max(abs(clip[0, 0, 1]).max() for clip in clips) < 1e-6
    other = prepare("arrays", source, tmp_path / "d", "facing-scaled", layout="kinect-v1")
    assert open_clips(other.path).dataset.preparation == "facing-scaled"


def test_the_ntu_preset_is_that_of_the_reference_implementation(tmp_path: Path, golden: Path) -> None:
    clips = prepare("ntu-rgbd", golden / "ntu-rgbd", tmp_path / "c")
    with np.load(golden / "ntu_preparation.npz") as numbers:
        for name, clip in zip(clips.columns["name"], clips, strict=True):
            expected = numbers[f"{name}/normalized"].transpose(3, 1, 2, 0)[: len(clip), : clip.shape[1]]
            np.testing.assert_allclose(clip, expected, atol=1e-5)


def test_recordings_left_out_are_counted_and_named(tmp_path: Path) -> None:
    positions = _positions()
    positions[1, 2, 3, 0] = np.inf
    positions[2] = 0
    clips = prepare("arrays", _save(tmp_path / "m.npz", positions), tmp_path / "c", layout="kinect-v1")
    assert clips.columns["name"].tolist() == ["clip-0", "clip-3"]
    report = open_clips(tmp_path / "c").dataset.report
    assert report["left_out"] == 2
    assert [text.startswith("m.npz") for text in report["left_out_files"]] == [True, True]
    assert "clip 1: frame 2" in report["left_out_files"][0]
    assert "no person is seen" in report["left_out_files"][1]


@pytest.mark.parametrize("form", ["file", "folder", "pickle"])
def test_nan_is_a_missing_joint_that_is_interpolated_and_counted(form: str, tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(3, 60, 20, 3)).astype(np.float32)
    whole = positions.copy()
    positions[1, 20:24, 7] = np.nan
    positions[2, 5:55, 3, 0] = np.nan
    if form == "file":
        np.savez(tmp_path / "in.npz", positions=positions)
        found = prepare("arrays", tmp_path / "in.npz", tmp_path / "c", layout="kinect-v1", preset="none")
    elif form == "folder":
        (tmp_path / "in").mkdir()
        for number, clip in enumerate(positions):
            np.save(tmp_path / "in" / f"{number}.npy", clip)
        found = prepare("arrays", tmp_path / "in", tmp_path / "c", layout="kinect-v1", preset="none")
    else:
        annotations = [{"frame_dir": str(i), "label": 0, "keypoint": clip[None]} for i, clip in enumerate(positions)]
        (tmp_path / "in.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
        found = prepare("pyskl", tmp_path / "in.pkl", tmp_path / "c", layout="kinect-v1", preset="none")
    report = found.dataset.report
    assert (report["joints_interpolated"], report["joints_missing"], report.get("left_out", 0)) == (4, 50, 0)
    np.testing.assert_array_equal(found[0][0], whole[0])
    expected = [np.interp(range(20, 24), [19, 24], whole[1, [19, 24], 7, axis]) for axis in range(3)]
    np.testing.assert_allclose(found[1][0, 20:24, 7].T, expected, atol=1e-6)
    assert not found[2][0, 5:55, 3].any()


def test_frames_cut_and_filled_are_counted(tmp_path: Path) -> None:
    positions = _positions(clips=2)
    positions[0, :2] = 0
    positions[1, 3] = 0
    clips = prepare("arrays", _save(tmp_path / "m.npz", positions), tmp_path / "c", layout="kinect-v1")
    assert clips.columns["frames"].tolist() == [4, 6]
    assert clips.dataset.report["frames_cut"] == 2
    assert clips.dataset.report["frames_filled"] == 1
    assert all(clip.any(axis=(2, 3)).all() for clip in clips)


def test_strict_stops_at_the_first_that_cannot_be_read(tmp_path: Path) -> None:
    positions = _positions()
    positions[1, 2, 3, 0] = np.inf
    source = _save(tmp_path / "m.npz", positions)
    with pytest.raises(InputError, match=r"m\.npz: clip 1: frame 2 .*leave out --strict"):
        prepare("arrays", source, tmp_path / "c", strict=True, layout="kinect-v1")
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_no_clip_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    source = _save(tmp_path / "m.npz", np.zeros((2, 5, 20, 3)))
    with pytest.raises(InputError, match=r"no clip could be prepared .*no person is seen"):
        prepare("arrays", source, tmp_path / "c", layout="kinect-v1")
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]


def test_given_splits_and_names_are_kept(tmp_path: Path) -> None:
    source = _save(
        tmp_path / "m.npz",
        _positions(),
        names=np.array(["a", "b", "c", "d"]),
        labels=np.array(["sit", "stand", "sit", "stand"]),
        split=np.array(["train", "train", "test", "test"]),
    )
    clips = prepare("arrays", source, tmp_path / "c", layout="kinect-v1")
    assert clips.dataset.class_names == ("sit", "stand")
    assert clips.part("given", "test").columns["name"].tolist() == ["c", "d"]
    assert clips.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("format", ["utd-mhad", "msr-action3d", "nw-ucla"])
def test_a_real_recording_is_prepared(real_data: Path, tmp_path: Path, format: str) -> None:
    folder = real_data / format
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    whole = open_source(format, folder)
    first = next(iter(whole.read()))
    assert isinstance(first, Recording)
    source = _save(tmp_path / "one.npz", first.positions.swapaxes(0, 1)[None])
    clips = prepare("arrays", source, tmp_path / "c", layout=whole.layout.name)
    assert np.isfinite(clips[0]).all()
    assert clips[0].shape[2:] == first.positions.shape[2:]
