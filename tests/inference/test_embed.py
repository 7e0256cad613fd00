"""A trained run as an object: the same features however the recordings come in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.data.readers import open_source
from i2md.data.recording import Recording


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> i2md.Clips:
    return i2md.open_clips(tiny.clips(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> i2md.Model:
    return i2md.load(tiny.run(tmp_path_factory.getbasetemp()), "cpu")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, golden: Path) -> i2md.Model:
    run = tiny.reference_run(tmp_path_factory.getbasetemp(), golden / "cmd_step.pth.tar")
    return i2md.load(run, "cpu")


@pytest.fixture(scope="module")
def raw() -> list[np.ndarray]:
    """The recordings that the clips were prepared from, as their sensor saw them."""
    read = open_source("synthetic", Path("x"), actions=4, subjects=4, repeats=2).read()
    return [recording.positions for recording in read if isinstance(recording, Recording)]


def test_raw_recordings_give_the_features_of_the_prepared_clips(
    model: i2md.Model, clips: i2md.Clips, raw: list[np.ndarray]
) -> None:
    of_clips, of_arrays = model.embed(clips), model.embed(raw, layout="kinect-v1")
    assert list(of_clips) == ["joint", "motion", "bone"]
    for name, features in of_clips.items():
        assert features.shape == (32, 16)
        np.testing.assert_array_equal(of_arrays[name], features)


def test_arrays_of_one_person_need_no_persons_axis(model: i2md.Model, raw: list[np.ndarray]) -> None:
    with_people, without = model.embed(raw[:3]), model.embed([clip[0] for clip in raw[:3]])
    for name, features in with_people.items():
        np.testing.assert_array_equal(without[name], features)


def test_features_do_not_depend_on_the_other_clips(model: i2md.Model, clips: i2md.Clips) -> None:
    together = model.embed(clips)
    order = np.array([5, 31, 0])
    for name, features in model.embed(clips.select(order)).items():
        np.testing.assert_allclose(features, together[name][order], atol=1e-6)


def test_loading_twice_gives_the_same_features(model: i2md.Model, clips: i2md.Clips) -> None:
    again = i2md.load(str(model.run), "cpu").embed(clips)
    for name, features in model.embed(clips).items():
        np.testing.assert_array_equal(again[name], features)


def test_features_do_not_depend_on_position_and_facing(model: i2md.Model, raw: list[np.ndarray]) -> None:
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=np.float32)
    # A frame without anybody is all zeros and stays so.
    moved = [np.where(clip.any(axis=(2, 3), keepdims=True), clip @ turn + np.float32(0.5), 0) for clip in raw[:8]]
    for name, features in model.embed(raw[:8]).items():
        np.testing.assert_allclose(model.embed(moved)[name], features, atol=1e-3)


def test_a_reference_checkpoint_gives_the_reference_features(reference: i2md.Model, golden: Path) -> None:
    with np.load(golden / "cmd_step.npz") as numbers:
        view = torch.tensor(numbers["step2/query"]).permute(0, 2, 3, 1, 4)
        expected = {name: numbers[f"eval/features_{name}"] for name in ("joint", "motion")}
    motion = torch.zeros_like(view)
    motion[:, :-1] = view[:, 1:] - view[:, :-1]
    with torch.no_grad():
        for name, frames in {"joint": view, "motion": motion}.items():
            features = reference.encoders[name](frames)
            np.testing.assert_allclose(features, expected[name], atol=1e-5)


def test_a_reference_checkpoint_embeds_recordings_of_one_and_two_persons(reference: i2md.Model, golden: Path) -> None:
    read = open_source("ntu-rgbd", golden / "ntu-rgbd").read()
    raw = [recording.positions for recording in read if isinstance(recording, Recording)]
    assert {len(clip) for clip in raw} == {1, 2}
    together = reference.embed(raw)
    assert {features.shape for features in together.values()} == {(len(raw), 48)}
    assert all(np.isfinite(features).all() for features in together.values())
    for number, clip in enumerate(raw):
        np.testing.assert_allclose(reference.embed([clip])["joint"][0], together["joint"][number], atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "layout", "said"),
    [
        ([], None, "no clips given"),
        ([np.zeros((5, 25, 3))], None, "clip 0: 25 joints of 3 coordinates, but layout kinect-v1 has 20 of 3"),
        ([np.zeros((20, 3))], None, "clip 0: shape .* has 2 axes"),
        ([np.ones((30, 2, 20, 3))], None, r"30 people in 2 frames; .*np.transpose\(array, \(1, 0, 2, 3\)\)"),
        ([np.ones((3, 30, 20))], None, r"np.transpose\(array, \(1, 2, 0\)\)"),
        ([np.ones((5, 20, 3)), np.zeros((5, 20, 3))], None, "clip 1: no person is seen"),
        ([np.full((5, 20, 3), np.nan)], None, "clip 0: .*leave it out"),
        ([np.full((5, 20, 3), np.inf)], None, "clip 0: a coordinate is infinite; write NaN"),
        ([np.ones((5, 20, 3))], "mediapipe-hand-21", "0 of the 20 joints of 'kinect-v1', which is too few"),
        ([np.ones((5, 20, 3))], "nosuch", "layout 'nosuch' is not known"),
    ],
)
def test_arrays_that_do_not_fit(model: i2md.Model, arrays: list[np.ndarray], layout: str | None, said: str) -> None:
    with pytest.raises(i2md.InputError, match=said):
        model.embed(arrays, layout=layout)


def test_arrays_of_another_unit_and_further_persons_are_warned_of(model: i2md.Model, raw: list[np.ndarray]) -> None:
    with pytest.warns(UserWarning, match="embed: scale: here a body spans .* times as much"):
        model.embed([1000 * clip for clip in raw[:3]])
    crowd = np.stack([raw[0][0]] * (model.config.persons + 1))
    with pytest.warns(UserWarning, match=f"1 of 2 clips have more than the {model.config.persons} that") as found:
        model.embed([crowd, raw[1]])
    assert len(found) == 1


def test_eight_threads_give_the_same_bytes_and_leave_the_process_as_it_is(
    model: i2md.Model, clips: i2md.Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, written = model.embed(clips), []
    if not hasattr(torch.backends.mkldnn, "matmul"):
        pytest.skip("PyTorch has the switch from 2.9 on")
    switches = type(torch.backends.mkldnn.matmul)
    set_attribute = switches.__setattr__

    def watched(self: object, name: str, value: object) -> None:
        written.append((name, value))
        set_attribute(self, name, value)

    monkeypatch.setattr(switches, "__setattr__", watched)
    torch.backends.mkldnn.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision
    assert len(written) == 1
    start = threading.Barrier(8)

    def embed(number: int) -> list[dict[str, np.ndarray]]:
        start.wait(60)
        return [model.embed(clips) for _ in range(4)]

    with ThreadPoolExecutor(8) as threads:
        found = [features for each in threads.map(embed, range(8)) for features in each]
    for features in found:
        for name, values in alone.items():
            np.testing.assert_array_equal(features[name], values)
    assert len(written) == 1
