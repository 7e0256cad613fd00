"""CTR-GCN's .npz: order of persons, joints and coordinates; padding and copies are removed."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import refusing

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Divisible, Recording
from i2md.data.store import open_clips

FRAMES = 40


def _row(clip: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """Convert a clip (persons, frames, 25, 3) to CTR-GCN's shape, number by number."""
    row = np.zeros((frames, 150), np.float32)
    for person, frame, joint, axis in np.ndindex(clip.shape):
        row[frame, person * 75 + joint * 3 + axis] = clip[person, frame, joint, axis]
    return row


def _clip(persons: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(persons, frames, 25, 3)).astype(np.float32)


def _one_hot(labels: list[int], classes: int = 60) -> np.ndarray:
    return np.eye(classes)[labels]


def _save(path: Path, save: Callable[..., None] = np.savez, **changes: Any) -> Path:
    train = [_clip(2, 9), _clip(1, FRAMES, 1), _clip(2, 1, 2)]
    arrays = {
        "x_train": np.stack([_row(clip) for clip in train]),
        "y_train": _one_hot([49, 0, 59]),
        "x_test": _row(_clip(1, 5, 3))[None],
        "y_test": _one_hot([7]),
    }
    save(path, **(arrays | changes))
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_padding_is_removed(tmp_path: Path, save: Callable[..., None]) -> None:
    source = open_source("ctr-gcn", _save(tmp_path / "NTU60_CS.npz", save))
    recordings = list(source.read())
    expected = [_clip(2, 9), _clip(1, FRAMES, 1), _clip(2, 1, 2), _clip(1, 5, 3)]
    for recording, clip in zip(recordings, expected, strict=True):
        assert isinstance(recording, Recording)
        np.testing.assert_array_equal(recording.positions, clip)
    assert [(r.name, r.label, r.fps) for r in recordings] == [
        ("train_0", 49, 30.0),
        ("train_1", 0, 30.0),
        ("train_2", 59, 30.0),
        ("test_0", 7, 30.0),
    ]
    assert source.splits == {
        "xsub": {"train": {"name": ("train_0", "train_1", "train_2")}, "test": {"name": ("test_0",)}}
    }
    assert source.count == 4 and len(source.class_names) == 60 and source.class_names[7] == "sitting down"
    # A compressed array can only be read from its start.
    assert isinstance(source.read, Divisible) is (save is np.savez)


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 2), st.integers(1, 12)), min_size=1, max_size=5),
    kind=st.sampled_from(["f2", "f8"]),
)
def test_clips_of_any_length_and_number_of_persons(
    shapes: list[tuple[int, int]], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clips = [_clip(persons, frames, seed).astype(kind) for seed, (persons, frames) in enumerate(shapes)]
    data = np.stack([_row(clip, 12).astype(kind) for clip in clips])
    labels = np.arange(len(clips))
    path = _save(tmp_path_factory.mktemp("x") / "a.npz", x_train=data, y_train=labels)
    for recording, clip in zip(open_source("ctr-gcn", path).read(), clips, strict=False):
        np.testing.assert_array_equal(recording.positions, clip.astype(np.float32))


def test_copy_of_the_first_person_is_dropped(tmp_path: Path) -> None:
    alone = _clip(1, 8)
    path = _save(
        tmp_path / "NTU120_CSub.npz", x_test=_row(np.concatenate([alone, alone]))[None], y_test=_one_hot([119], 120)
    )
    source = open_source("ctr-gcn", path)
    *_, last = source.read()
    np.testing.assert_array_equal(last.positions, alone)
    assert list(source.splits) == ["xsub120"] and len(source.class_names) == 120


@pytest.mark.parametrize(
    ("name", "split"),
    [("NTU60_CV", "xview"), ("NTU120_CSet", "xset120"), ("ntu60_cs", "xsub"), ("mine", "given")],
)
def test_split_is_named_after_the_file(tmp_path: Path, name: str, split: str) -> None:
    assert list(open_source("ctr-gcn", _save(tmp_path / f"{name}.npz")).splits) == [split]


def test_clips_equal_those_prepared_from_skeleton_files(golden: Path, tmp_path: Path) -> None:
    ours = prepare("ntu-rgbd", golden / "ntu-rgbd", tmp_path / "ours")
    with np.load(golden / "ntu_preparation.npz") as numbers:
        raw = [numbers[f"{name}/raw"].transpose(3, 1, 2, 0) for name in ours.columns["name"]]
    moved = []
    for clip in raw:
        present = clip.any(axis=(2, 3), keepdims=True)
        moved.append((clip - clip[0, clip[0].any(axis=(1, 2)).argmax(), 1]) * present)
    longest = max(clip.shape[1] for clip in moved)
    rows = np.stack([_row(clip.astype(np.float32), longest) for clip in moved])
    path = _save(
        tmp_path / "a.npz",
        x_train=rows,
        y_train=_one_hot(ours.labels.tolist(), 120),
        x_test=rows[:0],
        y_test=_one_hot([], 120),
    )
    theirs = prepare("ctr-gcn", path, tmp_path / "theirs")
    assert theirs.dataset.preparation == "ntu" and theirs.labels.tolist() == ours.labels.tolist()
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other, mine, atol=1e-5)


@pytest.mark.parametrize("cuts", [(0, 1), (1, 4), (2, 3), (3, 4), (2, 2)])
def test_part_yields_the_same_recordings(tmp_path: Path, cuts: tuple[int, int]) -> None:
    whole = open_source("ctr-gcn", _save(tmp_path / "a.npz")).read
    assert isinstance(whole, Divisible) and len(whole) == 4
    part = pickle.loads(pickle.dumps(whole.part(*cuts)))
    for mine, other in zip(part(), list(whole())[slice(*cuts)], strict=True):
        assert (mine.name, mine.source, mine.label) == (other.name, other.source, other.label)
        np.testing.assert_array_equal(mine.positions, other.positions)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_only_one_clip_is_in_memory(tmp_path: Path, save: Callable[..., None]) -> None:
    rows = np.zeros((400, 300, 150), np.float32)
    rows[:, :3] = 1.0
    path = _save(tmp_path / "a.npz", save, x_train=rows, y_train=_one_hot([0] * 400))
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_source("ctr-gcn", path).read()) == 401
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows.nbytes / 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((3, 40, 75), np.float32)}, "x_train is float32 of shape (3, 40, 75); give CTR-GCN's"),
        ({"x_test": np.zeros((1, 40, 150), int)}, "x_test is int64 of shape"),
        ({"y_train": _one_hot([1, 2])}, "y_train of shape (2, 60) is not one class for each of 3 clips"),
        ({"y_train": np.ones((3, 60))}, "y_train of shape (3, 60) is not one class for each of 3 clips"),
        ({"y_test": np.array([-1])}, "y_test of shape (1,) is not one class for each of 1 clips"),
        ({"y_test": np.array([None])}, "not arrays that can be read"),
    ],
)
def test_inconsistent_arrays_are_input_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], message: str
) -> None:
    path = _save(tmp_path / "a.npz", **changes)
    line = refusing(tmp_path, capsys)("prepare", "ctr-gcn", path, tmp_path / "clips")
    assert message in line and str(path) in line


def test_other_files_are_input_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = refusing(tmp_path, capsys)
    np.savez(tmp_path / "mine.npz", positions=np.ones((2, 3, 25, 3)))
    assert "no key x_train in it, only positions" in refused(
        "prepare", "ctr-gcn", tmp_path / "mine.npz", tmp_path / "c"
    )
    np.savez(tmp_path / "half.npz", x_train=np.ones((2, 3, 150)), x_test=np.ones((2, 3, 150)), y_train=[0, 1])
    assert "y_test of shape ()" in refused("prepare", "ctr-gcn", tmp_path / "half.npz", tmp_path / "c")
    whole = _save(tmp_path / "whole.npz").read_bytes()
    for size in (0, 100, len(whole) - 30):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        assert "not arrays that can be read" in refused("prepare", "ctr-gcn", tmp_path / "cut.npz", tmp_path / "c")
    assert "; give the f" in refused("prepare", "ctr-gcn", tmp_path, tmp_path / "c")


def test_non_finite_clip_is_left_out_and_named(tmp_path: Path) -> None:
    rows = np.stack([_row(_clip(1, 5)), _row(_clip(1, 5, 1)), np.zeros((FRAMES, 150), np.float32)])
    rows[1, 2, 0] = np.inf
    path = _save(tmp_path / "a.npz", x_train=rows)
    prepare("ctr-gcn", path, tmp_path / "clips")
    clips = open_clips(tmp_path / "clips")
    assert clips.columns["name"].tolist() == ["train_0", "test_0"]
    assert [text.split(":")[:2] for text in clips.dataset.report["left_out_files"]] == [
        ["a.npz", "x_train[1]"],
        ["a.npz", "x_train[2]"],
    ]
