"""NTU RGB+D: golden numbers of the reference implementation, published counts, and invalid files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.readers import open_source
from i2md.data.readers.files import BadFile
from i2md.data.readers.ntu_rgbd import choose_persons, parse_skeleton
from i2md.data.readers.ntu_rgbd_splits import class_names, columns_of, missing_names, splits_for
from i2md.data.recording import Recording, Unreadable
from i2md.data.splits import select_part

SHORT = "S005C001P010R001A009"


@pytest.fixture(scope="module")
def short(golden: Path) -> bytes:
    """A valid file of two frames and one body."""
    return (golden / "ntu-rgbd" / f"{SHORT}.skeleton").read_bytes()


def test_positions_equal_the_reference_implementation(golden: Path) -> None:
    published = np.load(golden / "ntu_preparation.npz")
    source = open_source("ntu-rgbd", golden)
    recordings = list(source.read())
    assert source.count == len(recordings) == 6
    for recording in recordings:
        expected = published[f"{recording.name}/raw"].transpose(3, 1, 2, 0)
        persons = 2 if expected[1].any() else 1
        assert recording.positions.dtype == np.float32
        np.testing.assert_allclose(recording.positions, expected[:persons], atol=1e-5)


def test_columns_come_from_the_name(golden: Path) -> None:
    source = open_source("ntu-rgbd", golden / "ntu-rgbd" / "S020C002P041R001A103.skeleton")
    (clip,) = source.read()
    assert (clip.setup, clip.camera, clip.subject, clip.trial, clip.label) == (20, 2, 41, 1, 102)
    assert source.class_names[clip.label] == "yawn" and len(source.class_names) == 120
    small = open_source("ntu-rgbd", golden / "ntu-rgbd" / f"{SHORT}.skeleton")
    assert len(small.class_names) == 60 and set(small.splits) == {"xsub", "xview"}


def _slowly(data: bytes) -> np.ndarray:
    """Read every number of the file in turn, body after body."""
    tokens = iter(data.split())
    frames = int(next(tokens))
    bodies = np.zeros((6, frames, 25, 3))
    for frame in range(frames):
        for body in range(int(next(tokens))):
            fields = [next(tokens) for _ in range(10)]
            assert len(fields) == 10 and int(next(tokens)) == 25
            for joint in range(25):
                bodies[body, frame, joint] = [float(next(tokens)) for _ in range(12)][:3]
    return bodies[:4]


def test_parser_agrees_with_a_slow_formulation(golden: Path) -> None:
    for file in sorted((golden / "ntu-rgbd").glob("*.skeleton")):
        slow, fast = _slowly(file.read_bytes()), parse_skeleton(file.read_bytes())
        np.testing.assert_array_equal(fast, slow[: len(fast)])
        assert not slow[len(fast) :].any()


def test_two_bodies_with_the_highest_energy_are_chosen() -> None:
    rng = np.random.default_rng(0)
    bodies = rng.normal(size=(4, 10, 25, 3)) * np.array([1, 5, 0, 3])[:, None, None, None]
    np.testing.assert_array_equal(choose_persons(bodies), bodies[[1, 3]])
    # Frames without the body do not count: the first is present in two frames only, but moves most in them.
    bodies[0, :2] *= 100
    bodies[0, 2:] = 0
    np.testing.assert_array_equal(choose_persons(bodies), bodies[[0, 1]])


def test_file_without_bodies_is_one_person_of_zeros() -> None:
    assert choose_persons(parse_skeleton(b"3\n0\n0\n0\n")).shape == (1, 3, 25, 3)


def _names(file: Path) -> list[str]:
    return re.findall(r"^S\d{3}C\d{3}P\d{3}R\d{3}A\d{3}$", file.read_text(), re.MULTILINE)


def test_missing_samples_equal_the_published_list(real_data: Path) -> None:
    lists = real_data / "ntu-rgbd"
    assert missing_names() == {*_names(lists / "missing_skeletons_120.txt")} and len(missing_names()) == 535
    assert {*_names(lists / "missing_skeletons_60.txt")} < missing_names()
    assert not missing_names() & {*_names(lists / "available_names_120.txt")}


def test_class_names_equal_the_published_ones(real_data: Path) -> None:
    lines = (real_data / "ntu-rgbd" / "classes_120.tsv").read_text(encoding="utf-8").splitlines()
    assert class_names() == tuple(line.split("\t")[1] for line in lines)


@pytest.mark.parametrize(
    ("listed", "sizes"),
    [
        ("available_names_60.txt", {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}),
        (
            "available_names_120.txt",
            {
                "xsub": (40_091, 16_487),
                "xview": (37_646, 18_932),
                "xsub120": (63_026, 50_919),
                "xset120": (54_468, 59_477),
            },
        ),
    ],
)
def test_published_split_sizes(listed: str, sizes: dict[str, tuple[int, int]], real_data: Path) -> None:
    columns = columns_of(_names(real_data / "ntu-rgbd" / listed))
    counted = {
        name: tuple(len(select_part(split[part], columns)) for part in ("train", "test"))
        for name, split in splits_for(columns).items()
    }
    assert counted == sizes


def test_missing_samples_are_left_out_and_counted(short: bytes, tmp_path: Path) -> None:
    for name in (SHORT, "S001C002P005R002A008"):
        (tmp_path / f"{name}.skeleton").write_bytes(short)
    source = open_source("ntu-rgbd", tmp_path)
    assert source.count == 1 and [clip.name for clip in source.read()] == [SHORT]


def test_unknown_names_are_unreadable(short: bytes, tmp_path: Path) -> None:
    (tmp_path / f"{SHORT} (1).skeleton").write_bytes(short)
    (tmp_path / "S001C001P001R001A121.skeleton").write_bytes(short)
    reasons = [found.reason for found in open_source("ntu-rgbd", tmp_path).read()]
    assert "action 121 is not one of 1 to 120" in reasons[0] and "the name does not give action" in reasons[1]


def _edit(data: bytes, line: int, old: bytes, new: bytes) -> bytes:
    lines = data.split(b"\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return b"\n".join(lines)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b" \r\n"])
def test_line_endings_do_not_matter(ending: bytes, short: bytes) -> None:
    changed = short.replace(b"\r", b"").replace(b"\n", ending)
    np.testing.assert_array_equal(parse_skeleton(changed), parse_skeleton(short))


def test_spacing_does_not_matter(short: bytes) -> None:
    changed = _edit(short, 5, b" ", b"  ")
    np.testing.assert_array_equal(parse_skeleton(changed), parse_skeleton(short))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "is not a frame count"),
        (lambda data: data[: len(data) // 2], "cut short|does not start with x y z|fields"),
        (lambda data: _edit(data, 6, b".", b". "), "line 6: 13 fields, not 12"),
        (lambda data: _edit(data, 7, b".", b",."), "line 7: .* does not start with x y z"),
        (lambda data: _edit(data, 4, b"25", b"24"), "line 4: 24 joints, not 25"),
        (lambda data: _edit(data, 2, b"1", b"7"), "line 2: '7' is not a body count of 0 to 6"),
        (lambda data: _edit(data, 1, b"2", b"3"), "cut short|is not a body count"),
        (lambda data: _edit(data, 1, b"2", b"1"), "text after the last of the frames announced"),
        (lambda data: _edit(data, 1, b"2", b"9" * 5000), "is not a frame count"),
        (lambda data: bytes(range(256)) * 40, "is not a frame count"),
    ],
)
def test_invalid_file_names_the_line(damage, reason: str, short: bytes) -> None:
    with pytest.raises(BadFile, match=reason) as raised:
        parse_skeleton(damage(short))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [b"inf", b"1e300"])
def test_infinite_coordinate_is_unreadable(value: bytes, short: bytes, tmp_path: Path) -> None:
    line = short.split(b"\n")[4].split()
    (tmp_path / f"{SHORT}.skeleton").write_bytes(_edit(short, 5, line[1], value))
    (found,) = open_source("ntu-rgbd", tmp_path).read()
    assert isinstance(found, Unreadable) and "infinite coordinate" in found.reason


@pytest.fixture(scope="module")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("skeletons") / f"{SHORT}.skeleton"


def _read_one(drawer: Path, data: bytes) -> Recording | Unreadable:
    drawer.write_bytes(data)
    (found,) = open_source("ntu-rgbd", drawer).read()
    return found


def _sound(found: Recording | Unreadable) -> bool:
    if isinstance(found, Unreadable):
        return "\n" not in found.reason
    return found.positions.shape[2:] == (25, 3) and not np.isinf(found.positions).any()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_truncated_file_is_a_clip_or_unreadable(data: st.DataObject, short: bytes, drawer: Path) -> None:
    size = data.draw(st.integers(0, len(short)))
    found = _read_one(drawer, short[:size])
    assert _sound(found)
    if size < len(short) * 0.99:
        assert isinstance(found, Unreadable)


TOKENS = st.one_of(
    st.sampled_from([b"", b"-", b"25", b"0", b"1", b"6", b"-1", b"nan", b"1e999", b"1 2", b"1\n2", b"9" * 30]),
    st.binary(max_size=12),
)


@settings(max_examples=250, deadline=None)
@given(data=st.data(), token=TOKENS)
def test_changed_token_is_a_clip_or_unreadable(data: st.DataObject, token: bytes, short: bytes, drawer: Path) -> None:
    spans = [match.span() for match in re.finditer(rb"\S+", short)]
    # The counts are on the first lines and determine how the rest is read: half of the draws change them.
    start, end = data.draw(st.one_of(st.sampled_from(spans[:16]), st.sampled_from(spans)))
    found = _read_one(drawer, short[:start] + token + short[end:])
    assert _sound(found)
    if isinstance(found, Recording):
        assert found.positions.shape == (1, 2, 25, 3)
