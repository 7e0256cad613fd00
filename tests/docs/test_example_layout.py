"""docs/examples/layout.yaml, the file itself: clips are prepared with it, and pretrained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny

from i2md.cli.main import main
from i2md.data.store import open_clips

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "layout.yaml"


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    """24 clips of random walks of ten joints."""
    steps = np.random.default_rng(0).normal(size=(24, 12, 10, 3))
    np.savez(tmp_path / "positions.npz", positions=steps.cumsum(axis=1).astype(np.float32), labels=np.arange(24) % 2)
    return tmp_path / "positions.npz"


def test_clips_are_prepared_and_pretrained_on_with_the_example(
    positions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    words = ["prepare", "arrays", str(positions), str(clips), "--layout", str(EXAMPLE)]
    assert main([*words, "--json", str(tmp_path / "said.json")]) == 0
    printed = capsys.readouterr().out
    assert "layout (10 joints, 3-D)" in printed
    assert "inferred:    mirror 3 pairs; centre spine; across left_shoulder to right_shoulder; up (0, 1, 0)" in printed
    assert json.loads((tmp_path / "said.json").read_text())["inferred"]["centre"] == "spine"
    layout = open_clips(clips).dataset.layout
    assert layout.joints[:3] == ("pelvis", "spine", "neck")
    assert layout.mirror == (0, 1, 2, 3, 7, 8, 9, 4, 5, 6)
    # Preparation moves the centre, here the spine, to the origin of the first frame.
    np.testing.assert_allclose(open_clips(clips).read(0)[0, 0, layout.centre], 0, atol=1e-6)
    assert main(["pretrain", str(clips), str(tmp_path / "run"), *tiny.SETTINGS, "--epochs", "1"]) == 0


def test_reader_option_accepts_names_and_files(positions: Path, tmp_path: Path) -> None:
    words = ["prepare", "arrays", str(positions)]
    assert main([*words, str(tmp_path / "by-option"), "--options.layout", str(EXAMPLE)]) == 0
    assert main([*words, str(tmp_path / "by-name"), "--options.layout", "kinect-v1"]) == 2
    assert open_clips(tmp_path / "by-option").dataset.layout.name == "layout"
