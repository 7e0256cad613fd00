"""Hostile and damaged containers end in one line, quickly and in little memory; valid ones are read from any .zip."""

from __future__ import annotations

import io
import os
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from refusal import Refused, refusing
from scipy.io import savemat

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.limits import max_bytes, parse_npy, require_size
from i2md.data.recording import Recording, Unreadable
from i2md.errors import InputError

METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return refusing(tmp_path, capsys)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _clip(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(6, 25, 3)).astype(np.float32)


def _zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_arrays_with_labels_csv_are_read_from_a_zip(method: int, tmp_path: Path) -> None:
    files = {"a.npy": _npy(_clip()), "b.npy": _npy(_clip(1)), "labels.csv": b"name,label\na,sit\nb,stand\n"}
    source = open_source("arrays", _zip(tmp_path / "x.zip", files, method))
    found = {clip.name: source.class_names[clip.label] for clip in source.read()}
    assert found == {"a": "sit", "b": "stand"}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_utkinect_is_read_from_a_zip(method: int, tmp_path: Path) -> None:
    row = " ".join(["{}"] + ["0.5 1.5 2.5"] * 20)
    files = {
        "joints_s01_e01.txt": "\n".join(row.format(frame) for frame in range(5)).encode(),
        "actionLabel.txt": b"s01_e01\nwalk: 1 3\n",
    }
    (clip,) = open_source("utkinect-action3d", _zip(tmp_path / "x.zip", files, method)).read()
    assert clip.name == "s01_e01_walk" and clip.positions.shape == (1, 3, 20, 3)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_damage_within_a_zip_is_unreadable_or_an_input_error(method: int, tmp_path: Path) -> None:
    files = {"a.npy": _npy(_clip()), "b.npy": _npy(_clip(1)), "labels.csv": b"name,label\na,sit\nb,stand\n"}
    whole = _zip(tmp_path / "whole.zip", files, method).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(len(whole))] = rng.integers(256)
        (tmp_path / "x.zip").write_bytes(changed)
        try:
            for clip in open_source("arrays", tmp_path / "x.zip").read():
                assert isinstance(clip, Recording | Unreadable)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 500


def test_member_of_an_unknown_version_is_an_input_error(tmp_path: Path, refused: Refused) -> None:
    data = bytearray(_zip(tmp_path / "x.zip", {"a.npy": _npy(_clip())}).read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 6 : at + 8] = struct.pack("<H", 99)
    (tmp_path / "x.zip").write_bytes(data)
    line = refused("prepare", "arrays", tmp_path / "x.zip", tmp_path / "clips")
    assert "not a .zip that can be read (zip file version 9.9)" in line


def test_matlab_file_that_unpacks_beyond_the_limit_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    savemat(tmp_path / "a1_s1_t1_skeleton.mat", {"d_skel": np.zeros((20, 3, 4000))}, do_compression=True)
    (clip,) = open_source("utd-mhad", tmp_path).read()
    assert isinstance(clip, Recording)
    monkeypatch.setenv("I2MD_MAX_FILE_MB", "1")
    (clip,) = open_source("utd-mhad", tmp_path).read()
    assert isinstance(clip, Unreadable) and "more than the limit of 1; set I2MD_MAX_FILE_MB" in clip.reason


@pytest.mark.parametrize("container", ["folder", "zip", "npz in a folder", "npz"])
def test_the_limit_can_be_adjusted(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = np.ones((5000, 25, 3), np.float32)
    if container == "zip":
        source = _zip(tmp_path / "x.zip", {"a.npy": _npy(clip)})
    elif container == "npz":
        source = tmp_path / "x.npz"
        np.savez_compressed(source, positions=clip[None])
    else:
        source = tmp_path / "x"
        source.mkdir()
        if container == "folder":
            np.save(source / "a.npy", clip)
        else:
            np.savez_compressed(source / "a.npz", positions=clip)
    monkeypatch.setenv("I2MD_MAX_FILE_MB", "1")
    with pytest.raises(InputError, match="MB, more than the limit of 1; set I2MD_MAX_FILE_MB"):
        prepare("arrays", source, tmp_path / "clips")
    monkeypatch.setenv("I2MD_MAX_FILE_MB", "2")
    assert prepare("arrays", source, tmp_path / "clips")[0].shape == (1, 5000, 25, 3)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_that_states_a_wrong_size_takes_no_more_memory_than_it_states(method: int, tmp_path: Path) -> None:
    size = 100 << 20
    data = bytearray(_zip(tmp_path / "x.zip", {"a.npy": bytes(size)}, method).read_bytes())
    while (at := data.find(struct.pack("<I", size))) >= 0:
        data[at : at + 4] = struct.pack("<I", 1000)
    (tmp_path / "x.zip").write_bytes(data)
    tracemalloc.start()
    (clip,) = open_source("arrays", tmp_path / "x.zip").read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(clip, Unreadable) and peak < size // 5


@pytest.mark.parametrize("value", ["0", "-1", "much", "", "1" * 5000])
def test_invalid_limit_is_an_input_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2MD_MAX_FILE_MB", value)
    with pytest.raises(InputError, match="set it to a number of megabytes such as 256"):
        max_bytes()


def test_require_size_names_any_size() -> None:
    for size in (max_bytes() + 1, 1 << 70, 10**6000):
        with pytest.raises(ValueError, match="more than the limit of 256"):
            require_size(size)


@pytest.mark.parametrize("order", ["C", "F"])
def test_parse_npy_equals_numpy(order: str) -> None:
    for array in (_clip(), np.zeros((0, 25, 3)), np.arange(6, dtype=">i2").reshape(2, 3), np.array(["a", "bc"])):
        stored = np.asarray(array, order=order)  # type: ignore[call-overload]
        np.testing.assert_array_equal(parse_npy(_npy(stored)), array)


def test_pipes_devices_and_links_among_recordings_are_named_and_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    np.save(folder / "a.npy", _clip())
    os.mkfifo(folder / "pipe.npy")
    (folder / "device.npy").symlink_to("/dev/zero")
    (folder / "dangling.npy").symlink_to("nowhere")
    (folder / "loop.npy").symlink_to("loop.npy")
    (folder / "link.npy").symlink_to("a.npy")
    clips = prepare("arrays", folder, tmp_path / "clips")
    assert clips.columns["name"].tolist() == ["a", "link"]
    assert [text.split(" (")[0] for text in clips.dataset.report["left_out_files"]] == [
        f"{name}.npy: cannot be read" for name in ("dangling", "device", "loop", "pipe")
    ]


@pytest.mark.parametrize("name", ["labels.csv", "x.pkl"])
def test_pipe_in_place_of_a_table_or_pickle_is_an_input_error(name: str, tmp_path: Path, refused: Refused) -> None:
    np.save(tmp_path / "a.npy", _clip())
    os.mkfifo(tmp_path / name)
    command = ("arrays", tmp_path) if name == "labels.csv" else ("pyskl", tmp_path / name)
    assert "not a regular file" in refused("prepare", *command, tmp_path.parent / "clips")


def test_number_of_thousands_of_digits_in_a_name_is_unreadable(tmp_path: Path, refused: Refused) -> None:
    stream = io.BytesIO()
    savemat(stream, {"d_skel": np.zeros((20, 3, 5))})
    path = _zip(tmp_path / "x.zip", {f"a1_s{'1' * 5000}_t1_skeleton.mat": stream.getvalue()})
    line = refused("prepare", "utd-mhad", path, tmp_path / "clips")
    assert "a number in the name has more than 18 digits" in line and len(line) < 500


def test_deeply_nested_json_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a01_s01_e01_v01.json").write_text("[" * 100_000)
    (clip,) = open_source("nw-ucla", tmp_path).read()
    assert isinstance(clip, Unreadable) and "not JSON" in clip.reason
    shutil.rmtree(tmp_path)


def test_path_longer_than_the_file_system_permits_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cannot be read \\(File name too long\\); give another path"):
        open_source("arrays", Path("x" * 5000))
