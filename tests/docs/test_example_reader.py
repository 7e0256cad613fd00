"""docs/examples/reader.py, the file itself: registered as an entry point, it prepares clips from CSV files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from i2md.data.readers import open_source, reader_names
from i2md.data.store import open_clips
from i2md.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
FILES = ("wave_p01", "sit_p01", "wave_p02", "walk_p12")


@pytest.fixture
def recordings(tmp_path: Path) -> dict[str, np.ndarray]:
    """Positions (frames, 20, 3) of each file written to the folder `csv`."""
    (tmp_path / "csv").mkdir()
    rng = np.random.default_rng(0)
    written = {}
    for length, name in enumerate(FILES, 5):
        written[name] = rng.normal(size=(length, 20, 3)).round(4)
        header = ",".join(f"joint{joint}.{axis}" for joint in range(20) for axis in "xyz")
        np.savetxt(tmp_path / "csv" / f"{name}.csv", written[name].reshape(length, 60), "%.4f", ",", header=header)
    return written


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "i2md", "prepare", "mocap-csv", str(folder / "csv"), str(folder / "clips")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)


def test_the_command_prepares_clips_through_the_example(
    recordings: dict[str, np.ndarray], entry_point: Callable[..., None], tmp_path: Path
) -> None:
    entry_point("i2md.readers", "mocap-csv", "reader:open_source", EXAMPLES)
    assert "mocap-csv" in reader_names()
    (tmp_path / "csv" / "walk_p03.csv").write_text("header\n1,2,3\n")
    done = prepare(tmp_path, "--preset", "none", "--options.fps", "120", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    clips = open_clips(tmp_path / "clips")
    assert clips.dataset.class_names == ("sit", "walk", "wave")
    for clip, name in enumerate(sorted(FILES)):
        np.testing.assert_array_equal(clips[clip][0], recordings[name].astype(np.float32))
    columns = {column: clips.columns[column].tolist() for column in ("name", "label", "subject", "fps")}
    assert columns["name"] == sorted(FILES)
    assert columns["label"] == [0, 1, 2, 2] and columns["subject"] == [1, 12, 1, 2]
    assert columns["fps"] == [120.0] * 4
    assert json.loads((tmp_path / "clips" / "dataset.json").read_text())["splits"].keys() == {"xsub"}
    assert "walk_p03.csv: not lines of 60 numbers" in (tmp_path / "clips" / "left_out.txt").read_text()


def test_an_option_that_the_example_lacks_is_an_input_error(
    recordings: dict[str, np.ndarray], entry_point: Callable[..., None], tmp_path: Path
) -> None:
    entry_point("i2md.readers", "mocap-csv", "reader:open_source", EXAMPLES)
    done = prepare(tmp_path, "--options.rate", "120")
    assert done.returncode == 2 and "'rate'" in done.stderr and "fps" in done.stderr


def test_an_entry_point_that_cannot_be_imported_is_an_input_error(
    entry_point: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "broken_reader.py").write_text("import a_package_that_is_missing\n")
    entry_point("i2md.readers", "broken", "broken_reader:open_source", tmp_path)
    with pytest.raises(InputError, match=r"format 'broken' .* can't be imported.*a_package_that_is_missing"):
        open_source("broken", tmp_path)


def test_an_unknown_format_names_the_nearest_one(entry_point: Callable[..., None], tmp_path: Path) -> None:
    entry_point("i2md.readers", "mocap-csv", "reader:open_source", EXAMPLES)
    with pytest.raises(InputError, match=r"format 'mocap-cvs' is unknown \(did you mean mocap-csv\?\)"):
        open_source("mocap-cvs", tmp_path)


def test_the_example_has_at_most_40_lines() -> None:
    assert len((EXAMPLES / "reader.py").read_text(encoding="utf-8").splitlines()) <= 40
