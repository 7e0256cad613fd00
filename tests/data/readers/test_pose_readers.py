"""Readers of pose estimators' files: what is written comes back, several persons, confidences, rates and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pose_files
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.info import info
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.joint_names import find_layout
from i2md.data.readers.table_columns import given_columns, recognise_columns
from i2md.data.recording import Recording, Source, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout, layout_names

SAMPLES = Path(__file__).parents[2] / "samples"
OPENNI = get_layout("openni-15")
RNG = np.random.default_rng(0)


def only(source: Source) -> Recording:
    (found,) = source.read()
    assert isinstance(found, Recording), found
    return found


def people(frames: int, joints: int, persons: int = 2) -> np.ndarray:
    """(frames, persons, joints, 3): x, y and confidence of persons who stand apart."""
    body = RNG.uniform(0, 100, (1, persons, joints, 2)) + 400 * np.arange(persons)[:, None, None]
    moved = body + np.cumsum(RNG.normal(size=(frames, persons, 1, 2)), axis=0)
    return np.concatenate([moved, RNG.uniform(0.2, 1, (frames, persons, joints, 1))], axis=-1).round(3)


@pytest.mark.parametrize("name", layout_names())
def test_names_of_joints_find_their_layout(name: str) -> None:
    layout = get_layout(name)
    found = find_layout([joint.upper().replace(" ", "_") for joint in layout.joints])
    assert found is not None and found.layout.name == name and found.order == tuple(range(len(layout.joints)))


def test_mediapipe_names_are_those_of_the_layout() -> None:
    found = find_layout(pose_files.LANDMARKS)
    assert found is not None and found.layout.name == "mediapipe-33" and found.order == tuple(range(33))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(
        ["{joint}_{axis}", "{axis}_{joint}", "{joint}.{axis}", "{joint} ({axis})", "{joint}{AXIS}", "{axis}-{joint}"]
    ),
    st.integers(2, 3),
    st.permutations(range(4)),
)
def test_columns_are_recognised_however_they_are_named(pattern: str, channels: int, order: list[int]) -> None:
    joints = ["left_hip", "right_hip", "nose", "neck"]
    names = [pattern.format(joint=joints[j], axis=axis, AXIS=axis.upper()) for axis in "xyz"[:channels] for j in order]
    found = recognise_columns(["frame", *names, "comment"])
    assert found.channels == channels and set(found.joints) == set(joints) and found.roles["frame"] == "frame"
    for joint in joints:
        assert found.joints[joint]["y"] == pattern.format(joint=joint, axis="y", AXIS="Y")


def test_columns_are_given_by_templates() -> None:
    found = given_columns("x=pos x of {joint},y=pos y of {joint},frame=no", ["no", "pos x of hip", "pos y of hip"])
    assert found.joints == {"hip": {"x": "pos x of hip", "y": "pos y of hip"}} and found.channels == 2
    for text in ("x={joint}", "x=a,y=b", "u={joint},x={joint}a,y={joint}b", "x={joint}_x,y={joint}_y", "x"):
        with pytest.raises(InputError, match="columns"):
            given_columns(text, ["a", "b"])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["csv", "tsv", "parquet", "txt", "semicolon"]))
def test_wide_tables_come_back(tmp_path_factory: pytest.TempPathFactory, seed: int, form: str) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(6, 15, 3)).astype(np.float32)
    positions[rng.random((6, 15)) < 0.1] = np.nan
    columns = {f"{j}_{axis}": positions[:, at, k] for at, j in enumerate(OPENNI.joints) for k, axis in enumerate("xyz")}
    table = {name.replace(" ", "_"): column.astype(np.float64) for name, column in columns.items()}
    folder = tmp_path_factory.mktemp("table")
    if form == "parquet":
        pq.write_table(pa.table(table), folder / "a.parquet")
    else:
        separator = {"csv": ",", "tsv": "\t", "txt": " ", "semicolon": ";"}[form]
        rows = [
            separator.join(table),
            *(separator.join(map(repr, map(float, row))) for row in zip(*table.values(), strict=True)),
        ]
        text = "\n".join(rows)
        (folder / f"a.{'csv' if form == 'semicolon' else form}").write_text(
            text.replace(".", ",") if form == "semicolon" else text
        )
    source = open_source("auto", folder)
    assert source.layout == OPENNI
    np.testing.assert_array_equal(only(source).positions[0], positions)


def test_numbers_without_names_are_the_joints_of_the_layout(tmp_path: Path) -> None:
    positions = RNG.normal(size=(4, 2, 20, 3)).round(4)
    positions[2:, 1] = 0
    np.savetxt(tmp_path / "a.txt", positions.reshape(4, -1), "%.4f")
    np.savetxt(tmp_path / "b.txt", np.column_stack([[3, 4, 5, 6], positions.reshape(4, -1)]), "%.4f")
    found = list(open_source("table", tmp_path, layout="kinect-v1").read())
    for each in found:
        np.testing.assert_array_equal(each.positions, positions.swapaxes(0, 1).astype(np.float32))
    with pytest.raises(InputError, match="--layout"):
        open_source("auto", tmp_path)


def test_a_confidence_taken_for_z_is_warned_of_and_can_be_named(tmp_path: Path) -> None:
    """x, y in fractions of the image and a confidence, as YOLO-pose exports them."""
    body = np.concatenate([RNG.uniform(0.2, 0.8, (5, 17, 2)), RNG.uniform(0, 1, (5, 17, 1))], axis=-1).round(4)
    (tmp_path / "in").mkdir()
    np.savetxt(tmp_path / "in" / "a.txt", body.reshape(5, -1), "%.4f")
    told = {"layout": "coco-17", "preset": "none"}
    wrong = prepare("auto", tmp_path / "in", tmp_path / "wrong", **told)
    (warning,) = [text for text in info(wrong)["warnings"] if "--columns" in text and "confidence" in text]
    assert warning.startswith("third coordinate: x, y and z of a all lie within 0 and 1")
    right = prepare("auto", tmp_path / "in", tmp_path / "right", **told, columns="x, y, conf", score=0.5)
    assert not [text for text in info(right)["warnings"] if "confidence" in text]
    kept = body[..., 2:] > 0.5
    wanted = np.where(kept, body[..., :2], 0)
    found = right.read(0)[0]
    np.testing.assert_allclose(found[kept[..., 0]], wanted[kept[..., 0]], rtol=1e-6)
    assert right.dataset.report["joints_of_low_confidence"] == (~kept).sum()
    # Metres around the hips, and pixels, are no fractions of an image.
    for factors in ([-2, 2, 2], [640, 480, 1]):
        np.savetxt(tmp_path / "in" / "a.txt", (body * factors).reshape(5, -1), "%.4f")
        clips = prepare("auto", tmp_path / "in", tmp_path / "wrong", overwrite=True, **told)
        assert not [text for text in info(clips)["warnings"] if "third coordinate:" in text]
    for text in ("x,confidence", "x,y,y", "x,y,w", "x=1"):
        with pytest.raises(InputError, match="--columns x,y,confidence"):
            open_source("table", tmp_path / "in", layout="coco-17", columns=text)
    with pytest.raises(InputError, match="51 columns without names are not x y of the 17 joints"):
        open_source("table", tmp_path / "in", layout="coco-17", columns="x,y")


def test_a_long_table_holds_recordings_persons_labels_and_times(tmp_path: Path) -> None:
    lines = ["video,t_ms,track,bodypart,x,y,likelihood,action,participant"]
    for video, action in (("w1.mp4", "walk"), ("s1.mp4", "sit")):
        for frame in (0, 1, 2, 4):
            for track in (5, 9):
                lines += [
                    f"{video},{frame * 40},{track},{joint},{at + track},{frame},{0.05 if at == 3 else 0.9},{action},4"
                    for at, joint in enumerate(get_layout("coco-17").joints)
                ]
    (tmp_path / "all.csv").write_text("\n".join(lines).replace("t_ms", "time_ms"))
    source = open_source("auto", tmp_path, score=0.1)
    assert source.class_names == ("sit", "walk") and source.layout == get_layout("coco-17").with_channels(2)
    walk, sit = source.read()
    assert (walk.name, walk.fps, walk.label, walk.subject, sit.label) == ("w1", 25.0, 1, 4, 0)
    assert walk.positions.shape == (2, 5, 17, 2) and not walk.positions[:, 3].any()
    assert np.isnan(walk.positions[:, 0, 3]).all() and walk.counts["joints_of_low_confidence"] == 8
    np.testing.assert_array_equal(walk.positions[:, 1, :3, 0], [[5, 6, 7], [9, 10, 11]])


def test_joints_that_a_table_lacks_are_means_of_others(tmp_path: Path) -> None:
    """Keypoints of limbs alone, as those of Penn Action: the pelvis is halfway between the hips, and so on."""
    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = ["head", *(f"{side}_{limb}" for limb in limbs for side in "lr")]
    body = people(6, 13, 1)[:, 0]
    sure = np.ones((6, 13))
    sure[2, names.index("l_hip")] = 0
    pose_files.wide_csv(tmp_path / "a.csv", names, body[..., :2], sure)
    source = open_source("auto", tmp_path)
    found, place = only(source).positions[0], source.layout.joints.index
    assert source.converted["means of others"] == "pelvis, spine, neck" and not source.left_out
    pelvis = (body[:, names.index("l_hip"), :2] + body[:, names.index("r_hip"), :2]) / 2
    neck = (body[:, names.index("l_shoulder"), :2] + body[:, names.index("r_shoulder"), :2]) / 2
    pelvis[2] = np.nan
    np.testing.assert_allclose(found[:, place("pelvis")], pelvis, rtol=1e-6)
    np.testing.assert_allclose(found[:, place("neck")], neck, rtol=1e-6)
    np.testing.assert_allclose(found[:, place("spine")], (pelvis + neck) / 2, rtol=1e-6)
    # What is a mean of nothing is missing, and named.
    pose_files.wide_csv(tmp_path / "a.csv", names[1:], body[:, 1:, :2])
    source = open_source("auto", tmp_path, layout="body-16")
    assert source.left_out == {"joints of layout body-16 that the files lack, such as head": 1}
    assert np.isnan(only(source).positions[0][:, place("head")]).all()


def test_tables_whose_columns_or_joints_are_not_known_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"no columns such as left_hip_x.*--columns"):
        open_source("table", tmp_path)
    (tmp_path / "a.csv").write_text("snout_x,snout_y\n1,2\n")
    with pytest.raises(InputError, match=r"joints snout are those of no layout.*--layout"):
        open_source("table", tmp_path)
    pose_files.wide_csv(tmp_path / "a.csv", OPENNI.joints, RNG.normal(size=(3, 15, 3)))
    (tmp_path / "b.csv").write_text("head_x,head_y\n1,2\n")
    good, bad = open_source("table", tmp_path).read()
    assert isinstance(good, Recording) and isinstance(bad, Unreadable) and "no column" in bad.reason


def _landmark(row: np.ndarray) -> dict[str, float]:
    return dict(zip(("x", "y", "z", "visibility"), row.tolist(), strict=True))


@pytest.mark.parametrize("form", ["tasks", "legacy", "lines", "npz", "camel"])
def test_mediapipe_results_come_back(tmp_path: Path, form: str) -> None:
    world, image = RNG.normal(size=(5, 33, 4)), RNG.uniform(size=(5, 33, 4))
    world[..., 3] = image[..., 3] = RNG.uniform(0.1, 1, (5, 33))
    if form == "npz":
        np.savez(tmp_path / "a.npz", world_landmarks=world, landmarks=image, fps=25.0)
    else:
        nested = {
            "tasks": lambda p: [p],
            "lines": lambda p: [p],
            "camel": lambda p: {"landmark": p},
            "legacy": lambda p: {"landmark": p},
        }
        keys = (
            ("poseWorldLandmarks", "poseLandmarks") if form == "camel" else ("pose_world_landmarks", "pose_landmarks")
        )
        frames = [
            {
                key: nested[form]([_landmark(row) for row in rows[at]])
                for key, rows in zip(keys, (world, image), strict=True)
            }
            | {"timestamp_ms": 40 * at}
            for at in range(5)
        ]
        # A frame in which nobody was found.
        frames.insert(2, dict.fromkeys(keys) | {"timestamp_ms": 70})
        text = (
            "\n".join(map(json.dumps, frames))
            if form == "lines"
            else json.dumps({"frames": frames} if form == "tasks" else frames)
        )
        (tmp_path / "a.json").write_text(text)
    found = only(open_source("auto", tmp_path))
    kept = found.positions[0][found.positions[0].any(axis=(1, 2))]
    np.testing.assert_allclose(kept, world[..., :3], rtol=1e-6)
    flat = open_source("auto", tmp_path, coordinates="image", image_size="1600x800", score=0.5)
    positions = only(flat).positions[0]
    positions = positions[positions.any(axis=(1, 2))]
    wanted = np.where(image[..., 3:] > 0.5, image[..., :2] * [2, 1], np.nan)
    np.testing.assert_allclose(positions, wanted, rtol=1e-6)
    assert flat.layout.channels == 2 and flat.converted == {"image_size": "1600x800"}
    if form == "npz":
        assert found.fps == 25.0


def test_landmarks_in_the_image_with_a_depth_are_not_taken_for_metres(tmp_path: Path) -> None:
    """The CSV that most tutorials write: NAME_x, NAME_y, NAME_z of results.pose_landmarks."""
    image = np.concatenate([RNG.uniform(0.2, 0.9, (6, 33, 2)), RNG.normal(0, 0.3, (6, 33, 1))], axis=-1)
    pose_files.wide_csv(tmp_path / "a.csv", pose_files.LANDMARKS, image)
    source = open_source("auto", tmp_path, image_size="1600x800")
    assert (source.layout.channels, source.units, source.preset) == (2, "image", "centred-scaled")
    assert source.converted["coordinates"].startswith("in the image, since x and y lie within 0 and 1")
    np.testing.assert_allclose(only(source).positions[0], image[..., :2] * [2, 1], rtol=1e-6)
    as_told = open_source("mediapipe", tmp_path, coordinates="world")
    np.testing.assert_allclose(only(as_told).positions[0], image, rtol=1e-6)
    pose_files.wide_csv(tmp_path / "a.csv", pose_files.LANDMARKS, image - image[:, 23:25].mean(axis=1, keepdims=True))
    assert open_source("auto", tmp_path).units == "m"


def test_openpose_tells_persons_apart_and_keeps_given_identities(tmp_path: Path) -> None:
    bodies = people(20, 25)
    bodies[:, :, 4] = 0
    order = [RNG.permutation(2) for _ in bodies]
    mixed = [[frame[p] for p in chosen] for frame, chosen in zip(bodies, order, strict=True)]
    mixed[7] = []
    pose_files.openpose_folder(tmp_path / "a" / "front", "front", mixed)
    found = only(open_source("openpose", tmp_path / "a", fps=30.0))
    first = 0 if np.isclose(found.positions[0, 0, 0], bodies[0, 0, 0, :2]).all() else 1
    assert (found.name, found.fps, found.positions.shape) == ("front", 30.0, (2, 20, 25, 2))
    for person in (0, 1):
        wanted = bodies[:, person ^ first, :, :2].copy()
        wanted[:, 4], wanted[7] = np.nan, 0
        np.testing.assert_allclose(found.positions[person], wanted, rtol=1e-6)
    assert found.counts["person_switches"] > 0
    ids = [[int(p) for p in chosen] for chosen in order]
    pose_files.openpose_folder(
        tmp_path / "b", "x", [[frame[p] for p in c] for frame, c in zip(bodies, order, strict=True)], ids
    )
    assert "person_switches" not in only(open_source("openpose", tmp_path / "b")).counts


@pytest.mark.parametrize("joints", [25, 18])
def test_openpose_hands_and_face_are_read_where_the_layout_has_them(tmp_path: Path, joints: int) -> None:
    bodies, counts = people(6, joints, 1), {"face": 70, "hand_left": 21, "hand_right": 21}
    parts = {part: people(6, size, 1)[:, 0] for part, size in counts.items()}
    parts["hand_left"][2] = 0
    pose_files.openpose_folder(tmp_path / "v", "v", bodies, parts=parts)
    body = {25: "body-25", 18: "openpose-18"}[joints]
    alone, whole = open_source("auto", tmp_path), open_source("auto", tmp_path, layout="coco-wholebody")
    found = only(alone)
    assert alone.layout.name == body and len(found.not_read) == 3
    assert found.not_read[1] == "hand left keypoints (--layout coco-wholebody reads them)"
    np.testing.assert_allclose(found.positions[0], bodies[:, 0, :, :2], rtol=1e-6)
    found, names = only(whole), whole.layout.joints
    assert not found.not_read and sum(whole.left_out.values()) == {25: 4, 18: 3 + 6}[joints]
    for joint in ("nose", "left wrist", "right ankle"):
        wanted = bodies[:, 0, get_layout(body).joints.index(joint), :2]
        np.testing.assert_allclose(found.positions[0][:, names.index(joint)], wanted, rtol=1e-6)
    # The 68 points of a face in the order of iBUG, and each hand from the palm to the tip of the little finger.
    places = {"face": ["right jaw 1", "right inner lower lip"], "hand_left": ["left palm", "left little finger 4"]}
    places["hand_right"] = ["right palm", "right little finger 4"]
    for part, (first, last) in places.items():
        start, end = names.index(first), names.index(last) + 1
        wanted = np.where(parts[part][..., 2:] > 0, parts[part][..., :2], np.nan)[:, : end - start]
        np.testing.assert_allclose(found.positions[0][:, start:end], wanted, rtol=1e-6)
    assert ("left big toe" in names) and np.isnan(found.positions[0][:, names.index("left big toe")]).all() == (
        joints == 18
    )
    by_name = open_source("openpose", tmp_path, layout="coco-17")
    assert only(by_name).positions.shape == (1, 6, 17, 2) and sum(by_name.left_out.values()) == joints - 17


def test_coco_results_annotations_and_ultralytics(tmp_path: Path) -> None:
    bodies = people(10, 17)
    ids = [[4, 9]] * 10
    annotations = {
        "images": [{"id": 100 + n, "file_name": f"{v}/{n:06d}.jpg", "width": 640} for n, v in enumerate("aaaaabbbbb")],
        "annotations": [
            {
                "image_id": 100 + n,
                "id": n,
                "keypoints": (frame[0] * [1, 1, 0] + [0, 0, 2]).ravel().tolist(),
                "track_id": 1,
            }
            for n, frame in enumerate(bodies)
        ]
        + [{"image_id": 100, "id": 99, "bbox": [0, 0, 1, 1]}],
        "categories": [],
    }
    yolo = [
        [
            {"name": "person", "keypoints": {k: b[:, c].tolist() for c, k in enumerate(("x", "y", "visible"))}}
            for b in frame
        ]
        for frame in bodies
    ]
    for name, content in (("track", pose_files.alphapose(bodies, ids)), ("sets", annotations), ("yolo", yolo)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.json").write_text(json.dumps(content))
    tracked = only(open_source("auto", tmp_path / "track"))
    np.testing.assert_allclose(
        np.sort(tracked.positions, axis=0), np.sort(bodies[..., :2].swapaxes(0, 1), axis=0), rtol=1e-6
    )
    a, b = open_source("auto", tmp_path / "sets").read()
    assert (a.name, b.name) == ("a", "b")
    np.testing.assert_allclose(np.concatenate([a.positions, b.positions], axis=1)[0], bodies[:, 0, :, :2], rtol=1e-6)
    found = only(open_source("auto", tmp_path / "yolo"))
    np.testing.assert_allclose(
        np.sort(found.positions, axis=0), np.sort(bodies[..., :2].swapaxes(0, 1), axis=0), rtol=1e-6
    )


def test_every_nth_frame_of_a_video_is_a_slower_recording(tmp_path: Path) -> None:
    detections = [
        {**each, "image_id": 5 * int(each["image_id"][:-4])} for each in pose_files.alphapose(people(6, 17, 1))
    ]
    (tmp_path / "x.json").write_text(json.dumps(detections))
    found = only(open_source("coco", tmp_path))
    assert found.positions.shape[1] == 6 and found.counts["recordings_of_every_nth_frame"] == 1


@pytest.mark.parametrize("name", ["walk.slp", "walk.analysis.h5"])
def test_files_that_sleap_io_wrote(name: str) -> None:
    """Two tracked walkers of 16 nodes in 8 frames, written by sleap-io 0.9.5; one node and one instance are missing."""
    pytest.importorskip("h5py")
    source = open_source("sleap", SAMPLES / "sleap" / name)
    found = only(source)
    base = np.random.default_rng(0).uniform(0, 300, (2, 16, 2))
    wanted = base[:, None] + 3 * np.arange(8)[None, :, None, None]
    wanted[:, 3, 4], wanted[1, 5] = np.nan, 0
    np.testing.assert_allclose(found.positions, wanted, atol=1e-4)
    assert source.layout.joints[:2] == ("hips", "spine") and source.layout.parents[:3] == (0, 0, 1)


def test_deeplabcut_csv_of_one_and_of_several(tmp_path: Path) -> None:
    joints = get_layout("coco-17").joints
    bodies = people(8, 17)
    for name, persons in (("one", 1), ("two", 2)):
        columns = [(f"ind{p}", joint, k) for p in range(persons) for joint in joints for k in ("x", "y", "likelihood")]
        head = [["scorer", *["net"] * len(columns)], ["individuals", *(c[0] for c in columns)]][: 1 + (persons > 1)]
        head += [["bodyparts", *(c[1] for c in columns)], ["coords", *(c[2] for c in columns)]]
        rows = [[str(at), *map(str, frame[:persons].ravel())] for at, frame in enumerate(bodies)]
        rows[3][4] = ""
        (tmp_path / f"{name}.csv").write_text("\n".join(",".join(line) for line in (*head, *rows)))
    for name, persons in (("one", 1), ("two", 2)):
        source = open_source("auto", tmp_path / f"{name}.csv", score=0.3)
        wanted = np.where(bodies[..., 2:] > 0.3, bodies[..., :2], np.nan)[:, :persons].swapaxes(0, 1)
        wanted[0, 3, 1] = np.nan
        found = only(source).positions
        order = np.argsort([np.nanmean(each[..., 0]) for each in found])
        np.testing.assert_allclose(found[order], wanted, rtol=1e-6)
        assert source.recognised.startswith("deeplabcut")


def test_lightning_pose_as_pandas_writes_it(tmp_path: Path) -> None:
    """Predictions of labelled frames have the names of images, and a column of which part of the data each is."""
    pandas = pytest.importorskip("pandas")
    joints, body = get_layout("coco-17").joints, people(5, 17, 1)[:, 0]
    columns = [("heatmap_tracker", joint, kind) for joint in joints for kind in ("x", "y", "likelihood")]
    images = [f"labeled-data/walk/img{number:08}.png" for number in (3, 5, 7, 9, 11)]
    head = pandas.MultiIndex.from_tuples(columns, names=["scorer", "bodyparts", "coords"])
    table = pandas.DataFrame(body.reshape(5, -1), columns=head, index=images)
    table.loc[:, ("set", "", "")] = ["train", "train", "val", "unused", "train"]
    table.to_csv(tmp_path / "predictions.csv")
    source = open_source("auto", tmp_path)
    assert source.recognised.startswith("deeplabcut") and source.layout.name == "coco-17"
    np.testing.assert_allclose(only(source).positions[0], body[..., :2], rtol=1e-6)


def test_options_out_of_range_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(pose_files.alphapose(people(3, 17, 1))))
    for options in ({"persons": 0}, {"score": 1.0}, {"fps": -1.0}):
        with pytest.raises(InputError, match="give"):
            open_source("coco", tmp_path, **options)
