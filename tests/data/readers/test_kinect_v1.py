"""UTD-MHAD, MSR Action3D and NW-UCLA: published counts, one joint layout for all, and invalid files."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import select_part

FORMATS = ("utd-mhad", "msr-action3d", "nw-ucla")


@cache
def _read(format: str, folder: Path) -> tuple[Source, list[Recording]]:
    source = open_source(format, folder / format)
    recordings = list(source.read())
    assert all(isinstance(recording, Recording) for recording in recordings)
    return source, recordings


def _sizes(source: Source, recordings: list[Recording], split: str) -> tuple[int, int]:
    columns = {
        key: np.array([getattr(recording, key) for recording in recordings]) for key in ("label", "subject", "camera")
    }
    train, test = (select_part(source.splits[split][part], columns) for part in ("train", "test"))
    assert not set(train) & set(test)
    return len(train), len(test)


@pytest.mark.parametrize(
    ("format", "count", "splits"),
    [
        ("utd-mhad", 861, {"xsub": (431, 430)}),
        ("msr-action3d", 567, {}),
        ("nw-ucla", 1484, {"xview": (1020, 464), "xview-clean": (1020, 369)}),
    ],
)
def test_published_counts(format: str, count: int, splits: dict[str, tuple[int, int]], real_data: Path) -> None:
    source, recordings = _read(format, real_data)
    assert source.count == len(recordings) == count
    assert {name: _sizes(source, recordings, name) for name in splits} == splits
    assert {recording.label for recording in recordings} == set(range(len(source.class_names)))
    assert [recording.name for recording in recordings] == sorted(recording.name for recording in recordings)


def test_msr_split_is_odd_and_even_subjects(real_data: Path) -> None:
    source, recordings = _read("msr-action3d", real_data)
    odd = sum(recording.subject % 2 for recording in recordings)
    assert _sizes(source, recordings, "xsub") == (odd, len(recordings) - odd)
    empty = [recording.name for recording in recordings if not recording.positions.any()]
    assert empty == ["a13_s09_e02"]


@pytest.mark.parametrize("format", FORMATS)
def test_right_joints_are_on_the_right_of_the_direction_of_the_feet(format: str, real_data: Path) -> None:
    source, recordings = _read(format, real_data)
    at = {name: j for j, name in enumerate(source.layout.joints)}
    agree = []
    for recording in recordings:
        x = recording.positions[0].astype(np.float64)
        feet = x[:, [at["left foot"], at["right foot"]]] - x[:, [at["left ankle"], at["right ankle"]]]
        ahead = feet.sum(axis=1) * [1, 0, 1]
        right = np.cross(ahead, source.layout.up)
        across = x[:, at["right shoulder"]] - x[:, at["left shoulder"]]
        agree.append(np.median((right * across).sum(axis=1)) > 0)
    assert np.mean(agree) > 0.95


@pytest.mark.parametrize("format", FORMATS)
def test_bones_of_the_layout_have_constant_length(format: str, real_data: Path) -> None:
    source, recordings = _read(format, real_data)
    parents, children = np.transpose(source.layout.bones)
    wobble, length = [], []
    for recording in recordings:
        x = recording.positions[0][recording.positions[0].any(axis=(1, 2))].astype(np.float64)
        if len(x):
            bones = np.linalg.norm(x[:, children] - x[:, parents], axis=-1)
            wobble.append(bones.std(axis=0) / bones.mean(axis=0))
            length.append(np.median(bones, axis=0))
    typical = dict(zip(source.layout.joints[1:], np.median(length, axis=0), strict=True))
    hands = [j in ("left hand", "right hand") for j in source.layout.joints[1:]]
    # Excluded: wrist and hand are only 7 cm apart, close to the sensor noise.
    assert (np.median(wobble, axis=0) < np.where(hands, 0.4, 0.2)).all()
    for joint in ("elbow", "wrist", "knee", "ankle", "shoulder"):
        assert typical[f"left {joint}"] == pytest.approx(typical[f"right {joint}"], rel=0.06)
    assert typical["left knee"] > typical["left ankle"] > typical["left foot"]


@pytest.mark.parametrize("format", FORMATS)
def test_trunk_joints_are_ordered_from_bottom_to_top(format: str, real_data: Path) -> None:
    source, recordings = _read(format, real_data)
    at = {name: j for j, name in enumerate(source.layout.joints)}
    middle = np.array([np.median(clip.positions[0], axis=0) for clip in recordings])
    trunk = [at[joint] for joint in ("hip centre", "spine", "shoulder centre", "head")]
    heights = middle[:, trunk] @ np.array(source.layout.up, dtype=np.float32)
    assert (np.median(np.diff(heights, axis=1), axis=0) > 0.05).all()
    hips = (middle[:, at["left hip"]] + middle[:, at["right hip"]]) / 2
    away = np.linalg.norm(middle[:, trunk[:2]] - hips[:, None], axis=-1)
    assert np.mean(away[:, 0] < away[:, 1]) > 0.95


@pytest.mark.parametrize(
    ("format", "actions"), [("msr-action3d", range(9)), ("utd-mhad", (0, 1, 2, 4, 7, 8, 9, 10, 11, 18, 19))]
)
def test_right_arm_actions_move_the_right_arm(format: str, actions: range, real_data: Path) -> None:
    source, recordings = _read(format, real_data)
    left, right = source.layout.joints.index("left hand"), source.layout.joints.index("right hand")
    chosen = [recording for recording in recordings if recording.label in actions]
    travelled = np.array(
        [np.linalg.norm(np.diff(r.positions[0], axis=0), axis=-1).sum(axis=0)[[left, right]] for r in chosen]
    )
    assert np.mean(travelled[:, 1] > travelled[:, 0]) > 0.97


def test_utd_joints_are_in_the_published_order(real_data: Path) -> None:
    source, recordings = _read("utd-mhad", real_data)
    order = (real_data / "utd-mhad" / "Skeleton_joint_order.txt").read_text()
    lines = [line.split(".")[1].strip(" ;") for line in order.splitlines() if line[:1].isdigit()]
    published = {name.replace("_", " ").replace("center", "centre"): row for row, name in enumerate(lines)}
    first = loadmat(real_data / "utd-mhad" / f"{recordings[0].name}_skeleton.mat")["d_skel"]
    for j, joint in enumerate(source.layout.joints):
        np.testing.assert_array_equal(recordings[0].positions[0, :, j], first[published[joint]].T.astype("f4"))


def _only(format: str, folder: Path) -> Recording | Unreadable:
    (found,) = open_source(format, folder).read()
    return found


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"d_depth": np.zeros((20, 3, 5))}, "no variable d_skel"),
        ({"d_skel": np.zeros((25, 3, 5))}, "25 x 3 x 5, not 20 x 3 x frames"),
        ({"d_skel": np.zeros((20, 3, 0))}, "no frame"),
        ({"d_skel": np.full((20, 3, 5), np.inf)}, "frame 0 holds an infinite coordinate"),
        ({"d_skel": np.full((20, 3, 5), 1e300)}, "infinite coordinate"),
        ({"d_skel": np.full((20, 3, 5), 1j)}, "not numbers"),
        ({"d_skel": "twenty joints"}, "not 20 x 3"),
    ],
)
def test_mat_without_a_skeleton_is_unreadable(variables: dict[str, object], reason: str, tmp_path: Path) -> None:
    savemat(tmp_path / "a1_s1_t1_skeleton.mat", variables)
    found = _only("utd-mhad", tmp_path)
    assert isinstance(found, Unreadable) and reason in found.reason
    assert found.reason.startswith("a1_s1_t1_skeleton.mat: ") and "\n" not in found.reason


def test_mat_of_one_frame_is_a_clip(tmp_path: Path) -> None:
    savemat(tmp_path / "a27_s8_t4_skeleton.mat", {"d_skel": np.ones((20, 3))})
    found = _only("utd-mhad", tmp_path)
    assert (found.positions.shape, found.label, found.subject, found.trial) == ((1, 1, 20, 3), 26, 8, 4)


def test_unknown_action_is_unreadable(tmp_path: Path) -> None:
    savemat(tmp_path / "a28_s1_t1_skeleton.mat", {"d_skel": np.ones((20, 3, 2))})
    assert "action 28 is not one of 1 to 27" in _only("utd-mhad", tmp_path).reason


def test_truncated_mat_is_a_clip_or_unreadable(real_data: Path, tmp_path: Path) -> None:
    whole = (real_data / "utd-mhad" / "a1_s1_t1_skeleton.mat").read_bytes()
    for size in np.linspace(0, len(whole), 60).astype(int):
        (tmp_path / "a1_s1_t1_skeleton.mat").write_bytes(whole[:size])
        found = _only("utd-mhad", tmp_path)
        assert isinstance(found, Unreadable) or found.positions.shape[2:] == (20, 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 1 2 1\n" * 39, "39 lines are not whole frames of 20"),
        ("0 1 2 1\n" * 19 + "0 1 2", "line 20: 3 numbers, not 4"),
        ("0 1 2\n" * 20, "line 1: 3 numbers, not 4"),
        ("x y z confidence\n" + "0 1 2 1\n" * 20, "line 1: 'x' is not a number; remove the header line"),
        ("0 1 two 1\n" * 20, "line 1: 'two' is not a number"),
        ("0 1 inf 1\n" * 20, "infinite coordinate"),
        (" \r\n", "empty"),
        ("\0\1\2\3", "is not a number"),
    ],
)
def test_invalid_msr_text_is_unreadable(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a01_s01_e01_skeleton3D.txt").write_text(text)
    found = _only("msr-action3d", tmp_path)
    assert isinstance(found, Unreadable) and reason in found.reason and "\n" not in found.reason


FRAME = [[float(j), 1.0, 2.0] for j in range(20)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        (json.dumps({"skeletons": [FRAME]}), "not an object with skeletons and a label"),
        (json.dumps({"skeletons": [FRAME], "label": 11}), "action 11 is not one of 1 to 10"),
        (json.dumps({"skeletons": [FRAME, FRAME[1:]], "label": 1}), "not frames of 20 joints"),
        (json.dumps({"skeletons": [FRAME[1:]], "label": 1}), "19 joints of 3 coordinates"),
        (json.dumps({"skeletons": [], "label": 1}), "1 dimensions"),
        (json.dumps({"skeletons": None, "label": 1}), "dimensions"),
        (json.dumps({"skeletons": [[[float("inf")] * 3] * 20], "label": 1}), "infinite coordinate"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_invalid_json_is_unreadable(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a01_s01_e00_v01.json").write_text(content)
    found = _only("nw-ucla", tmp_path)
    assert isinstance(found, Unreadable) and reason in found.reason


def test_utd_zip_gives_the_same_clips_as_its_folder(real_data: Path, tmp_path: Path) -> None:
    some = tmp_path / "UTD-MHAD" / "Skeleton"
    some.mkdir(parents=True)
    for trial in (1, 2):
        shutil.copy(real_data / "utd-mhad" / f"a5_s3_t{trial}_skeleton.mat", some)
    shutil.make_archive(str(tmp_path / "Skeleton"), "zip", tmp_path / "UTD-MHAD")
    packed = list(open_source("utd-mhad", tmp_path / "Skeleton.zip").read())
    plain = list(open_source("utd-mhad", tmp_path / "UTD-MHAD").read())
    assert [clip.source for clip in packed] == [clip.source for clip in plain]
    for one, other in zip(packed, plain, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
