"""Arrays of the published CMD program: the same clips as from .skeleton files, prepared only once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import Refused, refusing

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.arrays.cmd_arrays import true_length
from i2md.data.recording import Recording
from i2md.errors import InputError
from i2md.inference.model import Model

NAMES = ["S001C001P001R001A001.skeleton", "S001C002P003R001A007.skeleton", "S001C003P002R002A050.skeleton"]


def write(folder: Path, part: str, data: np.ndarray, frames: Any, content: Any, protocol: int = 4) -> None:
    """Write the three files of a part as the published program does."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{part}_data_joint.npy", data)
    np.save(folder / f"{part}_num_frame.npy", np.array(frames))
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(content, protocol))


def filled(clip: np.ndarray, frames: int = 300) -> np.ndarray:
    """Convert a clip (persons, frames, joints, 3) to the published shape, filled up by repetition."""
    repeated = clip[:, np.arange(frames) % clip.shape[1]]
    reference = np.zeros((3, frames, 25, 2), np.float32)
    reference[..., : len(clip)] = repeated.transpose(3, 1, 2, 0)
    return reference


def _clips(lengths: list[int], persons: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(persons, length, 25, 3)).astype(np.float32) for length in lengths]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train, val = _clips([40, 7]), _clips([300], persons=1)
    write(tmp_path / "xsub", "train", np.stack([filled(c) for c in train]), [40, 7], (NAMES[:2], [0, 6]))
    write(tmp_path / "xsub", "val", np.stack([filled(c) for c in val]), [300], (NAMES[2:], [49]))
    return tmp_path / "xsub"


def test_repeated_frames_are_removed(folder: Path) -> None:
    source = open_source("cmd-arrays", folder)
    recordings = list(source.read())
    assert [r.name for r in recordings] == [name.removesuffix(".skeleton") for name in NAMES]
    for recording, clip in zip(recordings, [*_clips([40, 7]), *_clips([300], persons=1)], strict=True):
        assert isinstance(recording, Recording)
        np.testing.assert_array_equal(recording.positions, clip)
    assert [(r.label, r.subject, r.camera, r.setup, r.trial, r.fps) for r in recordings] == [
        (0, 1, 1, 1, 1, 30.0),
        (6, 3, 2, 1, 1, 30.0),
        (49, 2, 3, 1, 2, 30.0),
    ]
    first, second, third = (recording.name for recording in recordings)
    assert source.splits == {"xsub": {"train": {"name": (first, second)}, "test": {"name": (third,)}}}
    assert len(source.class_names) == 60 and source.class_names[6] == "throw" and source.count == 3


def test_clips_equal_those_prepared_from_skeleton_files(golden: Path, tmp_path: Path) -> None:
    ours = prepare("ntu-rgbd", golden / "ntu-rgbd", tmp_path / "ours")
    names = ours.columns["name"].tolist()
    with np.load(golden / "ntu_preparation.npz") as numbers:
        data = np.stack([numbers[f"{name}/normalized"] for name in names])
        frames = [numbers[f"{name}/raw"].shape[1] for name in names]
    labels = [int(name[-3:]) - 1 for name in names]
    files = [f"{name}.skeleton" for name in names]
    write(tmp_path / "120" / "xsub", "train", data[:4].astype(np.float32), frames[:4], (files[:4], labels[:4]))
    write(tmp_path / "120" / "xsub", "val", data[4:].astype(np.float32), frames[4:], (files[4:], labels[4:]))
    theirs = prepare("cmd-arrays", tmp_path / "120" / "xsub", tmp_path / "theirs")
    assert theirs.dataset.preparation == ours.dataset.preparation == "ntu"
    assert theirs.dataset.layout == ours.dataset.layout and theirs.dataset.class_names == ours.dataset.class_names
    for column in ("name", "label", "subject", "camera", "setup", "trial", "persons", "frames", "fps"):
        assert theirs.columns[column].tolist() == ours.columns[column].tolist(), column
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(other, mine, atol=1e-5)
    # A model of the published program accepts them.
    run = tiny.reference_run(tmp_path, golden / "cmd_step.pth.tar")
    features = [Model(run, "cpu").embed(clips)["joint"] for clips in (ours, theirs)]
    np.testing.assert_allclose(features[1], features[0], atol=1e-5)


def test_another_preset_is_an_input_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"xsub has had preset 'ntu' already; leave out --preset facing"):
        prepare("cmd-arrays", folder, tmp_path / "clips", "facing")
    assert prepare("cmd-arrays", folder, tmp_path / "clips", "ntu").dataset.preparation == "ntu"


@settings(max_examples=40, deadline=None)
@given(length=st.integers(11, 60), cut=st.integers(0, 10), frames=st.integers(80, 90))
def test_true_length_finds_the_repetition(length: int, cut: int, frames: int) -> None:
    clip = _clips([length])[0]
    reference = filled(clip, frames).transpose(3, 1, 2, 0)
    assert true_length(reference, length + cut) == length
    reference[:, -1] += 1
    assert true_length(reference, length + cut) == length + cut


@pytest.mark.parametrize("cuts", [(0, 1), (1, 3), (0, 3), (2, 2)])
def test_part_yields_the_same_recordings(folder: Path, cuts: tuple[int, int]) -> None:
    whole = open_source("cmd-arrays", folder).read
    part = pickle.loads(pickle.dumps(whole.part(*cuts)))
    assert len(whole) == 3 and len(part) == cuts[1] - cuts[0]
    for mine, other in zip(part(), list(whole())[slice(*cuts)], strict=True):
        assert (mine.name, mine.source, mine.label) == (other.name, other.source, other.label)
        np.testing.assert_array_equal(mine.positions, other.positions)


def test_arrays_of_pku_mmd_are_read(tmp_path: Path) -> None:
    # Labels are NumPy floats, names include the interval, and more frames are stated than there are.
    names, labels = ["0002-L.txt_0", "0002-L.txt_1"], list(np.array([3.0, 50.0]))
    data = np.stack([filled(clip) for clip in _clips([300, 12])])
    for protocol in (0, 2, 4):
        write(tmp_path / "xview", "train", data, [512, 12], (names, labels), protocol)
        write(tmp_path / "xview", "val", data[:1], [[300]], (["0003-L.txt_0"], np.array([1])), protocol)
        source = open_source("cmd-arrays", tmp_path / "xview")
        found = [(r.name, r.label, r.positions.shape[1]) for r in source.read()]
        assert found == [("0002-L.txt_0", 3, 300), ("0002-L.txt_1", 50, 12), ("0003-L.txt_0", 1, 300)]
        assert source.class_names == tuple(map(str, range(51)))


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return refusing(tmp_path, capsys)


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_malicious_label_file_runs_no_code(folder: Path, tmp_path: Path, refused: Refused) -> None:
    for content in (_Hostile(tmp_path / "ran"), (NAMES[:2], [_Hostile(tmp_path / "ran"), 0])):
        (folder / "train_label.pkl").write_bytes(pickle.dumps(content))
        line = refused("prepare", "cmd-arrays", folder, tmp_path / "clips")
        assert "train_label.pkl: this pickle asks for" in line and ".system; " in line and "nothing was run" in line
    assert not (tmp_path / "ran").exists()


def _save(path: Path, array: np.ndarray) -> None:
    np.save(path, array)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "val_label.pkl").write_bytes(b""), "val_label.pkl: not a whole pickle"),
        (lambda f: (f / "val_label.pkl").unlink(), "val_label.pkl: cannot be read (No such file or directory); give"),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps((NAMES, [1, 2, 3]))), "not a pair of 1 names and 1"),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps({"a": 1})), "not a pair of 1 names and 1 labels"),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps(([7], [1]))), "is not text"),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps((["a"], [1.5]))), "label 1.5 is not a whole number"),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps((["a"], [1 << 70]))), "is not a class counted"),
        (
            lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps((["a"], [float("nan")]))),
            "label nan is not",
        ),
        (lambda f: (f / "val_label.pkl").write_bytes(pickle.dumps((NAMES[:1], [0]))), "a clip's name appears twice"),
        (lambda f: (f / "val_num_frame.npy").unlink(), "val_num_frame.npy: no .npy or .npz file found; give the f"),
        (lambda f: _save(f / "val_num_frame.npy", np.array([0])), "not a number of frames for each of 1 clips"),
        (lambda f: _save(f / "val_num_frame.npy", np.array([3.0])), "not a number of frames for each of 1 clips"),
        (
            lambda f: _save(f / "val_data_joint.npy", np.zeros((1, 300, 25, 3))),
            "give the axes in the order (clips, channels, frames, joints, persons)",
        ),
        (lambda f: (f / "val_data_joint.npy").write_bytes(b"no"), "val_data_joint.npy: not arrays that can be read"),
        (lambda f: (f / "val_data_joint.npy").unlink(), "val_data_joint.npy: no .npy"),
        (lambda f: (f / "train_data_joint.npy").unlink(), "xsub: no train_data_joint.npy in it; give the folder"),
    ],
)
def test_inconsistent_files_are_input_errors(folder: Path, refused: Refused, damage: Any, message: str) -> None:
    damage(folder)
    assert message in refused("prepare", "cmd-arrays", folder, folder.parent / "clips")


def test_parent_folder_is_an_input_error_that_names_the_splits(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no train_data_joint\.npy in it; give one split's folder: xsub"):
        open_source("cmd-arrays", folder.parent)


def test_empty_and_infinite_clips_are_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = np.load(folder / "train_data_joint.npy")
    data[0] = 0
    data[1, 0, 3, 2, 0] = np.inf
    np.save(folder / "train_data_joint.npy", data)
    assert main(["prepare", "cmd-arrays", str(folder), str(folder.parent / "clips")]) == 0
    printed = capsys.readouterr().out
    assert "clips:       1" in printed and "train_data_joint.npy[0]: no person is seen" in printed
    whole = prepare("cmd-arrays", folder, folder.parent / "again").dataset.report["left_out_files"]
    assert whole[1].startswith("train_data_joint.npy[1]: frame 3 holds an infinite coordinate")
