"""`i2md export` from end to end: the files are run without the package and give what the package gives."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_runs import ENCODER_NAMES, damaged, made_classifier, made_run

import i2md
from i2md.cli.main import main
from i2md.inference.export.files import MIN_TORCH
from i2md.skeletons import get_layout, layout_names

onnxruntime = pytest.importorskip("onnxruntime", reason='pip install -e ".[export]"')
pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < MIN_TORCH, reason="exporting needs a later PyTorch"
)
ONE = ("joint",)


def exported(source: Path, out: Path, *words: str) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], dict]:
    """The file as a function of joints, and what the command said."""
    said = out.with_suffix(".json")
    assert main(["export", str(source), str(out), *words, "--json", str(said)]) == 0
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return lambda joints: dict(zip(names, session.run(None, {"joints": joints}), strict=True)), json.loads(
        said.read_text()
    )


def raw_clips(layout: str, persons: int, channels: int = 3, count: int = 3, frames: int = 45) -> list[np.ndarray]:
    draws = np.random.default_rng(5)
    shape = (persons, frames, len(get_layout(layout).joints), channels)
    return damaged(
        [
            (draws.normal(size=(shape[0], 1, *shape[2:])) + 0.1 * draws.normal(size=shape)).astype(np.float32)
            for _ in range(count)
        ]
    )


def as_input(clips: list[np.ndarray]) -> np.ndarray:
    return np.stack([clip[0] if len(clip) == 1 else clip.transpose(1, 2, 3, 0) for clip in clips])


def embedded(model: i2md.Model, clips: list[np.ndarray], layout: str | None = None) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(model.embed(clips, layout))


def require_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-4) -> None:
    for name, value in expected.items():
        assert np.abs(found[name] - value).max() <= tolerance * np.abs(value).max(), name


@pytest.mark.slow
def test_one_file_for_any_number_of_clips_and_frames(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "kinect-v1", "gru", preset="none", streams=ONE)
    call, said = exported(run, tmp_path / "run.onnx")
    model = i2md.load(run, "cpu")
    for count, frames in ((1, 45), (4, 17), (2, 3)):
        clips = raw_clips("kinect-v1", 1, count=count, frames=frames)
        found = call(as_input(clips))
        require_equal(found, embedded(model, clips))
        assert found["seen"].all()
    assert said["deviation"]["joint"] < 1e-5
    described = onnxruntime.InferenceSession(tmp_path / "run.onnx").get_modelmeta()
    about = json.loads(described.custom_metadata_map["i2md"])
    assert about["joints"] == list(get_layout("kinect-v1").joints)
    assert about["outputs"] == ["joint", "seen"]
    assert str(tmp_path).encode() not in (tmp_path / "run.onnx").read_bytes()
    assert b"site-packages" not in (tmp_path / "run.onnx").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("encoder", ENCODER_NAMES)
@pytest.mark.parametrize("layout", [name for name in layout_names() if name != "mediapipe-hand-21"])
def test_parity_of_every_layout_and_encoder(layout: str, encoder: str, persons: int, tmp_path: Path) -> None:
    """One stream, which depends on the layout, and a preset that each layout allows; streams are tested below."""
    run = made_run(tmp_path / "run", layout, encoder, persons, "facing", streams=("bone",))
    call, _ = exported(run, tmp_path / "run.onnx")
    clips = raw_clips(layout, persons)
    require_equal(call(as_input(clips)), embedded(i2md.load(run, "cpu"), clips))


@pytest.mark.slow
@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("preset", ["ntu", "facing-scaled", "facing-rigid", "centred-scaled", "none"])
def test_parity_of_every_preset_with_all_streams(preset: str, persons: int, tmp_path: Path) -> None:
    streams = ("joint", "motion", "bone", "acceleration", "angle", "distance")
    run = made_run(tmp_path / "run", "body-16", persons=persons, preset=preset, streams=streams)
    call, said = exported(run, tmp_path / "run.onnx", "--layout", "kinect-v2")
    clips = raw_clips("kinect-v2", persons)
    require_equal(call(as_input(clips)), embedded(i2md.load(run, "cpu"), clips, "kinect-v2"))
    assert said["layout"] == "kinect-v2"


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_classifiers_in_every_precision(encoder: str, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "kinect-v1", encoder, persons=2)
    model = made_classifier(tmp_path / "model", run, ("learned", "positions"))
    classifier = i2md.load_classifier(model, "cpu")
    clips = raw_clips("kinect-v1", 2, count=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = classifier.predict(clips)
    for precision, tolerance in (("fp32", 1e-4), ("fp16", 5e-3), ("int8", 0.1)):
        call, said = exported(model, tmp_path / f"{precision}.onnx", "--precision", precision)
        found = call(as_input(clips))
        np.testing.assert_allclose(found["probabilities"], [e.probabilities for e in expected], atol=tolerance)
        assert said["deviation"]["probabilities"] < tolerance
        assert said["class_names"] == list(classifier.class_names)
        if precision == "fp32":
            assert [classifier.class_names[each] for each in found["label"]] == [e.label for e in expected]
            assert found["rejected"].tolist() == [e.rejected for e in expected]
            assert said["deviation"]["labels_that_differ"] == 0


@pytest.mark.slow
def test_prepared_clips(tmp_path: Path, clips: Path) -> None:
    opened = i2md.open_clips(clips)
    run = made_run(tmp_path / "run", "kinect-v1", preset=opened.dataset.preparation, persons=1)
    call, _ = exported(run, tmp_path / "run.onnx", "--prepared")
    model = i2md.load(run, "cpu")
    for index in (0, 5):
        one = opened.select(np.array([index]))
        require_equal(call(opened[index][:1, :].copy()), dict(model.features(one)))


@pytest.mark.slow
def test_torch_export(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", "kinect-v1", "gru", persons=2)
    assert main(["export", str(run), str(tmp_path / "run.pt2")]) == 0
    extra = {"i2md": ""}
    program = torch.export.load(tmp_path / "run.pt2", extra_files=extra).module()
    assert json.loads(extra["i2md"])["persons"] == 2
    for count, frames in ((1, 45), (3, 20)):
        clips = raw_clips("kinect-v1", 2, count=count, frames=frames)
        *features, _ = program(torch.as_tensor(as_input(clips)))
        expected = embedded(i2md.load(run, "cpu"), clips)
        require_equal({name: value.detach().numpy() for name, value in zip(expected, features, strict=True)}, expected)


def test_refusals(tmp_path: Path, refused: Callable[..., str]) -> None:
    run = made_run(tmp_path / "run")
    assert "to an .onnx file, or to a .pt2 file" in refused("export", run, tmp_path / "run.bin")
    assert "--precision int8 is for .onnx files" in refused("export", run, tmp_path / "run.pt2", "--precision", "int8")
    assert "neither a run" in refused("export", tmp_path / "nothing", tmp_path / "run.onnx")


def test_minirocket_is_refused_with_a_way_out(tmp_path: Path, refused: Callable[..., str]) -> None:
    run = made_run(tmp_path / "run")
    model = made_classifier(tmp_path / "model", run)
    about: dict[str, Any] = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(about | {"candidate": ["minirocket"]}))
    assert "fit another one with --candidates learned positions" in refused("export", model, tmp_path / "run.onnx")
