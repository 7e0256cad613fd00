"""SBU Kinect Interaction: published counts and folds, units, two persons, and invalid files."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import select_part
from i2md.errors import InputError

CLASSES = {
    "approaching": 42,
    "departing": 43,
    "kicking": 40,
    "pushing": 41,
    "shaking hands": 18,
    "hugging": 21,
    "exchanging object": 39,
    "punching": 38,
}


@cache
def _read(folder: Path) -> tuple[Source, list[Recording]]:
    source = open_source("sbu-interaction", folder / "sbu-interaction")
    return source, list(source.read())


def test_published_counts(real_data: Path) -> None:
    source, clips = _read(real_data)
    counts = Counter(source.class_names[clip.label] for clip in clips)
    assert source.count == len(clips) == 282
    assert dict(counts) == CLASSES and tuple(CLASSES) == source.class_names
    assert {clip.positions.shape[0] for clip in clips} == {2}
    assert sum(clip.positions.shape[1] for clip in clips) == 6822
    assert len({clip.name for clip in clips}) == 282
    assert len({clip.setup for clip in clips}) == 21 and {clip.subject for clip in clips} == set(range(1, 8))


def test_folds_are_disjoint_and_cover_all_clips(real_data: Path) -> None:
    source, clips = _read(real_data)
    columns = {"setup": np.array([clip.setup for clip in clips])}
    assert list(source.splits) == [f"fold-{n}" for n in range(1, 6)]
    sizes, tested = [], []
    for split in source.splits.values():
        train, test = (select_part(split[part], columns) for part in ("train", "test"))
        assert sorted([*train, *test]) == list(range(282))
        assert not set(columns["setup"][train]) & set(columns["setup"][test])
        sizes.append(len(test))
        tested += test.tolist()
    assert sizes == [55, 52, 56, 54, 65]
    assert sorted(tested) == list(range(282))


def test_positions_follow_the_published_formula(real_data: Path) -> None:
    _, clips = _read(real_data)
    clip = next(clip for clip in clips if clip.name == "s06s04-07-002")
    assert (clip.label, clip.subject, clip.setup, clip.trial) == (6, 6, 604, 2)
    lines = (real_data / "sbu-interaction" / "SBU" / "s06s04" / "07" / "002" / "skeleton_pos.txt").read_text().split()
    assert clip.positions.shape[1] == len(lines)
    for frame, line in enumerate(lines):
        numbers = [float(field) for field in line.split(",")][1:]
        for at in range(0, 90, 3):
            x, y, z = numbers[at : at + 3]
            millimetres = [1280 - 2560 * x, 960 - 1920 * y, z * 10000 / 7.8125]
            found = clip.positions[at // 45, frame, at % 45 // 3]
            np.testing.assert_allclose(found, np.array(millimetres) / 1000, atol=1e-6)


def _bones(source: Source, positions: np.ndarray) -> np.ndarray:
    parents, children = np.transpose(source.layout.bones)
    return np.linalg.norm(positions[:, :, children] - positions[:, :, parents], axis=-1)


def _wavering(source: Source, clips: list[np.ndarray]) -> float:
    """Relative variation of the bone length within a clip: the median over clips and persons."""
    bones = [_bones(source, clip.astype(np.float64)) for clip in clips]
    return float(np.median([b.std(axis=1) / b.mean(axis=1) for b in bones], axis=(0, 1)).mean())


def _as_pixels(stored: np.ndarray) -> np.ndarray:
    """The positions if x and y were pixels of a 640 x 480 image of the Kinect."""
    depth = 1.28 * stored[..., 2:]
    return np.concatenate([(0.5 - stored[..., :2]) * (640, 480) / 525 * depth, depth], axis=-1)


def test_bone_lengths_are_constant_in_metres_but_not_as_stored_or_as_pixels(real_data: Path) -> None:
    source, clips = _read(real_data)
    metres = [clip.positions for clip in clips]
    assert _wavering(source, metres) < 0.015
    as_stored = [(p - [1.28, 0.96, 0]) / [-2.56, -1.92, 1.28] for p in metres]
    assert _wavering(source, as_stored) > 0.035
    as_pixels = [_as_pixels(stored) for stored in as_stored]
    assert _wavering(source, as_pixels) > 0.035


def _growth(source: Source, clips: list[np.ndarray]) -> float:
    """Exponent with which bone lengths grow with the distance, over all clips and bones: 0 without projection."""
    lengths = np.concatenate([_bones(source, clip) for clip in clips], axis=1).mean(axis=-1)
    depth = np.concatenate([clip[..., 2].mean(axis=-1) for clip in clips], axis=1)
    return float(np.polyfit(np.log(depth).ravel(), np.log(lengths).ravel(), 1)[0])


def test_bone_lengths_do_not_depend_on_distance(real_data: Path) -> None:
    source, clips = _read(real_data)
    metres = [clip.positions for clip in clips]
    assert abs(_growth(source, metres)) < 0.05
    as_stored = [(p - [1.28, 0.96, 0]) / [-2.56, -1.92, 1.28] for p in metres]
    assert _growth(source, [_as_pixels(stored) for stored in as_stored]) > 0.5


def test_persons_have_human_size_and_are_upright(real_data: Path) -> None:
    source, clips = _read(real_data)
    lengths = np.median(np.concatenate([_bones(source, clip.positions) for clip in clips], axis=1), axis=(0, 1))
    length = {source.layout.joints[child]: lengths[i] for i, (_, child) in enumerate(source.layout.bones)}
    for side in ("left", "right"):
        assert 0.26 < length[f"{side} elbow"] < 0.32
        assert 0.40 < length[f"{side} knee"] < 0.46
    at = source.layout.joints.index
    order = ["left foot", "left knee", "left hip", "torso", "neck", "head"]
    heights = np.concatenate([clip.positions[:, :, [at(joint) for joint in order], 1] for clip in clips], axis=1)
    assert (np.diff(np.median(heights, axis=(0, 1))) > 0.1).all()


def _across(clip: Recording, source: Source) -> np.ndarray:
    """Vector from the left to the right shoulder of each person in each frame."""
    at = source.layout.joints.index
    return clip.positions[:, :, at("right shoulder")] - clip.positions[:, :, at("left shoulder")]


def test_right_shoulder_is_on_the_right_when_facing_the_other_person(real_data: Path) -> None:
    source, clips = _read(real_data)
    torso = source.layout.joints.index("torso")
    agree = []
    for clip in clips:
        if source.class_names[clip.label] == "departing":
            continue
        here, there = clip.positions[:, :, torso], clip.positions[::-1, :, torso]
        right = np.cross((there - here) * [1, 0, 1], source.layout.up)
        agree += (np.median((right * _across(clip, source)).sum(axis=-1), axis=1) > 0).tolist()
    assert np.mean(agree) > 0.97


def test_motion_matches_the_class_names(real_data: Path) -> None:
    source, clips = _read(real_data)
    at = source.layout.joints.index
    nearer, closest, leg = ({name: [] for name in CLASSES} for _ in range(3))
    for clip in clips:
        name, p = source.class_names[clip.label], clip.positions
        apart = np.linalg.norm(p[0, :, at("torso")] - p[1, :, at("torso")], axis=-1)
        nearer[name].append(apart[0] - apart[-1])
        closest[name].append(apart.min())
        leg[name].append(np.abs(p[:, :, at("left foot"), 1] - p[:, :, at("right foot"), 1]).max())
    for measure, name in ((nearer, "approaching"), (leg, "kicking")):
        assert max(measure, key=lambda key: np.median(measure[key])) == name
    for measure, name in ((nearer, "departing"), (closest, "hugging")):
        assert min(measure, key=lambda key: np.median(measure[key])) == name


def test_parent_folders_and_zips_give_the_same_clips(real_data: Path, tmp_path: Path, monkeypatch) -> None:
    pair = real_data / "sbu-interaction" / "SBU" / "s05s03"
    expected = [clip.name for clip in _read(real_data)[1] if clip.setup == 503]
    (tmp_path / "zips").mkdir()
    # The publisher has one archive for each pair, some of them without the folder of the pair.
    for name, base in (("a.zip", pair.parent), ("zips/s05s03.zip", pair)):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in pair.rglob("*.txt"):
                archive.write(file, file.relative_to(base).as_posix())

    def names(path: Path) -> list[str]:
        return [clip.name for clip in open_source("sbu-interaction", path).read()]

    assert names(pair) == names(tmp_path / "a.zip") == names(tmp_path / "zips") == expected
    monkeypatch.chdir(pair / "01")
    assert names(Path(".")) == names(Path("../01")) == [name for name in expected if "-01-" in name]


def test_two_copies_are_an_input_error(real_data: Path, tmp_path: Path) -> None:
    for copy in ("one", "two"):
        shutil.copytree(real_data / "sbu-interaction" / "SBU" / "s05s03" / "01", tmp_path / copy / "s05s03" / "01")
    with pytest.raises(InputError, match=r"s05s03/01/001/skeleton_pos\.txt appears twice .*give the folder"):
        open_source("sbu-interaction", tmp_path)


def _line(frame: int = 1, first: str = "0.5", fields: int = 91) -> str:
    return ",".join([str(frame), first, *["0.5"] * (fields - 2)]) + "\n"


def _only(folder: Path, content: str | bytes, folders: str = "s01s02/03/004") -> Recording | Unreadable:
    file = folder / folders / "skeleton_pos.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    (found,) = open_source("sbu-interaction", folder).read()
    return found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (_line(fields=90), "line 1: 90 numbers, not 91"),
        (_line(1) + _line(2, fields=90), "line 2: 90 numbers, not 91"),
        (_line(1) + _line(1), "frame numbers do not increase"),
        (_line(1, first="half"), "line 1: 'half' is not a number"),
        (_line(1, first=""), "line 1: '' is not a number"),
        (_line(1, first="inf"), "frame 0 holds an infinite coordinate"),
        (_line(1, first="1e300"), "infinite coordinate"),
        (_line("nan"), "frame numbers do not increase"),
        (_line(1) + _line(2)[:-1], "the last line does not end"),
        ("\0\1\2\n", "is not a number"),
    ],
)
def test_invalid_text_is_unreadable(text: str, reason: str, tmp_path: Path) -> None:
    found = _only(tmp_path, text)
    assert isinstance(found, Unreadable) and reason in found.reason
    assert "s01s02" in found.reason and "\n" not in found.reason


@pytest.mark.parametrize(
    ("folders", "reason"),
    [
        ("s01s02/09/001", "action 9 is not one of 1 to 8"),
        ("s01s02/01/one", "s01s02/01/one, are not the publisher's"),
        ("pair/01/001", "are not the publisher's"),
    ],
)
def test_invalid_folder_names_are_unreadable(folders: str, reason: str, tmp_path: Path) -> None:
    found = _only(tmp_path, _line(), folders)
    assert isinstance(found, Unreadable) and reason in found.reason


def test_untracked_joint_stays_zero(tmp_path: Path) -> None:
    lost = ",".join(["1", *["0.5"] * 45, "0", "0", "0", *["0.5"] * 42]) + "\n"
    found = _only(tmp_path, lost)
    seen = found.positions.any(axis=-1)[:, 0]
    assert seen[0].all() and seen[1].tolist() == [False] + [True] * 14


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncated_file_has_the_same_frames_or_is_unreadable(real_data: Path, tmp_path_factory, data) -> None:
    _, clips = _read(real_data)
    file = real_data / "sbu-interaction" / "SBU" / "s01s02" / "01" / "001" / "skeleton_pos.txt"
    whole = file.read_bytes()
    size = data.draw(st.integers(0, len(whole)))
    found = _only(tmp_path_factory.mktemp("cut"), whole[:size])
    if isinstance(found, Recording):
        np.testing.assert_array_equal(found.positions, clips[0].positions[:, : found.positions.shape[1]])
    else:
        assert "\n" not in found.reason


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 91 * 3 - 1),
    token=st.sampled_from(["", "x", "nan", "inf", "-", "1e999", "0.5 0.5", "\0", "#", "0,0", "1\n", "0.25", "0"]),
)
def test_changed_token_changes_one_number_or_is_unreadable(tmp_path_factory, at: int, token: str) -> None:
    sound = [_line(frame) for frame in (1, 2, 3)]
    fields = [field for line in sound for field in line.strip().split(",")]
    changed = [*fields[:at], token, *fields[at + 1 :]]
    text = "".join(",".join(changed[i : i + 91]) + "\n" for i in (0, 91, 182))
    before = _only(tmp_path_factory.mktemp("sound"), "".join(sound)).positions
    found = _only(tmp_path_factory.mktemp("changed"), text)
    if isinstance(found, Recording):
        assert re.fullmatch(r"[\d.]+|nan", token.strip())
        assert found.positions.shape == before.shape
        # Only the joint whose number is changed differs, or one that becomes all zero.
        assert (found.positions != before).any(axis=-1).sum() <= 1
    else:
        assert "\n" not in found.reason


def test_prepared_clips_are_in_metres_with_both_persons(real_data: Path, tmp_path: Path) -> None:
    clips = prepare("sbu-interaction", real_data / "sbu-interaction" / "SBU" / "s01s07", tmp_path / "clips")
    assert clips.dataset.units == "m" and clips.max_persons == 2
    assert clips.dataset.report["left_out_files"] == []
    torso = clips.dataset.layout.joints.index("torso")
    assert all(np.abs(clip[0, 0, torso]).max() < 1e-6 for clip in clips)
    assert clips.default_split() == "fold-1"
