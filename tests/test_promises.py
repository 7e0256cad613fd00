"""What earlier versions wrote is read by this one, and gives what it gave (tests/fixtures/README.md)."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import i2md
from i2md.data.clip_labels import label_clips

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if (path / "run").is_dir())
pytestmark = pytest.mark.filterwarnings("ignore:embed")


@pytest.fixture(params=VERSIONS)
def written(request: pytest.FixtureRequest) -> Path:
    """The folder of a version."""
    return FIXTURES / request.param


@pytest.fixture
def raw(written: Path) -> list[np.ndarray]:
    return list(np.load(written / "raw.npz")["clips"].astype(np.float32))


def test_this_version_has_fixtures() -> None:
    assert ".".join(i2md.__version__.split(".")[:2]) in VERSIONS


def test_a_run_gives_the_same_features(written: Path, raw: list[np.ndarray]) -> None:
    model, expected = i2md.load(written / "run", "cpu"), np.load(written / "features.npz")
    clips = i2md.open_clips(written / "clips")
    for kind, of in (("raw", raw), ("clips", clips)):
        for stream, values in model.embed(of).items():
            np.testing.assert_allclose(values, expected[f"{kind}.{stream}"], rtol=1e-5, atol=1e-6)


def test_clips_are_read(written: Path) -> None:
    clips = i2md.open_clips(written / "clips")
    about = json.loads((written / "clips" / "dataset.json").read_text())
    assert len(clips) == 6
    assert list(clips.dataset.class_names) == about["class_names"]
    assert [clip.shape[2:] for clip in clips] == [(20, 3)] * 6


def test_a_classifier_gives_the_same_predictions(written: Path, raw: list[np.ndarray]) -> None:
    classifier = i2md.load_classifier(written / "model", "cpu")
    expected = json.loads((written / "predictions.json").read_text())
    for kind, of in (("raw", raw), ("clips", i2md.open_clips(written / "clips"))):
        for one, other in zip(classifier.predict(of), expected[kind], strict=True):
            assert (one.label, one.rejected) == (other["label"], other["rejected"])
            np.testing.assert_allclose(one.probabilities, other["probabilities"], atol=1e-6)
            assert one.known == pytest.approx(other["known"], abs=1e-6)


def test_label_files_are_read(written: Path) -> None:
    clips = i2md.open_clips(written / "clips")
    labelled, unused = label_clips(clips, written / "labels.csv")
    assert not unused
    one, other = ([of.dataset.class_names[label] for label in of.labels] for of in (labelled, clips))
    assert one == other
    intervals = label_clips(clips, written / "intervals.csv")[0].intervals
    assert intervals is not None
    assert intervals["start"].tolist() == [5] * 6


def test_an_exported_file_gives_the_predictions(written: Path, raw: list[np.ndarray]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason='pip install -e ".[export]"')
    session = onnxruntime.InferenceSession(written / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = [each.name for each in session.get_outputs()]
    expected = json.loads((written / "predictions.json").read_text())["raw"]
    about = json.loads(session.get_modelmeta().custom_metadata_map["i2md"])
    for clips in (np.stack(raw), np.stack(raw)[:1]):
        found = dict(zip(outputs, session.run(None, {"joints": clips}), strict=True))
        np.testing.assert_allclose(
            found["probabilities"], [e["probabilities"] for e in expected[: len(clips)]], atol=1e-4
        )
        assert [about["class_names"][label] for label in found["label"]] == [e["label"] for e in expected[: len(clips)]]
        assert found["rejected"].tolist() == [e["rejected"] for e in expected[: len(clips)]]


def as_of_the_future(kind: str, folder: Path) -> None:
    """Set the format version of the files of a kind to 99."""
    if kind == "run":
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"format_version": 99}))
    else:
        path = folder / {"clips": "dataset.json", "model": "model.json"}[kind]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))


@pytest.mark.parametrize(
    ("kind", "load"), [("run", i2md.load), ("clips", i2md.open_clips), ("model", i2md.load_classifier)]
)
def test_files_of_a_later_format_are_refused(kind: str, load: Callable, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / VERSIONS[-1] / kind, tmp_path / kind)
    as_of_the_future(kind, tmp_path / kind)
    with warnings.catch_warnings(), pytest.raises(i2md.InputError, match="format 99"):
        load(tmp_path / kind)


def test_a_run_of_before_its_format_had_a_number_is_read(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "0.1" / "run", tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    data = yaml.safe_load(path.read_text())
    assert data.pop("format_version") == 1
    path.write_text(yaml.safe_dump(data))
    assert i2md.load(tmp_path / "run", "cpu").config.persons == 1
