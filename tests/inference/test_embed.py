"""A trained run as an object: the same features however the recordings come in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import torch

import i2md
from i2md.cli.main import main
from i2md.data.packed import pack_arrays
from i2md.data.readers import open_source
from i2md.data.recording import Recording
from i2md.data.windows import Windows


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


def test_a_parquet_file_holds_what_the_npz_holds(model: i2md.Model, clips: i2md.Clips, tmp_path: Path) -> None:
    for name in ("a.npz", "a.parquet"):
        assert main(["embed", str(model.run), str(clips.path), str(tmp_path / name), "--device", "cpu"]) == 0
    table = pq.read_table(tmp_path / "a.parquet")
    with np.load(tmp_path / "a.npz") as arrays:
        assert table["name"].to_pylist() == arrays["names"].tolist()
        assert table["label"].to_pylist() == arrays["labels"].tolist()
        for stream in ("joint", "motion", "bone"):
            np.testing.assert_array_equal(np.array(table[stream].to_pylist(), np.float32), arrays[stream])


@pytest.mark.slow
def test_workers_compute_the_same_bytes(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2md.inference.feature_files.PART_SIZE", 8)
    files = {jobs: tmp_path / f"{jobs}.parquet" for jobs in (None, 2)}
    for jobs, out in files.items():
        i2md.embed(run=run, clips=clips, out=out, device="cpu", jobs=jobs)
    assert files[None].read_bytes() == files[2].read_bytes()
    assert pq.ParquetFile(files[2]).num_row_groups == 4


def test_windows_are_embedded_as_clips_of_their_own(model: i2md.Model, clips: i2md.Clips, tmp_path: Path) -> None:
    found = i2md.embed(
        run=model.run, clips=clips, out=tmp_path / "w.npz", windows="500ms", stride="100ms", device="cpu"
    )
    windows = clips.windows(Windows(0.5, 0.1))
    assert found["clips"] == len(windows) > 5 * len(clips)
    chosen = [3, len(windows) // 2, len(windows) - 1]
    with np.load(tmp_path / "w.npz") as arrays:
        assert arrays["names"][chosen].tolist() == windows.columns["name"][chosen].tolist()
        cut = [np.array(windows[clip]) for clip in chosen]
        packed = pack_arrays(cut)
        for stream, features in model._features(packed).items():
            np.testing.assert_allclose(arrays[stream][chosen], features, atol=1e-6)


def test_recordings_are_embedded_as_the_clips_they_are_prepared_to(
    run: Path, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((real_data / "utd-mhad").glob("a1_s1*.mat"))
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for file in files:
        (recordings / file.name).symlink_to(file)
    preset = i2md.load(run, "cpu").config.preparation
    i2md.prepare(format="utd-mhad", source=recordings, clips=tmp_path / "clips", preset=preset)
    for source, out in ((recordings, "a.npz"), (tmp_path / "clips", "b.npz")):
        assert i2md.embed(run=run, clips=source, out=tmp_path / out, device="cpu")["clips"] == len(files)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(i2md.InputError, match="neither a folder of clips nor recordings"):
        i2md.embed(run=run, clips=tmp_path / "nosuch", out=tmp_path / "c.npz")
