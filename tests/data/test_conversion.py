"""Clips in another layout: the same as if the recordings had been prepared in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

import i2md
from i2md.cli.main import main
from i2md.data.conversion import convert_clip, converted, map_positions, mapping_for
from i2md.data.convert import convert
from i2md.data.dataset import Dataset
from i2md.data.info import info
from i2md.data.join import join
from i2md.data.presets import Prepared, prepare_positions, preset_names
from i2md.data.recording import Interval, Recording
from i2md.data.store import Clips, ClipsWriter, open_clips
from i2md.data.windows import Windows
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, map_joints
from i2md.skeletons.body_parts import body_parts

COCO, V1, V2, MEDIAPIPE = (get_layout(name) for name in ("coco-17", "kinect-v1", "kinect-v2", "mediapipe-33"))


def recording(layout: Layout, seed: int = 0, frames: int = 12, persons: int = 1) -> np.ndarray:
    """A recording of joints that move smoothly, some metres from the sensor."""
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(persons, 1, len(layout.joints), layout.channels))
    steps = 0.05 * rng.normal(size=(persons, frames, len(layout.joints), layout.channels)).cumsum(axis=1)
    # The first person moves most, which `denoised` orders persons by.
    steps *= np.linspace(1, 0.5, persons)[:, None, None, None]
    # An upright trunk in the first frame: of others the published alignment of `ntu` depends on how they stood before.
    trunk = {"pelvis": 0, "lower spine": 0.2, "spine": 0.3, "upper spine": 0.45, "neck": 0.6}
    trunk |= {"left shoulder": 0.6, "right shoulder": 0.6, "left hip": 0, "right hip": 0}
    for part in trunk.keys() & body_parts(layout).keys():
        side = {"left": -0.2, "right": 0.2}.get(part.split()[0], 0)
        body[:, :, body_parts(layout)[part], :2] = side, trunk[part] * layout.up[1]
        body[:, :, body_parts(layout)[part], 2:] = 0
        steps[:, 0, body_parts(layout)[part]] = 0
    return (body + steps + 3).astype(np.float32)


def slowly(positions: np.ndarray, source: Layout, target: Layout) -> np.ndarray:
    """Joint by joint, frame by frame, without a turn."""
    mapping = map_joints(source, target)
    persons, frames = positions.shape[:2]
    out = np.full((persons, frames, len(target.joints), positions.shape[-1]), np.nan)
    for person in range(persons):
        for frame in range(frames):
            for joint, of in enumerate(mapping.weights):
                if of:
                    out[person, frame, joint] = sum(w * positions[person, frame, j].astype(float) for j, w in of)
    return out


def prepared(positions: np.ndarray, layout: Layout, preset: str) -> np.ndarray:
    found = prepare_positions(positions, layout, preset)
    assert isinstance(found, Prepared)
    return found.positions


# Bodies that are rigid in one layout are not what a recording is in another.
@pytest.mark.parametrize("preset", [name for name in preset_names() if name != "facing-rigid"])
@pytest.mark.parametrize(("source", "target"), [(V2, V1), (V1, V2), (V1, get_layout("humanml-22"))])
@pytest.mark.parametrize("persons", [1, 2])
def test_converted_clips_are_those_of_a_recording_in_that_layout(preset, source, target, persons):
    raw = recording(source, persons=persons)
    clip = prepared(raw, source, preset)
    done = convert_clip(clip, mapping_for(source, target, preset), preset)
    assert isinstance(done, Prepared)
    expected = prepared(slowly(raw, source, target), target, preset)
    expected[:, :, [target.joints.index(name) for name in map_joints(source, target).missing]] = 0
    np.testing.assert_allclose(done.positions, expected, atol=2e-5)


@pytest.mark.parametrize("preset", ["none", "facing", "facing-scaled", "ntu", "denoised"])
def test_image_coordinates_are_turned_upright_about_the_viewing_axis(preset):
    raw = recording(MEDIAPIPE, seed=3)
    done = convert_clip(prepared(raw, MEDIAPIPE, preset), mapping_for(MEDIAPIPE, V1, preset), preset)
    assert isinstance(done, Prepared)
    expected = prepared(slowly(raw, MEDIAPIPE, V1) * [-1, -1, 1], V1, preset)
    np.testing.assert_allclose(done.positions, expected, atol=2e-5)


@settings(max_examples=25)
@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda up: np.linalg.norm(up) > 0.1), st.integers(0, 9))
def test_any_vertical_comes_to_stand_upwards_without_mirroring(up, seed):
    layout = replace(V1, name="tilted", up=up)
    raw = recording(layout, seed)
    moved = map_positions(raw, map_joints(layout, V1))
    direction = np.asarray(up) / np.linalg.norm(up)
    np.testing.assert_allclose(moved[..., 1], raw.astype(float) @ direction, atol=1e-5)
    turn, *_ = np.linalg.lstsq(raw.reshape(-1, 3).astype(float), moved.reshape(-1, 3), rcond=None)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)


def test_a_joint_without_a_value_is_missing_in_every_mean_of_it():
    raw = recording(COCO)
    left_hip, left_ear, nose = (COCO.joints.index(name) for name in ("left hip", "left ear", "nose"))
    raw[0, 4, left_hip] = np.nan
    raw[0, 5, left_ear] = 0
    raw[0, 6, nose] = 0  # the centre of COCO, which may be the origin
    found = np.isnan(map_positions(raw, map_joints(COCO, V1))[0]).any(axis=-1)
    never = {"left hand", "right hand", "left foot", "right foot"}
    lost = {frame: {V1.joints[j] for j in np.flatnonzero(found[frame])} - never for frame in range(12)}
    assert lost.pop(4) == {"left hip", "hip centre", "spine"}
    assert lost.pop(5) == {"head"}
    assert not any(lost.values())
    assert all(never <= {V1.joints[j] for j in np.flatnonzero(row)} for row in found)


def test_a_person_who_is_not_seen_stays_zeros():
    raw = recording(COCO, persons=2)
    raw[1, :5] = 0
    moved = map_positions(raw, map_joints(COCO, V1))
    assert not moved[1, :5].any() and np.isnan(moved[1, 5:, V1.joints.index("left hand")]).all()


def test_two_dimensions_stay_two_and_are_not_turned():
    raw = recording(COCO.with_channels(2))
    moved = map_positions(raw, map_joints(COCO.with_channels(2), V1))
    np.testing.assert_array_equal(
        moved[..., V1.joints.index("left knee"), :], raw[..., COCO.joints.index("left knee"), :]
    )
    np.testing.assert_allclose(moved, slowly(raw, COCO.with_channels(2), V1))


def test_presets_that_align_bodies_need_the_joints_that_they_align_them_by():
    with pytest.raises(InputError, match=r"no nose, the centre of layout 'coco-17', by which preset 'facing'"):
        mapping_for(V1, COCO, "facing")
    assert mapping_for(V1, COCO, "none").missing[0] == "nose"


def write(path: Path, layout: Layout, preset: str = "facing", name: str = "made", units: str = "m") -> Clips:
    dataset = Dataset(name, layout, ("a", "b"), units, preset, {"xsub": {"train": {"subject": (1,)}}})
    with ClipsWriter(path, len(layout.joints), layout.channels) as writer:
        for number in range(4):
            positions = prepared(recording(layout, number, frames=9 + number), layout, preset)
            intervals = (Interval(1, 4, 1), Interval(5, 8, 0)) if number == 2 else ()
            writer.add(Recording(f"c{number}", positions, number % 2, number, fps=30.0, intervals=intervals))
        writer.finish(dataset)
    return open_clips(path)


def test_folders_keep_everything_but_the_joints(tmp_path: Path) -> None:
    clips = write(tmp_path / "clips", V2)
    done = convert(clips, tmp_path / "out", "kinect-v1")
    assert done.dataset.layout == V1
    assert done.dataset.splits == clips.dataset.splits and done.dataset.class_names == clips.dataset.class_names
    for name in ("name", "label", "subject", "fps", "frames", "persons"):
        np.testing.assert_array_equal(done.columns[name], clips.columns[name])
    assert clips.intervals is not None and done.intervals is not None
    for name, values in clips.intervals.items():
        np.testing.assert_array_equal(done.intervals[name], values)
    in_memory = converted(clips, V1).clips
    for one, other in zip(done, in_memory, strict=True):
        np.testing.assert_array_equal(one, other)
    assert info(done)["converted"]["layout"]["unused"].startswith("upper neck, left hand tip")


@pytest.mark.parametrize("persons", [1, 2])
def test_windows_are_those_of_the_converted_recordings(tmp_path: Path, persons: int) -> None:
    raw = recording(V2, frames=30, persons=persons)
    with ClipsWriter(tmp_path / "clips", 25, 3) as writer:
        writer.add(Recording("long", raw, fps=10.0))
        writer.finish(Dataset("made", V2, (), "m", "none", windows=Windows(1.0, 0.5)))
    windows = open_clips(tmp_path / "clips")
    done = convert(windows, tmp_path / "out", "kinect-v1")
    assert len(done) == len(windows) == 5 and len(done.recordings) == 1
    for one, other, window in zip(done, converted(windows, V1).clips, windows, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, slowly(window, V2, V1), atol=1e-5)


def test_missing_joints_are_zeros_and_named(tmp_path: Path) -> None:
    clips = write(tmp_path / "clips", V1)
    done = convert(clips, tmp_path / "out", "kinect-v2")
    tip = V2.joints.index("left hand tip")
    assert all(not clip[:, :, tip].any() for clip in done)
    assert info(done)["converted"]["layout"]["missing"] == "left hand tip, left thumb, right hand tip, right thumb"
    assert "joints_missing" not in done.dataset.report


def test_untrimmed_recordings_are_converted_too(tmp_path: Path) -> None:
    write(tmp_path / "clips", V2)
    write(tmp_path / "clips" / "untrimmed", V2, preset="none")
    done = convert(tmp_path / "clips", tmp_path / "out", "kinect-v1")
    assert done.untrimmed is not None and done.untrimmed.dataset.layout == V1
    assert done.untrimmed.intervals is not None


def test_join_converts_to_one_layout(tmp_path: Path) -> None:
    sets = [write(tmp_path / "a", V1, name="a"), write(tmp_path / "b", V2, name="b")]
    with pytest.raises(InputError, match="convert all by --to kinect-v1"):
        join(tmp_path / "all", sets)
    joined = join(tmp_path / "all", sets, layout="kinect-v1")
    assert joined.dataset.layout == V1 and list(joined.dataset.report["converted"]) == ["b"]
    expected = [*sets[0], *converted(sets[1], V1).clips]
    for one, other in zip(joined, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "clips", V2)
    words = ["convert", str(tmp_path / "clips"), str(tmp_path / "out")]
    assert main(words) == 2 and "name the layout wanted by --to" in capsys.readouterr().err
    assert main([*words, "--to", "kinect-v1"]) == 0
    shown = capsys.readouterr().out
    assert "layout:      kinect-v1 (20 joints, 3-D)" in shown
    assert "converted:   layout (from kinect-v2, to kinect-v1, unused upper neck" in shown
    assert main([*words, "--to", "kinect-v1"]) == 2 and "out" in capsys.readouterr().err
    assert main([*words, "--to", "mediapipe-hand-21", "--overwrite"]) == 2
    assert "0 of the 21 joints" in capsys.readouterr().err


def test_embedding_clips_and_arrays_of_another_layout(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = tiny.run(tmp_path_factory.getbasetemp())  # of layout kinect-v1
    model = i2md.load(run, "cpu")
    clips = write(tmp_path / "clips", V2, model.config.preparation)
    expected = model.embed(convert(clips, tmp_path / "v1", "kinect-v1"))
    with pytest.warns(UserWarning, match="clips of layout kinect-v2 converted to kinect-v1: all joints are there"):
        found = model.embed(clips)
    assert main(["embed", str(run), str(clips.path), str(tmp_path / "x.npz"), "--device", "cpu"]) == 0
    with np.load(tmp_path / "x.npz") as written:
        for name, features in expected.items():
            np.testing.assert_allclose(found[name], features, atol=1e-6)
            np.testing.assert_allclose(written[name], features, atol=1e-6)
    raw = [recording(MEDIAPIPE, seed) for seed in range(3)]
    with pytest.warns(UserWarning, match="converted to kinect-v1: hip centre, spine, shoulder centre, head"):
        of_arrays = model.embed(raw, layout="mediapipe-33")
    mapped = [map_positions(array, map_joints(MEDIAPIPE, V1)) for array in raw]
    for name, features in model.embed([array.astype(np.float32) for array in mapped]).items():
        np.testing.assert_allclose(of_arrays[name], features, atol=1e-5)
