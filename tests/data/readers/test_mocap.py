"""Motion capture: BVH against pybvh and a recursion, ASF/AMC against a recursion, C3D that ezc3d wrote, HumanML3D."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pose_files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.labelled import of_files
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.asf_amc import parse_skeleton
from i2md.data.readers.bvh import Joint, joint_positions
from i2md.data.recorded import recorded
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

SAMPLES = Path(__file__).parents[2] / "samples"


def only(source: Source) -> Recording:
    (found,) = source.read()
    assert isinstance(found, Recording), found
    return found


def turn(axis: str, degrees: float) -> np.ndarray:
    """The rotation about an axis, written out."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {
        "X": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "Y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "Z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def slow_positions(joints: list[Joint], values: list[float]) -> np.ndarray:
    """One frame, joint by joint."""
    left, found, axes = list(values), [], []
    for joint in joints:
        at, own = list(joint.offset), np.eye(3)
        for axis, kind in joint.channels:
            value = left.pop(0)
            if kind == "position":
                at["XYZ".index(axis)] = value
            else:
                own = own @ turn(axis, value)
        parent = axes[joint.parent] if joint.parent >= 0 else np.eye(3)
        base = found[joint.parent] if joint.parent >= 0 else np.zeros(3)
        found.append(base + parent @ np.array(at))
        axes.append(parent @ own)
    return np.stack(found)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_forward_kinematics_is_a_recursion_over_the_hierarchy(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    channels = [(axis, kind) for axis in "XYZ" for kind in ("position", "rotation")]
    joints = [
        Joint(
            str(at),
            int(rng.integers(0, at)) if at else -1,
            tuple(rng.normal(size=3)),
            tuple(channels[c] for c in rng.permutation(6)[: rng.integers(0, 7)]),
        )
        for at in range(count)
    ]
    values = rng.uniform(-180, 180, (3, sum(len(joint.channels) for joint in joints)))
    found = joint_positions(joints, values)
    for frame in range(3):
        np.testing.assert_allclose(found[frame], slow_positions(joints, values[frame].tolist()), atol=1e-9)


def test_a_real_bvh_is_read_as_pybvh_reads_it(real_data: Path, tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    theirs = pybvh.read_bvh_file(real_data / "format-samples/cmu-bvh/cmu_12_01_walk.bvh", world_up="+y")[:40]
    # Written by that library, too.
    theirs.write(tmp_path / "walk.bvh")
    source = open_source("bvh", tmp_path, units="cm")
    found = only(source)
    joints = [at for at, node in enumerate(theirs.nodes) if not node.is_end_site()]
    assert source.layout.joints == tuple(theirs.nodes[at].name for at in joints) and found.fps == 120.0
    np.testing.assert_allclose(100 * found.positions[0], theirs.node_positions()[:, joints], atol=1e-3)


def test_a_bvh_of_positions_comes_back_and_other_hierarchies_are_named(tmp_path: Path) -> None:
    openni = get_layout("openni-15")
    positions = np.random.default_rng(0).normal(size=(5, 15, 3))
    (tmp_path / "a.bvh").write_text(pose_files.bvh_of_positions(positions, openni, 60.0))
    (tmp_path / "b.bvh").write_text(pose_files.bvh_of_positions(np.ones((3, 20, 3)), get_layout("kinect-v1")))
    source = open_source("bvh", tmp_path)
    first, other = source.read()
    assert isinstance(first, Recording) and first.fps == 60.0
    order = [source.layout.joints.index(name.replace(" ", "_")) for name in openni.joints]
    np.testing.assert_allclose(first.positions[0][:, order], positions, atol=1e-5)
    assert isinstance(other, Unreadable) and "which the first file has" in other.reason
    in_layout = open_source("bvh", tmp_path / "a.bvh", layout="openni-15")
    assert in_layout.layout == openni
    np.testing.assert_allclose(only(in_layout).positions[0], positions, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("MOTION", "M", "no line MOTION"),
        ("Frames: 3", "Frames: 4", "3 frames, where its head says 4"),
        ("CHANNELS 6", "CHANNELS x", "CHANNELS is not followed"),
        ("Zrotation", "Wrotation", "is no position or rotation"),
        ("Frame Time:", "Frame time", "not followed by Frames"),
        ("OFFSET 0 0 0", "OFFSET 0 a 0", "not three numbers"),
    ],
)
def test_damaged_bvh_is_refused_with_its_reason(tmp_path: Path, old: str, new: str, reason: str) -> None:
    good = pose_files.bvh_of_positions(np.ones((3, 15, 3)), get_layout("openni-15"))
    (tmp_path / "a.bvh").write_text(good)
    (tmp_path / "b.bvh").write_text(good.replace(old, new, 1))
    bad = list(open_source("bvh", tmp_path).read())[1]
    assert isinstance(bad, Unreadable) and reason in bad.reason


def test_asf_amc_is_a_recursion_over_the_bones(tmp_path: Path) -> None:
    (tmp_path / "walker.asf").write_text(pose_files.ASF)
    (tmp_path / "walker_01_120.amc").write_text(pose_files.AMC)
    source = open_source("auto", tmp_path)
    found = only(source)
    bones = parse_skeleton(pose_files.ASF.encode())
    scale = 0.0254 / 0.45
    values: list[dict[str, list[float]]] = []
    for line in pose_files.AMC.splitlines()[3:]:
        words = line.split()
        if len(words) == 1:
            values.append({})
        else:
            values[-1][words[0]] = [float(word) for word in words[1:]]
    assert found.fps == 120.0 and source.units == "m" and len(values) == found.positions.shape[1] == 2
    for frame, of in enumerate(values):
        axes: list[np.ndarray] = []
        ends: list[np.ndarray] = []
        for bone in bones:
            numbers = dict(zip(bone.dof, of.get(bone.name, []), strict=True))
            own = turn("Z", numbers.get("rz", 0)) @ turn("Y", numbers.get("ry", 0)) @ turn("X", numbers.get("rx", 0))
            local = bone.axes @ own @ np.linalg.inv(bone.axes)
            if bone.parent < 0:
                axes.append(local)
                ends.append(scale * np.array([numbers[key] for key in ("tx", "ty", "tz")]))
            else:
                axes.append(axes[bone.parent] @ local)
                ends.append(ends[bone.parent] + axes[-1] @ np.array(bone.offset))
        np.testing.assert_allclose(found.positions[0, frame], np.stack(ends), atol=1e-6)
    # The axis of the lumbar bone is stated as turns about x, then y, then z of the world.
    np.testing.assert_allclose(bones[1].axes, turn("Z", 30) @ turn("Y", 20) @ turn("X", 10), atol=1e-12)


def test_only_the_recordings_that_are_shown_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "walker.asf").write_text(pose_files.ASF)
    for number in (1, 2, 3):
        (tmp_path / "in" / f"walker_{number}.amc").write_text(pose_files.AMC)
    clips = prepare("auto", tmp_path / "in", tmp_path / "clips", jobs=1)
    # A recording is named after its motion, not after the skeleton that it shares with others.
    assert clips.columns["source"].tolist() == ["walker_1.amc", "walker_2.amc", "walker_3.amc"]
    read = of_files(open_source("auto", tmp_path / "in").read, {"walker_2.amc"})
    assert [each.name for each in read() if isinstance(each, Recording)] == ["walker_2"]
    (tmp_path / "in" / "walker_3.amc").write_text("damaged")
    assert sorted(recorded(clips, [0, 1]).positions) == [0, 1]


def test_real_asf_amc_are_bodies_that_stand_upright(real_data: Path) -> None:
    source = open_source("auto", real_data / "hdm05-11" / "hdm05-11.zip")
    assert source.recognised.startswith("asf-amc") and source.count == 287
    found = next(iter(source.read.part(0, 1)()))  # type: ignore[attr-defined]
    assert isinstance(found, Recording) and found.fps == 120.0
    # The subject puts something on the floor, and stands upright at first.
    first, joints = found.positions[0, 0], source.layout.joints
    head, feet = first[joints.index("head"), 1], first[[joints.index("lfoot"), joints.index("rfoot")], 1].mean()
    assert 1.4 < np.ptp(first[:, 1]) < 1.8 and 1.3 < head - feet < 1.7


def test_c3d_that_ezc3d_wrote(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    pytest.importorskip("c3d")
    names = [joint.replace(" ", "_") for joint in get_layout("kinect-v1").joints]
    points = np.ones((4, 20, 7))
    points[:3] = np.random.default_rng(0).uniform(-1000, 2000, (3, 20, 7))
    points[:3, 3, 2] = np.nan
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = tuple(names)
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file["data"]["points"] = points
    file.write(str(tmp_path / "a.c3d"))
    source = open_source("auto", tmp_path, axes="x,-z,y")
    found = only(source)
    assert source.units == "m" and source.layout == get_layout("kinect-v1") and found.fps == 100.0
    x, y, z = points[:3].transpose(0, 2, 1) / 1000
    np.testing.assert_allclose(found.positions[0], np.stack([x, z, -y], axis=-1), atol=1e-6)


def test_plug_in_gait_markers_and_a_table_of_markers(tmp_path: Path) -> None:
    pytest.importorskip("c3d")
    sample = SAMPLES / "c3d" / "walk.c3d"
    source = open_source("c3d", sample)
    assert source.layout.name == "openni-15" and source.left_out == {"markers that no joint has, such as LTOE": 2}
    body = only(source).positions[0]
    assert np.isnan(body).any(axis=-1).sum() == 1 and np.isnan(body[2, source.layout.joints.index("left elbow")]).all()
    table = tmp_path / "markers.yaml"
    table.write_text("".join(f"{joint}: LSHO\n" for joint in ("left shoulder", "head")))
    given_table = open_source("c3d", sample, markers=str(table))
    assert given_table.left_out["joints of layout openni-15 without a marker, such as neck"] == 13
    for text in ("head: NOSUCH\n", "nosuch: LSHO\n", "[]\n", "head: 3\n", "a: &a [*a]\n"):
        table.write_text(text)
        with pytest.raises(InputError):
            open_source("c3d", sample, markers=str(table))


def test_humanml3d_with_the_lists_of_its_splits(tmp_path: Path) -> None:
    (tmp_path / "new_joints").mkdir()
    (tmp_path / "new_joint_vecs").mkdir()
    rng = np.random.default_rng(0)
    motions = {name: rng.normal(size=(5, 22, 3)).astype(np.float32) for name in ("000000", "000001", "M000000")}
    for name, motion in motions.items():
        np.save(tmp_path / "new_joints" / f"{name}.npy", motion)
        np.save(tmp_path / "new_joint_vecs" / f"{name}.npy", np.zeros((5, 263)))
    (tmp_path / "train.txt").write_text("000000\nM000000\n")
    (tmp_path / "test.txt").write_text("000001\n")
    source = open_source("humanml3d", tmp_path)
    first, second = source.read()
    assert (first.name, first.fps, second.name) == ("000000", 20.0, "000001")
    np.testing.assert_array_equal(second.positions[0], motions["000001"])
    assert source.splits == {"given": {"train": {"name": ("000000",)}, "test": {"name": ("000001",)}}}
    assert source.left_out == {"mirrored copies": 1, "other .npy files": 3}
    assert open_source("humanml3d", tmp_path, mirrored=True).count == 3
