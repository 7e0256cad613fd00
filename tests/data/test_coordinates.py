"""Units, axes and joint order that the user describes, and the warnings of those who did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Divisible, Recording
from i2md.data.store import Clips, open_clips
from i2md.skeletons import get_layout

JOINTS = get_layout("kinect-v1").joints
SHUFFLED = [JOINTS[j] for j in np.random.default_rng(5).permutation(len(JOINTS))]


@pytest.fixture(scope="module")
def recordings(real_data: Path) -> list[Recording]:
    """Every seventh of UTD-MHAD."""
    source = open_source("utd-mhad", real_data / "utd-mhad")
    return [each for each in source.read() if isinstance(each, Recording)][::7]


def _z_up(positions: np.ndarray) -> np.ndarray:
    """A quarter turn about x: what was upwards (y) is the third coordinate."""
    return np.stack([positions[..., 0], -positions[..., 2], positions[..., 1]], axis=-1)


def _write(folder: Path, recordings: list[Recording], change: Any) -> Path:
    for each in recordings:
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{each.name}.npy", change(each.positions.astype(np.float64)).swapaxes(0, 1))
    return folder


def _all_changed(positions: np.ndarray) -> np.ndarray:
    return 1000 * _z_up(positions)[:, :, [JOINTS.index(name) for name in SHUFFLED]]


@pytest.fixture(scope="module")
def expected(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """UTD-MHAD by the package's own reader."""
    return prepare("utd-mhad", real_data / "utd-mhad", tmp_path_factory.mktemp("own") / "clips")


def test_described_files_equal_those_of_the_own_reader(
    recordings: list[Recording], expected: Clips, tmp_path: Path
) -> None:
    source = _write(tmp_path / "files", recordings, _all_changed)
    options = ["--layout", "kinect-v1", "--units", "mm", "--axes", "x,-z,y", "--joints", ",".join(SHUFFLED)]
    assert main(["prepare", "arrays", str(source), str(tmp_path / "clips"), *options]) == 0
    described = json.loads((tmp_path / "clips" / "dataset.json").read_bytes())
    assert described["units"] == "m"
    assert described["report"]["converted"] == {"units": "mm", "axes": "x,-z,y", "joints": ", ".join(SHUFFLED)}
    clips = open_clips(tmp_path / "clips")
    rows = {name: index for index, name in enumerate(expected.columns["name"])}
    assert len(clips) == len(recordings) > 100
    for index, name in enumerate(clips.columns["name"]):
        np.testing.assert_allclose(clips[index], expected[rows[name]], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        (lambda positions: positions, []),
        (lambda positions: 1000 * positions, ["units: a body spans"]),
        (_z_up, ["vertical axis: the trunk (hip centre to shoulder centre) points along +z"]),
        (lambda positions: positions * [-1, 1, 1], ["mirrored: hands or feet point backwards"]),
        (lambda positions: positions[:, :, list(get_layout("kinect-v1").mirror)], ["mirrored: hands or feet"]),
        (_all_changed, ["units: a body spans", "joint order: the bones to", "vertical axis: the trunk"]),
    ],
    ids=["as it is", "millimetres", "z-up", "mirrored", "right side first", "all"],
)
def test_files_that_are_not_described_give_a_warning_of_each(
    change: Any, warned: list[str], recordings: list[Recording], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _write(tmp_path / "files", recordings[::2], change)
    assert main(["prepare", "arrays", str(source), str(tmp_path / "clips"), "--layout", "kinect-v1"]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    for beginning in warned:
        assert any(line.startswith(f"warning: {beginning}") for line in printed), printed
    assert len(printed) >= len(warned)
    if not warned:
        assert printed == []


def test_conversion_by_hand(tmp_path: Path) -> None:
    stored = np.arange(3 * 20 * 3, dtype=np.float32).reshape(1, 3, 20, 3) + 1
    np.save(tmp_path / "a.npy", stored)
    # The file holds z backwards, then x, then y, of joints listed from the last to the first.
    options = {"units": "cm", "axes": "-z, x ,y", "joints": list(JOINTS[::-1])}
    source = open_source("arrays", tmp_path / "a.npy", layout="kinect-v1", **options)
    (read,) = source.read()
    expected = np.stack([stored[..., 1], stored[..., 2], -stored[..., 0]], axis=-1)[:, :, ::-1] / 100
    assert isinstance(read, Recording)
    np.testing.assert_allclose(read.positions, expected, rtol=1e-6)
    assert source.units == "m"


def test_divided_passes_are_converted_too(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(6, 4, 20, 3)))
    source = open_source("arrays", tmp_path / "a.npy", layout="kinect-v1", units="mm")
    assert isinstance(source.read, Divisible)
    whole = [each.positions for each in source.read()]
    parts = [each.positions for start in (0, 2, 4) for each in source.read.part(start, start + 2)()]
    np.testing.assert_array_equal(whole, parts)


def test_two_dimensional_axes(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).normal(size=(1, 4, 17, 2)).astype(np.float32)
    np.save(tmp_path / "a.npy", stored)
    (read,) = open_source("arrays", tmp_path / "a.npy", layout="coco-17", axes="y,-x").read()
    np.testing.assert_array_equal(read.positions[0], np.stack([-stored[0, ..., 1], stored[0, ..., 0]], axis=-1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--units", "inch"], "units 'inch' are not known; choose one of m, cm, mm"),
        (["--axes", "x,y"], "must name x, y, z once each"),
        (["--axes", "x,y,y"], "must name x, y, z once each"),
        (["--axes", "x,y,w"], "must name x, y, z once each"),
        (["--joints", "hip centre,spine"], "'shoulder centre' is missing"),
        (["--joints", ",".join([*JOINTS, "spine"])], "'spine' is given twice"),
        (["--joints", ",".join(["hip center", *JOINTS[1:]])], "did you mean hip centre?"),
    ],
)
def test_invalid_descriptions(options: list[str], message: str, tmp_path: Path, refused: Any) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4, 20, 3)))
    line = refused("prepare", "arrays", tmp_path / "a.npy", tmp_path / "c", "--layout", "kinect-v1", *options)
    assert message in line
    assert len(line) < 500


def test_a_format_that_fixes_its_units_has_no_option_for_them(tmp_path: Path, refused: Any) -> None:
    assert "has no option 'units'" in refused("prepare", "utd-mhad", tmp_path, tmp_path / "c", "--units", "mm")
