"""Axis orders of arrays and pickles: one rule, the same for every reader."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest

from i2md.data.readers import open_source
from i2md.data.readers.arrays.axis_order import check_axes
from i2md.data.readers.files import BadFile
from i2md.data.recording import Recording, Unreadable
from i2md.errors import InputError
from i2md.skeletons import get_layout

CLIPS, FRAMES, JOINTS = 4, 30, 25
SIZES = {"persons": 2, "frames": FRAMES, "joints": JOINTS, "channels": 3}
AXES = tuple(SIZES)
ORDERS = list(itertools.permutations(AXES))


def _array(order: tuple[str, ...], *first: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*first, *(SIZES[axis] for axis in order))).astype(np.float32)


@pytest.mark.parametrize("wanted", ORDERS, ids="-".join)
def test_of_all_orders_only_the_wanted_one_passes(wanted: tuple[str, ...]) -> None:
    for order in ORDERS:
        shape = _array(order).shape
        if order == wanted:
            check_axes(shape, wanted, get_layout("kinect-v2"))
        else:
            with pytest.raises(BadFile, match="give the axes in the order") as caught:
                check_axes(shape, wanted, get_layout("kinect-v2"))
            transposition = eval(str(caught.value).partition("np.transpose(array, ")[2].rstrip(")") + ")")
            assert np.zeros(shape).transpose(transposition).shape == tuple(SIZES[axis] for axis in wanted)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_file_of_arrays_in_another_order_is_refused(order: tuple[str, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", positions=_array(order, CLIPS))
    if order == ("frames", "persons", "joints", "channels"):
        assert [clip.positions.shape for clip in open_source("arrays", tmp_path / "x.npz").read()] == [
            (2, FRAMES, JOINTS, 3)
        ] * CLIPS
    else:
        with pytest.raises(InputError, match=r"order \(clips, frames, persons, joints, channels\): np.transpose"):
            open_source("arrays", tmp_path / "x.npz")


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_folder_of_arrays_in_another_order_is_refused(order: tuple[str, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", _array(order))
    (clip,) = open_source("arrays", tmp_path).read()
    if order == ("frames", "persons", "joints", "channels"):
        assert isinstance(clip, Recording) and clip.positions.shape == (2, FRAMES, JOINTS, 3)
    else:
        assert isinstance(clip, Unreadable) and "order (frames, persons, joints, channels)" in clip.reason


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_pickle_in_another_order_is_refused(order: tuple[str, ...], tmp_path: Path) -> None:
    annotations = [{"frame_dir": f"clip {i}", "label": 0, "keypoint": _array(order)} for i in range(3)]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    if order == AXES:
        assert [clip.positions.shape for clip in open_source("pyskl", tmp_path / "x.pkl").read()] == [
            (2, FRAMES, JOINTS, 3)
        ] * 3
    else:
        with pytest.raises(
            InputError, match=r"people in|no layout that comes with i2md fits|25 joints of 2 coordinates"
        ):
            open_source("pyskl", tmp_path / "x.pkl")


def test_channels_first_array_of_17_joints_and_two_persons_is_refused(tmp_path: Path) -> None:
    """(N, C, T, V, M) looks like 2-D positions: two persons stand where two channels should."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(5, 3, 300, 17, 2)))
    for layout in ("coco-17", "h36m-17"):
        with pytest.raises(InputError, match=r"give the axes in the order .*transpose\(array, \(0, 2, 4, 3, 1\)\)"):
            open_source("arrays", tmp_path / "x.npy", layout=layout)


@pytest.mark.parametrize("layout", ["kinect-v1", "mediapipe-33"])
@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("persons", [None, 1, 2])
def test_the_array_decides_whether_positions_are_2d_or_3d(
    tmp_path: Path, layout: str, channels: int, persons: int | None
) -> None:
    joints = len(get_layout(layout).joints)
    shape = (30, joints, channels) if persons is None else (30, persons, joints, channels)
    clip = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / "x.npy", np.stack([clip, clip]))
    (tmp_path / "clips").mkdir()
    np.save(tmp_path / "clips" / "x.npy", clip)
    for path in (tmp_path / "x.npy", tmp_path / "clips"):
        source = open_source("arrays", path, layout=layout)
        assert (source.layout.channels, source.preset) == (channels, "none" if channels == 2 else "facing")
        assert next(iter(source.read())).positions.shape == (persons or 1, 30, joints, channels)


def test_clips_of_a_folder_are_all_2d_or_all_3d(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, channels in (("a", 2), ("b", 3), ("c", 2)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(30, 17, channels)))
    (tmp_path / "0.npy").write_bytes(b"damaged")
    source = open_source("arrays", tmp_path, layout="coco-17")
    damaged, *read = source.read()
    assert isinstance(damaged, Unreadable) and source.layout.channels == 2
    assert [isinstance(clip, Unreadable) for clip in read] == [False, True, False]
    assert "17 joints of 3 coordinates, but layout coco-17 has 17 of 2" in read[1].reason


def test_single_clip_instead_of_a_batch_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 2, 25, 3)))
    with pytest.raises(InputError, match="100 clips of 2 frames; if it is one clip of 2 persons"):
        open_source("arrays", tmp_path / "x.npy")
    (tmp_path / "clip").mkdir()
    (tmp_path / "x.npy").rename(tmp_path / "clip" / "x.npy")
    (clip,) = open_source("arrays", tmp_path / "clip").read()
    assert clip.positions.shape == (2, 100, 25, 3)


def test_joints_that_fit_no_layout_are_refused_without_naming_one(tmp_path: Path) -> None:
    annotations = [{"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 24, 13, 2), np.float32)}]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    with pytest.raises(
        InputError, match=r"no layout that comes with i2md fits: edit a copy .*, give --layout my.yaml"
    ) as caught:
        open_source("pyskl", tmp_path / "x.pkl")
    assert "kinect" not in str(caught.value)
    annotations[0]["keypoint"] = np.ones((1, 24, 33, 3), np.float32)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"annotations": annotations}))
    with pytest.raises(InputError, match="layouts that fit: mediapipe-33"):
        open_source("pyskl", tmp_path / "x.pkl")


def test_bare_list_of_annotations_is_read_without_a_split(tmp_path: Path) -> None:
    annotations = [{"frame_dir": f"clip {i}", "label": i, "keypoint": _array(AXES)} for i in range(3)]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(annotations))
    source = open_source("pyskl", tmp_path / "x.pkl")
    assert [(clip.name, clip.label) for clip in source.read()] == [(f"clip {i}", i) for i in range(3)]
    assert source.splits == {}
