"""Folders of arrays, one file for each clip: positions, and labels from folders or labels.csv."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusal import Refused, refusing

from i2md.cli.main import main
from i2md.data.readers import open_source
from i2md.data.recording import Divisible, Recording, Source, Unreadable
from i2md.data.store import open_clips


def _clip(frames: int, persons: int | None = None, seed: int = 0) -> np.ndarray:
    shape = (frames, 25, 3) if persons is None else (frames, persons, 25, 3)
    return np.random.default_rng(seed).normal(size=shape)


def _save(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        np.savez_compressed(path, positions=array, others=np.arange(3))
    return array


def _labels(source: Source) -> dict[str, tuple[str, int]]:
    clips = [clip for clip in source.read() if isinstance(clip, Recording)]
    return {c.name: (source.class_names[c.label] if c.label >= 0 else "", c.positions.shape[1]) for c in clips}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two classes in which two files have the same name."""
    _save(tmp_path / "mine" / "walk" / "001.npy", _clip(5))
    _save(tmp_path / "mine" / "run" / "001.npz", _clip(7, 2, seed=1))
    _save(tmp_path / "mine" / "run" / "002.npy", np.concatenate([_clip(3, seed=2), np.zeros((4, 25, 3))]))
    return tmp_path / "mine"


def test_folders_are_the_classes(folder: Path) -> None:
    source = open_source("arrays", folder, fps=50.0)
    assert _labels(source) == {"run/001": ("run", 7), "run/002": ("run", 3), "walk/001": ("walk", 5)}
    run, padded, walk = source.read()
    np.testing.assert_array_equal(run.positions, _clip(7, 2, seed=1).swapaxes(0, 1).astype(np.float32))
    np.testing.assert_array_equal(padded.positions, _clip(3, seed=2)[None].astype(np.float32))
    np.testing.assert_array_equal(walk.positions, _clip(5)[None].astype(np.float32))
    assert (run.fps, run.source, source.splits, source.preset) == (50.0, "run/001.npz", {}, "facing")


def test_zip_gives_the_same_clips_as_its_folder(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for file in folder.rglob("*.np?"):
            archive.write(file, file.relative_to(folder))
    assert _labels(open_source("arrays", tmp_path / "mine.zip")) == _labels(open_source("arrays", folder))


def test_folders_named_train_and_test_are_the_split(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for action in ("sit", "stand"):
            _save(tmp_path / part / action / "1.npy", _clip(3))
    source = open_source("arrays", tmp_path)
    assert source.class_names == ("sit", "stand")
    assert source.splits == {
        "given": {"test": {"name": ("test/sit/1", "test/stand/1")}, "train": {"name": ("train/sit/1", "train/stand/1")}}
    }


def test_a_single_folder_is_not_a_class(tmp_path: Path) -> None:
    _save(tmp_path / "recordings" / "1.npy", _clip(3))
    _save(tmp_path / "recordings" / "2.npy", _clip(4))
    source = open_source("arrays", tmp_path)
    assert source.class_names == () and _labels(source) == {"recordings/1": ("", 3), "recordings/2": ("", 4)}


def test_labels_csv_gives_labels_split_and_subject(folder: Path) -> None:
    table = "name,label,split,subject\nwalk/001.npy,10,train,4\n run/001 ,9,test,\nrun/002,,train,7\nrun/003,9,,\n"
    (folder / "labels.csv").write_text(table, encoding="utf-8-sig")
    source = open_source("arrays", folder)
    assert source.class_names == ("9", "10")
    assert _labels(source) == {"run/001": ("9", 7), "run/002": ("", 3), "walk/001": ("10", 5)}
    assert [clip.subject for clip in source.read()] == [-1, 7, 4]
    assert source.splits == {"given": {"test": {"name": ("run/001",)}, "train": {"name": ("run/002", "walk/001")}}}
    assert source.left_out == {"in labels.csv without a file, such as run/003": 1}


def test_prepare_writes_the_clips_of_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "walk" / "bad.npy").write_bytes(b"no array")
    _save(folder / "walk" / "many.npy", np.ones((30, 40, 25, 3)))
    _save(folder / "walk" / "short.npy", np.ones((30, 20, 3)))
    np.savez(folder / "walk" / "other.npz", poses=_clip(3))
    assert main(["prepare", "arrays", str(folder), str(folder.parent / "clips")]) == 0
    clips = open_clips(folder.parent / "clips")
    assert clips.columns["name"].tolist() == ["run/001", "run/002", "walk/001"]
    assert clips.labels.tolist() == [0, 0, 1] and clips.dataset.class_names == ("run", "walk")
    reasons = clips.dataset.report["left_out_files"]
    assert [reason.split(":")[0].rpartition("/")[2] for reason in reasons] == [
        "bad.npy",
        "many.npy",
        "other.npz",
        "short.npy",
    ]
    assert (
        "40 people in 30 frames; give the axes in the order (frames, persons," in reasons[1]
        and "20 joints of 3" in reasons[3]
    )


@pytest.mark.parametrize("cuts", [(0, 1), (1, 3)])
def test_part_yields_the_same_recordings(folder: Path, cuts: tuple[int, int]) -> None:
    whole = open_source("arrays", folder).read
    assert isinstance(whole, Divisible) and len(whole) == 3
    part = pickle.loads(pickle.dumps(whole.part(*cuts)))
    for mine, other in zip(part(), list(whole())[slice(*cuts)], strict=True):
        assert (mine.name, mine.label) == (other.name, other.label)
        np.testing.assert_array_equal(mine.positions, other.positions)


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return refusing(tmp_path, capsys)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"file,label\nrun/001,3\n", "labels.csv: its columns are file, label; give a first line with name and label"),
        (b"name,label\nrun/001,3,4,5\n", "labels.csv: line 2: more values than columns: quote those with a comma"),
        (
            b"name,subject\nrun/001,Anna\n",
            "labels.csv: line 2: run/001: subject 'Anna' is not a whole number below 10^18; number the subjects",
        ),
        (b"name,subject\nrun/001," + b"9" * 5000, "labels.csv: line 2: run/001: subject '9999"),
        (
            b"name,label\nrun/001,1\nrun\\001.npz,2\n",
            "labels.csv: line 3: run/001 is named a second time; keep one line",
        ),
        (b"name,label\nrun/001,\xff\n", "labels.csv: line 2 is not in UTF-8: save the table as 'CSV UTF-8'"),
        (b'name,label\nrun/001,"' + b"x" * 200_000, "labels.csv: line 2: field larger than field limit"),
        (
            b'name,label\nrun/001,"sit\nrun/002,sit\nrun/003,sit\n',
            "labels.csv: line 2: unexpected end of data; check its",
        ),
        (b"name,label\n,sit\n", "labels.csv: line 2: no name; give the clip's"),
    ],
)
def test_invalid_labels_csv_is_an_input_error(folder: Path, refused: Refused, table: bytes, message: str) -> None:
    (folder / "labels.csv").write_bytes(table)
    line = refused("prepare", "arrays", folder, folder.parent / "clips")
    assert message in line


def test_duplicate_names_are_input_errors(folder: Path, refused: Refused) -> None:
    _save(folder / "walk" / "001.npz", _clip(4))
    assert "walk/001 appears twice" in refused("prepare", "arrays", folder, folder.parent / "clips")
    (folder / "walk" / "001.npz").unlink()
    for parent in (folder, folder / "run"):
        (parent / "labels.csv").write_text("name,label\n")
    assert "labels.csv appears twice" in refused("prepare", "arrays", folder, folder.parent / "clips")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([".npy", ".npz"]))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_damaged_file_is_unreadable_or_read(data: st.DataObject, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / suffix[1:] / f"a{suffix}"
    _save(file, _clip(2))
    whole = bytearray(file.read_bytes())
    for position in data.draw(st.lists(st.integers(0, min(250, len(whole) - 1)), max_size=3)):
        whole[position] = data.draw(st.integers(0, 255))
    cut: Any = data.draw(st.integers(0, len(whole)) | st.just(len(whole)))
    file.write_bytes(bytes(whole[:cut]))
    (item,) = open_source("arrays", file.parent).read()
    if isinstance(item, Unreadable):
        assert item.reason.startswith(f"a{suffix}: ") and "\n" not in item.reason
    else:
        assert item.positions.shape[2:] == (25, 3) and not np.isinf(item.positions).any()


def test_files_of_other_kinds_are_counted_and_one_is_named(tmp_path: Path) -> None:
    for name in ("walk/a.npy", "run/b.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.ones((4, 20, 3)))
    (tmp_path / "walk" / "c.csv").write_text("1,2,3", encoding="utf-8")
    (tmp_path / "run" / "d.json").write_text("{}", encoding="utf-8")
    source = open_source("arrays", tmp_path, layout="kinect-v1")
    ((reason, count),) = source.left_out.items()
    assert (reason, count) == ("files of other kinds, for example d.json", 2)


def test_zip_made_with_backslashes_has_the_same_folders(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, _clip(4))
    for separator in ("/", "\\"):
        names = [separator.join(parts) for parts in (("training", "walk", "a.npy"), ("Test", "run", "b.npy"))]
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name in names:
                # The path is stored as it is given only where it is the name of a ZipInfo made for another system.
                entry = zipfile.ZipInfo("x")
                entry.filename = name
                archive.writestr(entry, stream.getvalue())
        source = open_source("arrays", tmp_path / "x.zip")
        assert source.class_names == ("run", "walk") and len(list(source.read())) == 2
        parts = {part: values["name"] for part, values in source.splits["given"].items()}
        assert parts == {"train": ("training/walk/a",), "test": ("Test/run/b",)}


def test_what_lies_there_in_place_of_arrays_is_named(tmp_path: Path, refused: Refused) -> None:
    for name in ("b.json", "a.csv"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    line = refused("prepare", "arrays", tmp_path, tmp_path / "clips")
    assert "no .npy or .npz files found among 2 files such as a.csv; give" in line
