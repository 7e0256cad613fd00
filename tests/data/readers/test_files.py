"""Listing and reading files in folders and .zip files."""

from __future__ import annotations

import pickle
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from i2md.data.readers import open_source
from i2md.data.readers.files import find_files, load_each
from i2md.data.recording import Recording, Unreadable
from i2md.errors import InputError

CLIP = re.compile(r"\d+\.clip")


def _contents(path: Path) -> list[tuple[str, bytes]]:
    return [(file.name, load()) for file, load in load_each(find_files(path, CLIP, "*.clip files"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.clip", "a/1.clip", "3.clip", "a/notes.txt", ".cache/9.clip", "a/._1.clip"):
        file = tmp_path / "clips" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path / "clips"


def _zip(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(folder.rglob("*.clip"), reverse=True):
            if not file.relative_to(folder).as_posix().startswith("."):
                target.write(file, file.relative_to(folder).as_posix())
    return archive


def test_folder_zip_and_folder_of_zips_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    expected = [(name, name.encode()) for name in ("3.clip", "a/1.clip", "b/2.clip")]
    assert _contents(folder) == expected
    archive = _zip(folder, tmp_path / "all.zip")
    assert _contents(archive) == expected
    (tmp_path / "zips").mkdir()
    archive.rename(tmp_path / "zips" / "all.zip")
    assert _contents(tmp_path / "zips") == expected


def test_single_file(folder: Path) -> None:
    assert _contents(folder / "a" / "1.clip") == [("1.clip", b"a/1.clip")]


def test_two_copies_of_a_clip_are_an_input_error(folder: Path) -> None:
    (folder / "b" / "1.clip").write_text("again")
    with pytest.raises(InputError, match=r"1\.clip appears twice .*give the folder"):
        find_files(folder, CLIP, "*.clip files")


def test_truncated_zip_is_an_input_error(folder: Path, tmp_path: Path) -> None:
    archive = _zip(folder, tmp_path / "all.zip")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"all\.zip: not a \.zip that can be read"):
        find_files(archive, CLIP, "*.clip files")


def test_files_that_no_format_reads_are_counted(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden / "ntu-rgbd", tmp_path / "x" / "skeletons")
    (tmp_path / "x" / "README.txt").write_text("about")
    (tmp_path / "x" / "skeletons" / "S001C001P001R001A001.avi").write_bytes(b"film")
    (tmp_path / "x" / ".hidden").write_text("")
    (tmp_path / "x" / "more").symlink_to(golden)
    source = open_source("ntu-rgbd", tmp_path / "x")
    assert source.left_out["files of other kinds, for example README.txt"] == 2
    assert source.left_out["links to folders, which are not followed, for example more"] == 1
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for file in sorted((tmp_path / "x").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "x"))
    assert open_source("ntu-rgbd", tmp_path / "x.zip").left_out["files of other kinds, for example README.txt"] == 2


@pytest.mark.parametrize("format", ["utd-mhad", "msr-action3d", "nw-ucla", "ntu-rgbd"])
def test_missing_files_are_an_input_error_of_one_line(format: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no .* found; give the folder that holds") as nothing:
        open_source(format, tmp_path)
    assert str(tmp_path) in str(nothing.value) and "\n" not in str(nothing.value)
    with pytest.raises(InputError, match=r"absent: no such file or folder"):
        open_source(format, tmp_path / "absent")


def test_damaged_zip_member_is_the_only_unreadable_one(golden: Path, tmp_path: Path) -> None:
    names = sorted(file.name for file in (golden / "ntu-rgbd").glob("*.skeleton"))
    archive = tmp_path / "ntu.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name in names:
            target.write(golden / "ntu-rgbd" / name, name)
    with zipfile.ZipFile(archive) as written:
        inside = written.getinfo(names[1]).header_offset + 200
    data = bytearray(archive.read_bytes())
    data[inside] ^= 1
    archive.write_bytes(data)
    found = list(open_source("ntu-rgbd", archive).read())
    assert [type(item) for item in found] == [Recording, Unreadable, *[Recording] * (len(names) - 2)]
    assert found[1].source == names[1] and "cannot be read" in found[1].reason


def test_reading_can_be_split_and_pickled(golden: Path) -> None:
    read = open_source("ntu-rgbd", golden).read
    halves = [replace(read, files=read.files[:2]), replace(read, files=read.files[2:])]
    parts = [recording.name for half in halves for recording in pickle.loads(pickle.dumps(half))()]
    assert parts == [recording.name for recording in read()] and len(parts) == 6
