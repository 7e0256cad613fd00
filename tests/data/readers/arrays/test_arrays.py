"""The format `arrays`: one .npy or .npz of clips."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2md.data.readers import open_source
from i2md.data.recording import Divisible, Unreadable
from i2md.data.splits import select_part
from i2md.errors import InputError


def _clips(count: int = 4, frames: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, frames, 25, 3)).astype(np.float32)


def _save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_npy_gives_its_clips(tmp_path: Path) -> None:
    positions = _clips().astype(np.float64)
    np.save(tmp_path / "walk.npy", positions)
    source = open_source("arrays", tmp_path / "walk.npy", fps=25.0)
    recordings = list(source.read())
    assert source.count == 4 and [clip.name for clip in recordings] == [
        "clip-0",
        "clip-1",
        "clip-2",
        "clip-3",
    ]
    for clip, expected in zip(recordings, positions, strict=True):
        np.testing.assert_array_equal(clip.positions, expected[None].astype(np.float32))
        assert (clip.label, clip.subject, clip.fps) == (-1, -1, 25.0)
    recordings[0].positions[:] = 0
    assert np.load(tmp_path / "walk.npy").any(axis=(1, 2, 3)).all()


def test_npz_with_all_keys(tmp_path: Path) -> None:
    path = _save(
        tmp_path / "walk.npz",
        positions=_clips(),
        lengths=np.array([6, 1, 3, 5]),
        labels=np.array(["sit", "run", "sit", "fall"]),
        names=np.array(["d", "c", "b", "a"]),
        subjects=np.array([7, 7, 8, 9]),
        train=np.array([0, 3]),
        test=np.array([1]),
    )
    source = open_source("arrays", path)
    recordings = list(source.read())
    assert [clip.positions.shape[1] for clip in recordings] == [6, 1, 3, 5]
    assert [source.class_names[clip.label] for clip in recordings] == ["sit", "run", "sit", "fall"]
    assert [clip.subject for clip in recordings] == [7, 7, 8, 9]
    columns = {"name": np.array([clip.name for clip in recordings], dtype=object)}
    parts = {part: select_part(which, columns).tolist() for part, which in source.splits["given"].items()}
    assert parts == {"train": [0, 3], "test": [1]}


def test_split_as_strings(tmp_path: Path) -> None:
    words = np.array(["train", "val", "train", "test"])
    source = open_source("arrays", _save(tmp_path / "walk.npz", positions=_clips(), split=words))
    assert {part: which["name"] for part, which in source.splits["given"].items()} == {
        "train": ("clip-0", "clip-2"),
        "val": ("clip-1",),
        "test": ("clip-3",),
    }


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5), persons=st.integers(1, 3))
def test_trailing_zeros_are_not_frames(
    lengths: list[int], persons: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    positions = np.zeros((len(lengths), 7, persons, 25, 3))
    for clip, length in zip(positions, lengths, strict=True):
        # Zeros within a clip are not trailing zeros.
        clip[length - 1, 0, 4] = clip[0, -1, 2] = 1.0
    path = _save(tmp_path_factory.mktemp("tail") / "walk.npz", positions=positions)
    for clip, length, expected in zip(open_source("arrays", path).read(), lengths, positions, strict=True):
        present = expected[:length].swapaxes(0, 1)[sorted({0, persons - 1})]
        np.testing.assert_array_equal(clip.positions, present)


def test_clip_with_an_infinite_coordinate_is_unreadable_and_named_by_index(tmp_path: Path) -> None:
    positions = _clips()
    positions[2, 3, 1, 0] = np.inf
    np.save(tmp_path / "walk.npy", positions)
    found = list(open_source("arrays", tmp_path / "walk.npy").read())
    assert [type(item) is Unreadable for item in found] == [False, False, True, False]
    assert "walk.npy: clip 2: frame 3 holds" in found[2].reason


def test_wrong_number_of_joints_names_the_layouts_that_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "walk.npy", np.ones((2, 5, 20, 3)))
    with pytest.raises(InputError, match=r"20 joints .* kinect-v2 has 25 .* fit: kinect-v1"):
        open_source("arrays", tmp_path / "walk.npy")
    (first, _) = open_source("arrays", tmp_path / "walk.npy", layout="kinect-v1").read()
    assert first.positions.shape == (1, 5, 20, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(3, int)}, r"labels have shape \(3,\) for 4 clips"),
        ({"labels": np.zeros(4)}, "labels are float64 values; give whole numbers"),
        (
            {"labels": np.array([0, 1, 2, 3]), "class_names": np.array(["a", "b"])},
            "labels are outside -1 to 1",
        ),
        ({"labels": np.array(["a", "b", "c", "a"]), "class_names": np.array(["a", "b"])}, "'c' is not among"),
        ({"lengths": np.array([1, 2, 3, 7])}, "lengths are outside 0 to 6"),
        ({"names": np.array(["a", "b", "a", "c"])}, "names are not unique"),
        ({"train": np.array([4])}, "train counts clip 4 of 4"),
        ({"test": np.array([-1])}, "test must be indices"),
        ({"positions": np.ones((4, 6, 25))}, "positions are float64 of shape"),
        ({"positions": np.ones((0, 6, 25, 3))}, "positions are float64 of shape"),
        ({"positions": np.asfortranarray(_clips())}, "stored in Fortran order"),
        ({"positions": np.array([None, 1])}, "not arrays that can be read"),
        ({"names": np.array([None] * 4)}, "not arrays that can be read"),
    ],
)
def test_inconsistent_keys_are_input_errors(changes: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    path = _save(tmp_path / "walk.npz", **({"positions": _clips()} | changes))
    with pytest.raises(InputError, match=message) as raised:
        open_source("arrays", path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_file_without_arrays_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no key positions in it, only poses"):
        open_source("arrays", _save(tmp_path / "other.npz", poses=_clips()))
    with pytest.raises(InputError, match=r"no \.npy or \.npz file found"):
        open_source("arrays", tmp_path / "absent.npy")
    np.save(tmp_path / "cut.npy", _clips())
    for name, data in (
        ("cut.npy", (tmp_path / "cut.npy").read_bytes()[:-9]),
        ("not.npz", b"PK no"),
        ("e.npy", b""),
        ("swapped.npz", (tmp_path / "cut.npy").read_bytes()),
        ("swapped.npy", (tmp_path / "other.npz").read_bytes()),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="not arrays that can be read"):
            open_source("arrays", tmp_path / name)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_part_yields_the_same_recordings(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "walk.npz", positions=_clips(7), lengths=np.arange(6, -1, -1), names=np.array(list("abcdefg")))
    np.save(tmp_path / "walk.npy", _clips(7))
    for name in ("walk.npy", "walk.npz"):
        source = open_source("arrays", tmp_path / name)
        # A compressed array can only be read from its start.
        if name == "walk.npz" and save is np.savez_compressed:
            assert not isinstance(source.read, Divisible)
            continue
        assert isinstance(source.read, Divisible) and len(source.read) == 7
        whole = list(source.read())
        parts = [list(pickle.loads(pickle.dumps(source.read.part(*cut)))()) for cut in ((0, 2), (2, 3), (3, 7))]
        for one, other in zip(whole, itertools.chain(*parts), strict=True):
            assert one.source == other.source
            if isinstance(one, Unreadable):
                assert one == other
            else:
                np.testing.assert_array_equal(one.positions, other.positions)


def test_damage_inside_an_npz_is_an_input_error_while_reading(tmp_path: Path) -> None:
    path = _save(tmp_path / "walk.npz", positions=_clips(count=50))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="not arrays that can be read"):
        list(open_source("arrays", path).read())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["walk.npy", "walk.npz", "small.npz"]))
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_damaged_file_is_an_input_error_or_read(data: st.DataObject, name: str, tmp_path: Path) -> None:
    clips = _clips(count=2, frames=2)
    if name == "walk.npy":
        np.save(tmp_path / name, clips)
    else:
        (np.savez if name == "walk.npz" else np.savez_compressed)(tmp_path / name, positions=clips)
    whole = bytearray((tmp_path / name).read_bytes())
    headers = st.integers(0, 200) | st.integers(len(whole) - 200, len(whole) - 1)
    for position in data.draw(st.lists(headers, min_size=1, max_size=3)):
        whole[position] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]))
    try:
        for clip in open_source("arrays", tmp_path / name).read():
            assert isinstance(clip, Unreadable) or clip.positions.shape[2:] == (25, 3)
    except InputError as refused:
        assert "\n" not in str(refused) and str(refused).startswith(str(tmp_path / name))


@pytest.mark.parametrize("key", ["labels", "subjects", "lengths"])
def test_numbers_beyond_64_bits_are_refused(key: str, tmp_path: Path) -> None:
    numbers = np.array([0, 2**63 + 5], dtype=np.uint64)
    np.savez(tmp_path / "x.npz", positions=np.ones((2, 5, 25, 3)), **{key: numbers})
    with pytest.raises(InputError, match=f"{key} do not fit 64 bits"):
        open_source("arrays", tmp_path / "x.npz")


def test_a_label_of_a_billion_takes_no_memory(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", positions=np.ones((2, 5, 25, 3)), labels=np.array([0, 10**9]))
    with pytest.raises(InputError, match="label 1000000000 is not one of at most 100000 classes counted from 0"):
        open_source("arrays", tmp_path / "x.npz")
