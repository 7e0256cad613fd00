"""Tables that name clips: what does not match is counted and named, and refused if nothing matches."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.name_tables import compare_names
from i2md.errors import InputError

_names = st.sets(st.sampled_from("abcdefgh"), max_size=6)


@given(listed=_names, present=_names)
def test_counts_are_the_differences_of_the_sets(listed: set[str], present: set[str]) -> None:
    if listed and present and not listed & present:
        with pytest.raises(InputError, match=f"none of the {len(listed)} names in table"):
            compare_names(Path("x"), "table", sorted(listed), sorted(present), "label")
        return
    counts = compare_names(Path("x"), "table", sorted(listed), sorted(present), "label")
    expected = [len(listed - present), len(present - listed) if listed else 0]
    assert list(counts.values()) == [count for count in expected if count]
    assert all(reason[-1] in listed ^ present for reason in counts)


def _folder(path: Path, table: bytes) -> Path:
    for name in ("s0/a", "s0/b", "s1/c"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(path / f"{name}.npy", np.random.default_rng(0).normal(size=(5, 25, 3)))
    (path / "labels.csv").write_bytes(table)
    return path


TABLE = "name,label\ns0/a.npy,sit\ns0/b.npy,stand\ns1/c.npy,sit\n"


@pytest.mark.parametrize(
    "table",
    [
        TABLE.encode(),
        TABLE.replace("/", "\\").replace("\n", "\r\n").encode("utf-8-sig"),
        TABLE.replace("s0/", ".\\s0\\").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        TABLE.replace("name,label", "Name, Label").encode(),
        TABLE.replace(".npy", "").encode(),
    ],
)
def test_labels_csv_of_other_programs_is_read(table: bytes, tmp_path: Path) -> None:
    source = open_source("arrays", _folder(tmp_path, table))
    assert [source.class_names[clip.label] for clip in source.read()] == ["sit", "stand", "sit"]
    assert source.left_out == {}


def test_labels_csv_that_names_no_file_is_an_input_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path, TABLE.replace("s0/", "s00/").replace("s1/", "s01/").encode())
    with pytest.raises(InputError, match=r"none of the 3 names in labels.csv .* names s00/a.npy, .* like s0/a;"):
        open_source("arrays", folder)


def test_files_that_labels_csv_does_not_name_are_counted(tmp_path: Path) -> None:
    source = open_source("arrays", _folder(tmp_path, b"name,label\ns0/a,sit\ns9/z,stand\n"))
    assert source.left_out == {
        "in labels.csv without a file, such as s9/z": 1,
        "label of files that labels.csv does not name, such as s0/b": 2,
    }


def test_split_of_a_pickle_is_compared_with_its_annotations(tmp_path: Path) -> None:
    def save(split: dict[str, list[str]]) -> Path:
        keypoint = np.random.default_rng(0).normal(size=(1, 9, 25, 3))
        annotations = [{"frame_dir": name, "label": 0, "keypoint": keypoint} for name in "abc"]
        (tmp_path / "x.pkl").write_bytes(pickle.dumps({"annotations": annotations, "split": split}))
        return tmp_path / "x.pkl"

    assert open_source("pyskl", save({"train": ["a", "b"], "val": ["c"]})).left_out == {}
    assert open_source("pyskl", save({"train": ["a"], "val": ["c", "d", "e"]})).left_out == {
        "in split without a clip, such as d": 2,
        "part of clips that split does not name, such as b": 1,
    }
    with pytest.raises(InputError, match=r"names a\.skeleton, the clips here are named like a;"):
        open_source("pyskl", save({"train": ["a.skeleton"], "val": ["c.skeleton"]}))


def test_columns_that_are_not_read_are_counted(tmp_path: Path) -> None:
    table = b"name,label,age,Height\ns0/a,sit,7,9\ns0/b,sit,7,9\ns1/c,stand,8,9\n"
    source = open_source("arrays", _folder(tmp_path, table))
    assert source.left_out == {
        "columns of labels.csv other than name, label, split, subject and remark, such as age": 2
    }


def test_arrays_of_an_npz_that_are_not_read_are_counted(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(4, 9, 25, 3))
    np.savez(tmp_path / "x.npz", positions=positions, label=np.arange(4), names=np.array(list("abcd")))
    (reason,) = open_source("arrays", tmp_path / "x.npz").left_out.items()
    assert reason[1] == 1
    assert reason[0].startswith("keys of x.npz other than positions, lengths, labels")
    assert reason[0].endswith("such as label")


def test_names_and_parts_that_are_spelled_differently_match(tmp_path: Path) -> None:
    for name in ("cafe\u0301", "b", "c", "d"):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=(9, 25, 3)))
    table = "name,label,split\ncaf\u00e9,sit,Train\nb,sit,TRAIN\nc,stand,Test\nd,stand,\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    source = open_source("arrays", tmp_path)
    assert source.splits == {"given": {"train": {"name": ("b", "cafe\u0301")}, "test": {"name": ("c",)}}}
    assert source.left_out == {"clips in no part of the split, such as d": 1}
    assert [source.class_names[clip.label] for clip in source.read()] == ["sit", "stand", "sit", "stand"]


def test_what_is_not_read_has_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path, b"name,label,age\ns0/a,sit,7\ns0/z,sit,7\n")
    assert main(["prepare", "arrays", str(folder), str(tmp_path / "clips")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "not read:    1 in labels.csv without a file, such as s0/z" in printed
    assert "not read:    2 label of files that labels.csv does not name, such as s0/b" in printed
    assert (
        "not read:    1 columns of labels.csv other than name, label, split, subject and remark, such as age" in printed
    )
    assert "classes:     1, and 2 clips without a label" in printed


def test_keys_of_a_clips_npz_that_are_not_read_are_counted(tmp_path: Path) -> None:
    clip = np.random.default_rng(0).normal(size=(9, 25, 3))
    np.savez(tmp_path / "a.npz", positions=clip)
    for name in "bc":
        np.savez(tmp_path / f"{name}.npz", positions=clip, label=1, fps=30)
    np.savez(tmp_path / "d.npz", joints=clip)
    report = prepare("arrays", tmp_path, tmp_path / "clips").dataset.report
    assert report["not_read"] == {"keys of .npz files other than positions (label), such as b": 2}
    assert report["left_out_files"] == ["d.npz: no key positions in it, only joints; save the clip as positions"]


def test_a_column_that_appears_twice_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path, b"name,label,Label\ns0/a,sit,stand\n")
    with pytest.raises(InputError, match=r"labels\.csv: its columns are name, label, label: one appears twice"):
        open_source("arrays", folder)
