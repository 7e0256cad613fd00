"""The encoders that come with the package: found by name, equal to what was measured, for any layout."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from made_clips import write_clips
from shipped_clips import LAYOUTS, made_clip

import i2md
from i2md.cli.main import main
from i2md.data.presets import prepare_positions
from i2md.data.recording import Recording
from i2md.inference.model import Model
from i2md.pretraining.shipped import find_run, own_run, shipped_names
from i2md.skeletons import get_layout

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "kinect-base.npz"
LARGEST = 3_000_000


@pytest.fixture(scope="module")
def model() -> Model:
    return i2md.load("kinect-base", "cpu")


def _embedded(model: Model, layout: str, label: int) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: of[0] for name, of in model.embed([made_clip(layout, label)], layout=layout).items()}


def _cosine(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    return float(np.mean([one[n] @ other[n] / np.linalg.norm(one[n]) / np.linalg.norm(other[n]) for n in one]))


def test_the_features_of_a_made_clip_are_those_stored(model: Model) -> None:
    with np.load(GOLDEN) as golden:
        found = _embedded(model, "kinect-v2", 0)
        assert set(found) == set(golden.files)
        for name, values in found.items():
            np.testing.assert_allclose(values, golden[name], atol=1e-3 * np.abs(golden[name]).max())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_motion_has_about_the_same_features_in_any_layout(model: Model, layout: str) -> None:
    same, others = _embedded(model, "kinect-v2", 3), [_embedded(model, "kinect-v2", label) for label in (0, 6)]
    found = _embedded(model, layout, 3)
    assert _cosine(found, same) > 0.98
    assert max(_cosine(found, other) for other in others) < 0.7


@pytest.mark.parametrize("preset", ["none", "facing", "facing-scaled", "centred-scaled"])
def test_clips_of_another_preparation_have_the_features_of_the_recording(
    model: Model, preset: str, tmp_path: Path
) -> None:
    layout = get_layout("kinect-v1")
    raw = made_clip("kinect-v1")[None]
    prepared = prepare_positions(raw, layout, preset)
    clips = write_clips(tmp_path / "clips", [Recording("a", prepared.positions)], layout, preparation=preset)
    with pytest.warns(UserWarning, match=f"{preset} prepared again by facing-rigid"):
        found = model.embed(i2md.open_clips(clips))
    wanted = _embedded(model, "kinect-v1", 0)
    for name, values in found.items():
        np.testing.assert_allclose(values[0], wanted[name], atol=1e-3 * np.abs(wanted[name]).max())


def test_clips_that_cannot_be_prepared_again_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = get_layout("kinect-v1")
    prepared = prepare_positions(made_clip("kinect-v1")[None], layout, "ntu")
    clips = write_clips(tmp_path / "clips", [Recording("a", prepared.positions)], layout, preparation="ntu")
    assert main(["embed", "kinect-base", str(clips), str(tmp_path / "out.npz")]) == 2
    assert "--preset facing-rigid" in capsys.readouterr().err


def test_commands_take_the_name_and_write_results_to_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    layout = get_layout("kinect-v1")
    recordings = [
        Recording(f"s{subject}a{label}", made_clip("kinect-v1", label, subject)[None], label=label, subject=subject)
        for subject in (1, 2)
        for label in (0, 1, 2)
    ]
    clips = write_clips(Path("clips"), recordings, layout)
    i2md.split(clips=clips, by="subject", test_share=0.5)
    assert main(["embed", "kinect-base", "clips", "out.npz"]) == 0
    assert not Path("kinect-base").exists()
    assert main(["evaluate", "kinect-base", "clips", "--protocol", "knn", "--baselines", "none"]) == 0
    assert "copied to the folder ./kinect-base" in capsys.readouterr().err
    assert list(Path("kinect-base/evaluation").glob("knn*.json")) and Path("kinect-base/README.md").is_file()
    # From here on the name is the run in that folder.
    assert find_run("kinect-base") == Path("kinect-base") == own_run("kinect-base")


def test_a_shipped_encoder_is_small_and_has_a_card() -> None:
    for name in shipped_names():
        sizes = {path.name: path.stat().st_size for path in find_run(name).iterdir()}
        assert {"README.md", "config.yaml", "model.safetensors"} == set(sizes)
        assert sum(sizes.values()) < LARGEST
