"""PYSKL's pickles: positions, persons, splits and columns; a malicious one runs no code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusal import Refused, refusing

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.arrays.pyskl_annotations import over_image
from i2md.data.recording import Divisible, Recording, Unreadable
from i2md.data.splits import select_part
from i2md.errors import InputError

NTU = ["S001C001P001R001A001", "S001C002P003R001A007", "S001C003P002R002A050"]


def _keypoint(persons: int, frames: int, joints: int = 25, channels: int = 3, seed: int = 0) -> np.ndarray:
    positions = np.random.default_rng(seed).normal(size=(persons, frames, joints, channels))
    return (positions if channels == 3 else 400 + 100 * positions).astype(np.float16)


def _annotation(name: str, label: Any = 0, **others: Any) -> dict[str, Any]:
    keypoint = others.pop("keypoint", _keypoint(1, 6))
    return {"frame_dir": name, "label": label, "keypoint": keypoint, "total_frames": keypoint.shape[1]} | others


def _save(path: Path, annotations: Any, split: Any = None, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps({"split": split or {}, "annotations": annotations}, protocol))
    return path


def _of_ntu() -> list[dict[str, Any]]:
    labels = [int(name[-3:]) - 1 for name in NTU]
    return [
        _annotation(NTU[0], labels[0], keypoint=_keypoint(1, 6)),
        _annotation(NTU[1], labels[1], keypoint=_keypoint(2, 9, seed=1)),
        _annotation(NTU[2], labels[2], keypoint=_keypoint(2, 4, seed=2)),
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_three_dimensional_pickle_of_ntu_rgbd(tmp_path: Path, protocol: int) -> None:
    annotations = _of_ntu()
    annotations[2]["keypoint"][1] = 0
    annotations[1]["keypoint"][:, 7:] = 0
    split = {"xsub_train": NTU[:2], "xsub_val": NTU[2:], "xview_train": NTU[1:], "xview_val": NTU[:1]}
    source = open_source("pyskl", _save(tmp_path / "ntu60_3danno.pkl", annotations, split, protocol))
    recordings = list(source.read())
    expected = [annotations[0]["keypoint"], annotations[1]["keypoint"][:, :7], annotations[2]["keypoint"][:1]]
    for recording, positions in zip(recordings, expected, strict=True):
        assert isinstance(recording, Recording) and recording.positions.dtype == np.float32
        np.testing.assert_array_equal(recording.positions, positions.astype(np.float32))
    assert [(r.name, r.label, r.subject, r.camera, r.setup, r.trial, r.fps) for r in recordings] == [
        (NTU[0], 0, 1, 1, 1, 1, 30.0),
        (NTU[1], 6, 3, 2, 1, 1, 30.0),
        (NTU[2], 49, 2, 3, 1, 2, 30.0),
    ]
    assert (source.layout.name, source.units, source.preset, source.count) == ("kinect-v2", "m", "ntu", 3)
    assert len(source.class_names) == 60 and source.class_names[6] == "throw"
    columns = {"name": np.array([r.name for r in recordings], dtype=object)}
    chosen = {
        name: {part: select_part(values, columns).tolist() for part, values in split.items()}
        for name, split in source.splits.items()
    }
    assert chosen == {"xsub": {"train": [0, 1], "test": [2]}, "xview": {"train": [1, 2], "test": [0]}}


def test_pixels_are_scaled_to_the_image(tmp_path: Path) -> None:
    keypoint = np.zeros((2, 5, 17, 2), np.float16)
    keypoint[0, :3] = [960, 540]
    keypoint[0, 1, 4] = [1920, 0]
    keypoint[0, 2, 5] = 0
    keypoint[1, 1] = [480, 1080]
    annotation = _annotation("a", 3, keypoint=keypoint, img_shape=(1080, 1920), original_shape=(1080, 1920))
    annotation["keypoint_score"] = np.ones((2, 5, 17), np.float16)
    source = open_source("pyskl", _save(tmp_path / "hrnet.pkl", [annotation]), fps=25.0)
    (clip,) = source.read()
    assert (source.layout.name, source.units, source.preset, clip.fps) == ("coco-17", "image (-1 to 1)", "none", 25.0)
    assert clip.positions.shape == (2, 3, 17, 2)
    # A joint at 0, 0 was not found, and a person of zeros is absent: both stay zero.
    expected = np.zeros((2, 3, 17, 2))
    expected[0, 1, 4] = [1, -1]
    expected[1, 1] = [-0.5, 1]
    np.testing.assert_array_equal(clip.positions, expected)
    prepared = prepare("pyskl", tmp_path / "hrnet.pkl", tmp_path / "clips")
    np.testing.assert_array_equal(prepared[0], expected.astype(np.float32))


def test_joints_of_low_confidence_are_missing_and_counted(tmp_path: Path) -> None:
    keypoint = _keypoint(1, 6, 17, 2)
    confidence = np.full((1, 6, 17), 0.5, np.float16)
    confidence[0, 2, 3], confidence[0, 4, 5], confidence[0, 5, 6] = 0, 0.2, np.nan
    path = _save(tmp_path / "x.pkl", [_annotation("a", keypoint=keypoint, keypoint_score=confidence)])
    for score, low in ((0.0, [(2, 3), (5, 6)]), (0.2, [(2, 3), (4, 5), (5, 6)])):
        expected = keypoint[0].astype(np.float32)
        for frame, joint in low:
            expected[frame, joint] = 0
        clips = prepare("pyskl", path, tmp_path / f"clips-{score}", score=score)
        np.testing.assert_array_equal(clips[0][0], expected)
        assert clips.dataset.report["joints_missing"] == len(low)
    with pytest.raises(InputError, match=r"no joint has a confidence above 0\.5; lower --options\.score"):
        prepare("pyskl", path, tmp_path / "none", score=0.5)
    with pytest.raises(InputError, match="from 0 to below 1"):
        open_source("pyskl", path, score=1.0)
    _save(path, [_annotation("a", keypoint=keypoint, keypoint_score=confidence[:, :4])])
    with pytest.raises(InputError, match=r"keypoint_score is no array of numbers \(persons, frames"):
        open_source("pyskl", path)


def test_keys_that_are_not_read_are_counted(tmp_path: Path) -> None:
    sizes = {"img_shape": (1080, 1920), "original_shape": (1080, 1920)}
    annotations = [_annotation("a", modality="Pose", **sizes), _annotation("b", flow=1) | {3: 4}]
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"annotations": annotations, "meta": {}}))
    known = "frame_dir, label, keypoint, keypoint_score, total_frames and img_shape"
    assert open_source("pyskl", path).left_out == {
        "keys of x.pkl other than annotations and split, such as meta": 1,
        f"keys of annotations other than {known}, such as modality": 3,
    }
    _save(path, [_annotation("a", **sizes | {"original_shape": (540, 960)})])
    assert open_source("pyskl", path).left_out == {f"keys of annotations other than {known}, such as original_shape": 1}


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 4000), width=st.integers(1, 4000), seed=st.integers(0, 100))
def test_over_image_equals_a_slow_formulation(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).uniform(0, 4000, (1, 2, 3, 2)).astype(np.float32)
    ours = over_image(pixels, (height, width))
    for frame, joint in np.ndindex(2, 3):
        x, y = (float(value) for value in pixels[0, frame, joint])
        assert ours[0, frame, joint, 0] == pytest.approx((x - width / 2) / (width / 2), rel=1e-4, abs=1e-4)
        assert ours[0, frame, joint, 1] == pytest.approx((y - height / 2) / (height / 2), rel=1e-4, abs=1e-4)


def test_pixels_are_kept_if_a_clip_has_no_image_size(tmp_path: Path) -> None:
    annotations = [
        _annotation("a", keypoint=_keypoint(1, 3, 18, 2), img_shape=(1080, 1920)),
        _annotation("b", keypoint=_keypoint(1, 3, 18, 2, seed=1)),
    ]
    source = open_source("pyskl", _save(tmp_path / "x.pkl", annotations))
    assert (source.layout.name, source.units) == ("openpose-18", "pixels")
    for clip, annotation in zip(source.read(), annotations, strict=True):
        np.testing.assert_array_equal(clip.positions, annotation["keypoint"].astype(np.float32))


@pytest.mark.parametrize(
    ("split", "found"),
    [
        ({"train": ["a"], "val": ["b"]}, {"given": {"train": "a", "test": "b"}}),
        ({"train": ["a"], "test": ["b"]}, {"given": {"train": "a", "test": "b"}}),
        ({"train": ["a"], "val": ["b"], "test": ["c"]}, {"given": {"train": "a", "val": "b", "test": "c"}}),
        (
            {"train1": ["a"], "test1": ["b"], "train2": ["b"], "test2": ["a"]},
            {"split1": {"train": "a", "test": "b"}, "split2": {"train": "b", "test": "a"}},
        ),
        ({"sub_train": ["a"], "sub_test": ["c"]}, {"sub": {"train": "a", "test": "c"}}),
        ({"xset_train1": ["a"], "xset_val1": ["b"]}, {"xset1": {"train": "a", "test": "b"}}),
        ({"Training": ["a"], "Validation": ["c"]}, {"given": {"train": "a", "test": "c"}}),
        ({"everything": ["a", "b"]}, {"everything": {"all": "ab"}}),
        ({}, {}),
    ],
)
def test_parts_are_grouped_into_splits(
    split: dict[str, list[str]], found: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    source = open_source("pyskl", _save(tmp_path / "x.pkl", [_annotation(name) for name in "abc"], split))
    assert {n: {p: "".join(v["name"]) for p, v in parts.items()} for n, parts in source.splits.items()} == found


def test_invalid_annotation_is_unreadable_and_others_are_read(tmp_path: Path) -> None:
    broken = _keypoint(1, 6)
    broken[0, 4, 2, 1] = np.inf
    wrong = {
        "no dict": None,
        "frame_dir is no name": _annotation("a\nb"),
        "raw_file": {"frame_dir": "k", "label": 1, "raw_file": "k.pkl", "total_frames": 3},
        "keypoint is no array": _annotation("l") | {"keypoint": [[1.0]]},
        "keypoint is no array of numbers": _annotation("o", keypoint=np.full((1, 6, 25, 3), None)),
        "25 joints of 2 coordinates": _annotation("c", keypoint=_keypoint(1, 6, channels=2)),
        "no frame": _annotation("n", keypoint=_keypoint(0, 6)),
        "frame 4 holds an infinite coordinate": _annotation("f", keypoint=broken),
        "label 'run' is not a class": _annotation("s", "run"),
        "label 1000000 is not a class": _annotation("h", 10**6),
        "total_frames does not fit the 6": _annotation("t", total_frames=7),
        "img_shape is not height and width": _annotation("i", img_shape=(0, 5)),
        "good has the name of x.pkl[0]": _annotation("good", 1),
    }
    annotations = [_annotation("good", np.int64(2)), *wrong.values(), _annotation("last", None, total_frames=5)]
    source = open_source("pyskl", _save(tmp_path / "x.pkl", annotations))
    first, *unread, last = source.read()
    assert (first.name, first.label, last.name, last.label, last.positions.shape[1]) == ("good", 2, "last", -1, 5)
    assert len(unread) == len(wrong) and source.class_names == ("0", "1", "2")
    for index, (message, item) in enumerate(zip(wrong, unread, strict=True), 1):
        assert isinstance(item, Unreadable) and item.source == f"x.pkl[{index}]"
        assert message in item.reason and item.reason.startswith(item.source) and item.reason.isprintable()


def test_part_yields_the_same_recordings(tmp_path: Path) -> None:
    whole = open_source("pyskl", _save(tmp_path / "x.pkl", _of_ntu())).read
    assert isinstance(whole, Divisible) and len(whole) == 3
    (only,) = pickle.loads(pickle.dumps(whole.part(1, 2)))()
    np.testing.assert_array_equal(only.positions, list(whole())[1].positions)


def test_option_layout(tmp_path: Path) -> None:
    path = _save(tmp_path / "x.pkl", [_annotation("a", keypoint=_keypoint(1, 4, 20))])
    with pytest.raises(InputError, match=r"20 joints of 3 coordinates are no layout .* kinect-v1"):
        open_source("pyskl", path)
    source = open_source("pyskl", path, layout="kinect-v1")
    assert (source.preset, source.units, next(source.read()).positions.shape) == ("facing", "unknown", (1, 4, 20, 3))


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    return refusing(tmp_path, capsys)


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_malicious_pickle_runs_no_code(tmp_path: Path, refused: Refused, protocol: int) -> None:
    hostile = _Hostile(tmp_path / "ran")
    for content in (hostile, [hostile], [_annotation("a", hostile)], [_annotation("a"), {"x": {"y": hostile}}]):
        path = _save(tmp_path / "x.pkl", content, protocol=protocol)
        line = refused("prepare", "pyskl", path, tmp_path / "clips")
        assert f"{path}: this pickle asks for {os.system.__module__}.system; " in line and "nothing was run" in line
    assert not (tmp_path / "ran").exists()


def test_other_pickles_are_input_errors(tmp_path: Path, refused: Refused) -> None:
    whole = _save(tmp_path / "whole.pkl", _of_ntu()).read_bytes()
    for name, data, message in (
        ("cut.pkl", whole[:-200], "not a whole pickle"),
        ("empty.pkl", b"", "not a whole pickle"),
        ("text.pkl", b"frame_dir label", "not a whole pickle"),
        ("list.pkl", pickle.dumps([1, 2]), "no clip can be read (list.pkl[0]: the annotation is no dict)"),
        ("none.pkl", pickle.dumps({"annotations": []}), "no annotations in it; give"),
        ("split.pkl", pickle.dumps({"annotations": _of_ntu(), "split": {"train": [1]}}), "split is no dict of lists"),
        ("split.pkl", pickle.dumps({"annotations": _of_ntu(), "split": ["a"]}), "split is no dict of lists"),
        ("bare.pkl", pickle.dumps({"annotations": [{"frame_dir": "a"}]}), "no clip can be read (bare.pkl[0]: a: key"),
    ):
        (tmp_path / name).write_bytes(data)
        line = refused("prepare", "pyskl", tmp_path / name, tmp_path / "clips")
        assert f"{tmp_path / name}: {message}" in line
    assert "; give the file itself" in refused("prepare", "pyskl", tmp_path, tmp_path / "clips")
    assert "; give the file itself" in refused("prepare", "pyskl", tmp_path / "absent.pkl", tmp_path / "clips")


SIMPLE = st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3) | st.booleans()
ODD = st.recursive(SIMPLE, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["frame_dir", "label", "keypoint", "total_frames", "img_shape", "annotations", "split"]),
    odd=ODD | st.integers(0, 4) | st.just(np.arange(4.0)) | st.just(np.float32(1.0)) | st.just(np.array(["a", "b"])),
)
@example(key="total_frames", odd=True)
@example(key="total_frames", odd=1)
def test_any_value_of_a_key_is_read_or_unreadable(key: str, odd: Any, tmp_path: Path) -> None:
    annotation = _annotation("a", 1, keypoint=_keypoint(1, 3, 17, 2), img_shape=(10, 20))
    content = {
        "annotations": [annotation, _annotation("b", keypoint=_keypoint(1, 3, 17, 2))],
        "split": {"train": ["a"]},
    }
    (content if key in content else annotation)[key] = odd
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    try:
        source = open_source("pyskl", tmp_path / "x.pkl")
    except InputError as refusal:
        assert "\n" not in str(refusal)
        return
    for item in source.read():
        if isinstance(item, Unreadable):
            assert item.reason.isprintable()
        else:
            # total_frames may also be one or two of the three frames.
            is_total = type(odd) is int and key == "total_frames" and item.name == "a"
            assert item.positions.shape == (1, odd if is_total else 3, 17, 2) and not np.isinf(item.positions).any()
