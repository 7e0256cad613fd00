"""Joints without a value: NaN and zeros are interpolated or stay missing, by one rule, and are counted everywhere."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from fuzzing.mutations import npy_bytes
from fuzzing.recordings import reader_targets
from scipy.io import loadmat, savemat

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.presets import Prepared, prepare_positions
from i2md.data.recording import MAX_GAP
from i2md.inference.model import Model
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v2")
JOINT = 7


def _walk(frames: int = 80) -> np.ndarray:
    """A body that moves in a straight line, so that interpolation restores what is removed."""
    rng = np.random.default_rng(0)
    start, step = rng.normal(size=(2, 25, 3))
    return (start + 0.01 * step * np.arange(frames)[:, None, None])[None].astype(np.float32)


def _prepared(positions: np.ndarray, preset: str) -> Prepared:
    found = prepare_positions(positions, LAYOUT, preset)
    assert isinstance(found, Prepared)
    return found


@pytest.mark.parametrize("preset", ["facing", "facing-scaled", "facing-rigid"])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_short_gaps_are_interpolated_and_long_ones_are_missing(preset: str, value: float) -> None:
    whole, holed = _walk(), _walk()
    holed[0, 10:15, JOINT] = value
    found = _prepared(holed, preset)
    np.testing.assert_allclose(found.positions, _prepared(whole, preset).positions, atol=1e-5)
    assert (found.joints_interpolated, found.joints_missing) == (5, 0)
    holed = _walk()
    holed[0, 10 : 11 + MAX_GAP, JOINT] = value
    found = _prepared(holed, preset)
    assert not found.positions[0, 10 : 11 + MAX_GAP, JOINT].any()
    assert (found.joints_interpolated, found.joints_missing) == (0, MAX_GAP + 1)


@pytest.mark.parametrize("preset", ["ntu", "denoised", "none"])
def test_published_presets_leave_zeros_and_count_them(preset: str) -> None:
    holed = _walk()
    holed[0, 10:15, JOINT] = 0
    found = _prepared(holed, preset)
    assert not found.positions[0, 10:15, JOINT].any() or preset == "denoised"
    assert (found.joints_interpolated, found.joints_missing) == (0, 5)


@pytest.mark.parametrize("preset", ["facing", "none"])
def test_centre_joint_at_the_origin_is_not_missing(preset: str) -> None:
    centred = _walk()
    centred -= centred[:, :1, LAYOUT.centre, None]
    found = _prepared(centred, preset)
    assert (found.joints_interpolated, found.joints_missing) == (0, 0)
    if preset == "none":
        np.testing.assert_array_equal(found.positions, centred)


def test_person_who_is_not_seen_has_no_missing_joints() -> None:
    two = np.concatenate([_walk(), _walk()])
    two[1, 20:40] = 0
    found = _prepared(two, "facing")
    assert (found.joints_interpolated, found.joints_missing) == (0, 0)


def test_prepare_info_and_embed_print_the_counts(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = get_layout("kinect-v1")
    holed = np.random.default_rng(0).normal(size=(4, 50, 20, 3)).astype(np.float32)
    holed[0, 5:8, JOINT], holed[1, 5:45, JOINT] = np.nan, 0
    assert layout.centre != JOINT
    np.save(tmp_path / "x.npy", holed)
    words = ["prepare", "arrays", str(tmp_path / "x.npy"), str(tmp_path / "clips"), "--layout", "kinect-v1"]
    assert main([*words, "--units", "m"]) == 0
    assert "joints interpolated 3, joints missing 40" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "clips")]) == 0
    assert "joints interpolated 3, joints missing 40" in capsys.readouterr().out
    assert main(["embed", str(run), str(tmp_path / "clips"), str(tmp_path / "x.npz"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "joints_interpolated: 3\njoints_missing: 40\n" in printed


def test_embedding_arrays_warns_of_missing_joints(run: Path) -> None:
    clip = np.random.default_rng(0).normal(0, 0.4, (50, 20, 3)).astype(np.float32)
    clip[5:8, JOINT], clip[10:45, 4] = np.nan, np.nan
    with pytest.warns(UserWarning, match=r"3 were interpolated and 35 are zeros"):
        Model(run, "cpu").embed([clip])


def test_coordinates_that_overflow_leave_a_clip_out(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for name, scale in (("a", 1.0), ("b", 3e38)):
        scaled = (_walk()[0].astype(np.float64) * scale).clip(-3.3e38, 3.3e38)
        np.save(tmp_path / "x" / f"{name}.npy", scaled.astype(np.float32))
    clips = prepare("arrays", tmp_path / "x", tmp_path / "clips")
    assert clips.columns["name"].tolist() == ["a"]
    assert "a coordinate is too large" in clips.dataset.report["left_out_files"][0]


# A file of each format, of which a coordinate becomes NaN.
FILES = {
    "cmd-arrays": "train_data_joint.npy",
    "ctr-gcn": "x.npz",
    "kinetics-skeleton": "train/aa.json",
    "msr-action3d": "a01_s01_e01_skeleton3D.txt",
    "ntu-rgbd": ".skeleton",
    "nw-ucla": ".json",
    "pku-mmd": "skeleton/0002-L.txt",
    "sbu-interaction": "skeleton_pos.txt",
    "utd-mhad": "a1_s1_t1_skeleton.mat",
    "utkinect-action3d": "joints_s01_e01.txt",
}


@pytest.mark.parametrize("name", FILES)
def test_nan_is_a_missing_joint_in_every_format(name: str, tmp_path: Path) -> None:
    (target,) = (target for target in reader_targets() if target.name == name)
    for path, data in target.files.items():
        file = tmp_path / "source" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_with_nan(path, data) if path.endswith(FILES[name]) else data)
    source = tmp_path / "source" / ("x.npz" if name == "ctr-gcn" else "")
    report = prepare(name, source, tmp_path / "clips").dataset.report
    assert report["left_out_files"] == []
    assert report.get("joints_interpolated", 0) + report.get("joints_missing", 0) > 0


def _with_nan(path: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    if path.endswith(".npz"):
        arrays = dict(np.load(io.BytesIO(data)))
        arrays["x_train"][0, 1, 9] = np.nan
        np.savez(stream, **arrays)
    elif path.endswith(".npy"):
        array = np.load(io.BytesIO(data))
        array[0, 0, 1, 3] = np.nan
        return npy_bytes(array)
    elif path.endswith(".mat"):
        skeleton = loadmat(io.BytesIO(data))["d_skel"]
        skeleton[5, 1, 2] = np.nan
        savemat(stream, {"d_skel": skeleton})
    else:
        numbers = list(re.finditer(rb"-?\d+\.\d+", data))
        number = numbers[2 * len(numbers) // 3 + 4]
        return data[: number.start()] + b"NaN" + data[number.end() :]
    return stream.getvalue()
