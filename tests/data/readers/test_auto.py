"""`prepare auto`: real recordings written in eight forms are recognised and read within each form's precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pose_files
import pytest
from fuzzing.recordings import OPTIONS, reader_files

from i2md.cli.main import main
from i2md.data.convert import convert
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.auto import recognise
from i2md.data.recording import Recording, Source
from i2md.data.store import open_clips
from i2md.errors import InputError
from i2md.skeletons import get_layout

KINECT = get_layout("kinect-v1")
FOCAL = 600.0


@cache
def recordings(real_data: Path) -> tuple[Recording, ...]:
    read = open_source("utd-mhad", real_data / "utd-mhad").read
    return tuple(each for each in read.part(0, 3)() if isinstance(each, Recording))  # type: ignore[attr-defined]


def in_image(positions: np.ndarray) -> np.ndarray:
    """x, y in pixels (y down) and confidence of (frames, joints, 3)."""
    x, y = FOCAL * positions[..., 0] + 960, -FOCAL * positions[..., 1] + 540
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def read_all(source: Source) -> list[np.ndarray]:
    found = list(source.read())
    assert all(isinstance(each, Recording) for each in found), found
    return [each.positions[0] for each in found if isinstance(each, Recording)]


def names_shared(joints: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Where both layouts have the joints of the same name."""
    shared = [name for name in joints if name in KINECT.joints]
    return [joints.index(name) for name in shared], [KINECT.joints.index(name) for name in shared]


def as_layout(positions: np.ndarray, layout: str) -> np.ndarray:
    """Kinect's joints at the places of those of the same name; zeros, with confidence 0, elsewhere."""
    theirs, ours = names_shared(get_layout(layout).joints)
    placed = np.zeros((len(positions), len(get_layout(layout).joints), 3))
    placed[:, theirs] = in_image(positions)[:, ours]
    return placed


def check(found: list[np.ndarray], layout: str, real: tuple[Recording, ...], tolerance: float, image: bool) -> None:
    theirs, ours = names_shared(get_layout(layout).joints)
    assert len(found) == len(real) and len(ours) > 8
    for positions, recording in zip(found, real, strict=True):
        wanted = recording.positions[0][:, ours]
        if image:
            np.testing.assert_allclose(positions[:, theirs] / FOCAL, in_image(wanted)[..., :2] / FOCAL, atol=1e-3)
        else:
            np.testing.assert_allclose(positions[:, theirs], wanted, atol=tolerance)


def test_mediapipe_csv(real_data: Path, tmp_path: Path) -> None:
    real = recordings(real_data)
    for each in real:
        file = tmp_path / f"{each.name}.csv"
        pose_files.wide_csv(file, pose_files.LANDMARKS, pose_files.as_mediapipe(each.positions[0]))
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("mediapipe (the columns of") and source.units == "m"
    check(read_all(source), "mediapipe-33", real, 1e-6, image=False)


def test_openpose_json(real_data: Path, tmp_path: Path) -> None:
    real = recordings(real_data)
    for each in real:
        frames = [[body] for body in as_layout(each.positions[0], "body-25")]
        pose_files.openpose_folder(tmp_path / each.name, each.name, frames)
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("openpose") and source.layout == get_layout("body-25").with_channels(2)
    check(read_all(source), "body-25", real, 0.0, image=True)


@pytest.mark.parametrize("form", ["alphapose", "mmpose"])
def test_coco_json(real_data: Path, tmp_path: Path, form: str) -> None:
    real = recordings(real_data)
    write: Callable[..., object] = getattr(pose_files, form)
    for each in real:
        frames = [[body] for body in as_layout(each.positions[0], "coco-17")]
        (tmp_path / f"{each.name}.json").write_text(json.dumps(write(frames)))
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("coco") and source.layout.name == "coco-17"
    check(read_all(source), "coco-17", real, 0.0, image=True)


def test_bvh(real_data: Path, tmp_path: Path) -> None:
    real = recordings(real_data)
    for each in real:
        (tmp_path / f"{each.name}.bvh").write_text(pose_files.bvh_of_positions(each.positions[0], KINECT))
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("bvh") and source.layout.name == "bvh-20"
    order = [source.layout.joints.index(name.replace(" ", "_")) for name in KINECT.joints]
    for positions, each in zip(read_all(source), real, strict=True):
        np.testing.assert_allclose(positions[:, order], each.positions[0], atol=1e-4)


def test_one_long_csv(real_data: Path, tmp_path: Path) -> None:
    real = recordings(real_data)
    pose_files.long_csv(tmp_path / "all.csv", KINECT.joints, {each.name: each.positions[:, :10] for each in real})
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("table") and source.layout == KINECT
    assert [each.name for each in source.read() if isinstance(each, Recording)] == [each.name for each in real]
    for positions, each in zip(read_all(source), real, strict=True):
        np.testing.assert_array_equal(positions, each.positions[0, :10])


def test_sleap_file(real_data: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    real = recordings(real_data)
    for each in real:
        with h5py.File(tmp_path / f"{each.name}.h5", "w") as file:
            file["tracks"] = in_image(each.positions[0])[..., :2].transpose(2, 1, 0)[None]
            file["node_names"] = np.array(KINECT.joints, dtype="S")
            file["edge_inds"] = np.array(KINECT.bones)
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("sleap") and source.layout == KINECT.with_channels(2)
    check(read_all(source), "kinect-v1", real, 0.0, image=True)


def test_the_command_says_what_it_took_the_files_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    positions = np.random.default_rng(0).normal(size=(12, 15, 3))
    for subject in ("walk", "sit"):
        folder = tmp_path / "mine" / subject
        pose_files.wide_csv(folder / "01.csv", get_layout("openni-15").joints, positions)
    source, clips = str(tmp_path / "mine"), tmp_path / "clips"
    assert main(["prepare", "auto", source, str(clips), "--fps", "25", "--resample", "12.5", "--axes", "x,-z,y"]) == 0
    printed = capsys.readouterr().out
    assert "recognised:  table (01.csv has columns such as head_x, a frame a row)" in printed
    found = open_clips(clips)
    assert found.dataset.class_names == ("sit", "walk") and found.columns["fps"].tolist() == [12.5, 12.5]
    assert found.dataset.report["options"] == {"fps": 25.0, "persons": 2, "score": 0.0, "resample": 12.5}
    assert found.dataset.report["converted"] == {"axes": "x,-z,y"}
    assert "taken for format table" in refused("prepare", "auto", source, tmp_path / "b", "--layout", "nosuch")
    assert "has no option 'image_size'" in refused(
        "prepare", "auto", source, tmp_path / "b", "--options.image_size", "2x1"
    )


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("S001C001P001R001A001.skeleton", "ntu-rgbd"),
        ("a1_s1_t1_skeleton.mat", "utd-mhad"),
        ("a01_s01_e01_v01.json", "nw-ucla"),
        ("joints_s01_e01.txt", "utkinect-action3d"),
        ("walk.bvh", "bvh"),
        ("walk.c3d", "c3d"),
        ("12_01.amc", "asf-amc"),
        ("ntu.pkl", "pyskl"),
        ("walk.npy", "arrays"),
    ],
)
def test_formats_are_recognised_by_the_names_of_files(tmp_path: Path, name: str, format: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.md").write_text("x")
    assert recognise(tmp_path).format == format


@pytest.mark.parametrize("name", list(reader_files()))
def test_the_smallest_files_of_every_format_are_prepared_without_an_option(tmp_path: Path, name: str) -> None:
    format, path, files = reader_files()[name]
    for file, content in files.items():
        target = tmp_path / "in" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    # Numbers without names are the joints of a layout that only their owner knows.
    told = OPTIONS.get(name, {})
    clips = prepare("auto", tmp_path / "in" / path, tmp_path / "clips", jobs=1, **told)
    assert format in ("auto", clips.dataset.report["recognised"].split(" (")[0])
    wanted = prepare(format, tmp_path / "in" / path, tmp_path / "told", jobs=1, **told)
    assert [clip.tobytes() for clip in clips] == [clip.tobytes() for clip in wanted]


def test_a_publishers_files_are_recognised_among_others(tmp_path: Path) -> None:
    """HumanML3D has a text for each recording beside it; a stray file of a publisher's is none of theirs."""
    for number in range(30):
        for name in (f"texts/{number:06}.txt", f"new_joint_vecs/{number:06}.npy", f"new_joints/{number:06}.npy"):
            (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "a" / name).write_text("a person walks")
    assert recognise(tmp_path / "a").format == recognise(tmp_path / "a" / "new_joints").format == "humanml3d"
    for number in range(30):
        pose_files.wide_csv(tmp_path / "b" / f"{number}.csv", KINECT.joints, np.zeros((2, 20, 3)))
    (tmp_path / "b" / "0002-L.txt").write_text("1,2,3,4")
    assert recognise(tmp_path / "b").format == "table"


@pytest.mark.parametrize("content", ["{}", "[]", "[1]", '{"frames": 3}', '[{"keypoints": []}]', "not json"])
def test_what_is_not_recognised_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match="not recognised"):
        recognise(tmp_path)
    (tmp_path / "x.json").rename(tmp_path / "x.mp4")
    with pytest.raises(InputError, match=r"x\.mp4 is of no format that is recognised"):
        recognise(tmp_path)


def _write(form: str, folder: Path, each: Recording) -> None:
    positions = each.positions[0]
    if form == "mediapipe":
        # y down and x to the right of the image, as MediaPipe has them.
        placed = pose_files.as_mediapipe(positions) * [-1, -1, 1]
        pose_files.wide_csv(folder / f"{each.name}.csv", pose_files.LANDMARKS, placed)
    elif form == "openpose":
        bodies = [[body] for body in as_layout(positions, "body-25")]
        pose_files.openpose_folder(folder / each.name, each.name, bodies)
    elif form == "coco":
        bodies = [[body] for body in as_layout(positions, "coco-17")]
        (folder / f"{each.name}.json").write_text(json.dumps(pose_files.alphapose(bodies)))
    elif form == "bvh":
        (folder / f"{each.name}.bvh").write_text(pose_files.bvh_of_positions(positions, KINECT))
    else:
        pose_files.long_csv(folder / "all.csv", KINECT.joints, {each.name: each.positions})


@pytest.mark.parametrize("form", ["mediapipe", "openpose", "coco", "bvh", "long"])
def test_prepared_and_converted_to_kinect_v1_within_a_millimetre(real_data: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "in").mkdir()
    each = recordings(real_data)[0]
    _write(form, tmp_path / "in", each)
    clips = prepare("auto", tmp_path / "in", tmp_path / "clips", preset="none", jobs=1)
    (found,) = convert(clips, tmp_path / "kinect", "kinect-v1")
    image = found.shape[-1] == 2
    wanted = in_image(each.positions)[..., :2] / FOCAL if image else each.positions
    found = found / FOCAL if image else found
    held = [
        joint
        for joint, name in enumerate(KINECT.joints)
        if found[..., joint, :].any() and ("left" in name or "right" in name or form in ("bvh", "long"))
    ]
    # A joint that the tool does not have, such as the hand of COCO, is not the same point.
    assert len(held) >= {"mediapipe": 14, "openpose": 12, "coco": 12, "bvh": 20, "long": 20}[form]
    shared = [joint for joint in held if not (form == "mediapipe" and "hand" in KINECT.joints[joint])]
    np.testing.assert_allclose(found[:, :, shared], wanted[:, :, shared], atol=1e-3)
