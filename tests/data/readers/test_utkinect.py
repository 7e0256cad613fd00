"""UTKinect-Action3D: the real recordings, and invalid files."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2md.cli.main import main
from i2md.data.readers import open_source
from i2md.data.readers.files import BadFile
from i2md.data.readers.utkinect import CLASS_NAMES, parse_joints, parse_labels
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import select_part
from i2md.data.store import open_clips
from i2md.errors import InputError


@cache
def _read(folder: Path) -> tuple[Source, list[Recording], list[Recording]]:
    source = open_source("utkinect-action3d", folder / "utkinect-action3d")
    clips, whole = list(source.read()), list(source.untrimmed.read())
    assert all(isinstance(item, Recording) for item in [*clips, *whole])
    return source, clips, whole


def test_published_counts(real_data: Path) -> None:
    source, clips, whole = _read(real_data)
    assert (source.count, len(clips)) == (199, 199) and (source.untrimmed.count, len(whole)) == (20, 20)
    per_class = np.bincount([clip.label for clip in clips])
    assert dict(zip(CLASS_NAMES, per_class.tolist(), strict=True)) == dict.fromkeys(CLASS_NAMES, 20) | {"carry": 19}
    assert {(clip.subject, clip.trial) for clip in clips} == {(s, e) for s in range(1, 11) for e in (1, 2)}
    assert source.left_out["an action whose frames are NaN NaN"] == 1
    assert sum(source.left_out.values()) == 1
    assert len({clip.name for clip in clips}) == 199
    assert [len(recording.intervals) for recording in whole] == [10] * 19 + [9]


def test_split_is_odd_and_even_subjects(real_data: Path) -> None:
    source, clips, whole = _read(real_data)
    for recordings, expected in ((clips, (100, 99)), (whole, (10, 10))):
        columns = {"subject": np.array([recording.subject for recording in recordings])}
        parts = [select_part(source.splits["xsub"][part], columns) for part in ("train", "test")]
        assert (len(parts[0]), len(parts[1])) == expected


def test_clips_are_the_frames_of_the_label_file(real_data: Path) -> None:
    """A slow formulation with float() and dictionaries: for each frame number the first line, in order."""
    _, clips, whole = _read(real_data)
    found = {clip.name: clip.positions[0] for clip in clips}
    folder = real_data / "utkinect-action3d"
    seen, lines, of = set(), {}, ""
    for line in (folder / "actionLabel_modified.txt").read_text().splitlines():
        if "_e" in line:
            of = line.strip()
            lines = {}
            for row in (folder / f"joints_{of}.txt").read_text().splitlines():
                number, *values = row.split()
                lines.setdefault(int(number), [float(value) for value in values])
            (recording,) = [recording for recording in whole if recording.name == of]
            assert recording.positions.shape == (1, len(lines), 20, 3)
        elif ":" in line and "NaN" not in line:
            action, numbers = line.split(":")
            first, last = map(int, numbers.split())
            expected = [values for number, values in sorted(lines.items()) if first <= number <= last]
            clip = found[f"{of}_{action}"]
            np.testing.assert_array_equal(clip, np.array(expected, "f4").reshape(-1, 20, 3))
            (interval,) = [
                interval
                for interval in recording.intervals
                if np.array_equal(recording.positions[0, interval.start : interval.end], clip)
            ]
            assert CLASS_NAMES[interval.label].replace(" ", "") == action.lower()
            seen.add(f"{of}_{action}")
    assert seen == set(found)


def test_joints_are_in_the_order_of_the_layout(real_data: Path) -> None:
    source, _, whole = _read(real_data)
    at = {name: j for j, name in enumerate(source.layout.joints)}
    parents, children = np.transpose(source.layout.bones)
    wobble = []
    for recording in whole:
        x = recording.positions[0].astype(np.float64)
        bones = np.linalg.norm(x[:, children] - x[:, parents], axis=-1)
        wobble.append(bones.std(axis=0) / bones.mean(axis=0))
        middle = np.median(x, axis=0)
        heights = [middle[at[joint], 1] for joint in ("left ankle", "left knee", "hip centre", "shoulder centre")]
        assert (np.diff([*heights, middle[at["head"], 1]]) > 0.1).all()
        assert middle[:, 1].argmax() == at["head"]
        ahead = x[:, [at["left foot"], at["right foot"]]] - x[:, [at["left ankle"], at["right ankle"]]]
        right = np.cross(ahead.sum(axis=1) * [1, 0, 1], source.layout.up)
        across = x[:, at["right shoulder"]] - x[:, at["left shoulder"]]
        assert np.median((right * across).sum(axis=1)) > 0
        assert 1.3 < middle[at["head"], 1] - middle[at["left foot"], 1] < 1.8
    # Excluded: wrist and hand are only 8 cm apart, close to the sensor noise.
    hands = np.array(["hand" in source.layout.joints[j] for j in children])
    assert (np.median(wobble, axis=0) < np.where(hands, 0.4, 0.2)).all()


def test_frame_rate_agrees_with_the_stride_of_a_walk(real_data: Path) -> None:
    """A stride takes 1.1 to 2.2 s at this frame rate; at twice or half the rate it would not."""
    _, clips, _ = _read(real_data)
    strides = []
    for clip in clips:
        if clip.label == 0:
            apart = clip.positions[0, :, 14, 2] - clip.positions[0, :, 18, 2]
            apart = apart - apart.mean()
            likeness = np.correlate(apart, apart, "full")[len(apart) - 1 :]
            below = int(np.argmax(likeness < 0))
            strides.append((below + np.argmax(likeness[below:])) / clip.fps)
    assert 1.1 < np.median(strides) < 2.2


def test_typo_of_the_published_labels_is_corrected_and_reported(real_data: Path, tmp_path: Path) -> None:
    for name in ("actionLabel.txt", "joints_s03_e01.txt"):
        shutil.copy(real_data / "utkinect-action3d" / name, tmp_path)
    source = open_source("utkinect-action3d", tmp_path)
    (push,) = [clip for clip in source.read() if clip.name.endswith("push")]
    np.testing.assert_array_equal(
        push.positions, next(c for c in _read(real_data)[1] if c.name == "s03_e01_push").positions
    )
    assert source.left_out["s03_e01 push: 2556 3622 in the label file, read as push: 3556 3622"] == 1
    assert source.left_out["in the label file without a recording, such as s01_e01"] == 19
    assert source.count == 10


def test_prepare_command(real_data: Path, tmp_path: Path) -> None:
    source = str(real_data / "utkinect-action3d")
    assert main(["prepare", "utkinect-action3d", source, str(tmp_path / "clips")]) == 0
    clips = open_clips(tmp_path / "clips")
    assert len(clips) == 199 and clips.dataset.preparation == "facing"
    assert (len(clips.part("xsub", "train")), len(clips.part("xsub", "test"))) == (100, 99)
    assert clips.dataset.report["not_read"]["an action whose frames are NaN NaN"] == 1


def _row(number: float, value: float = 1.0) -> str:
    return f"{number}   " + "  ".join([f"{value:f}"] * 60) + "  \n"


def _write(folder: Path, joints: str, labels: str) -> Path:
    (folder / "joints_s01_e01.txt").write_text(joints)
    (folder / "actionLabel.txt").write_text(labels)
    return folder


def test_first_row_of_a_repeated_frame_number_is_kept(tmp_path: Path) -> None:
    joints = _row(2, 1) + _row(4, 2) + _row(4, 3) + _row(4, 4) + _row(90, 5)
    source = open_source("utkinect-action3d", _write(tmp_path, joints, "s01_e01\nwalk: 4 90\nthrow: 1 3 \n"))
    walk, throw = source.read()
    assert walk.positions[0, :, 0, 0].tolist() == [2, 5] and throw.positions[0, :, 0, 0].tolist() == [1]
    (whole,) = source.untrimmed.read()
    assert whole.positions[0, :, 19, 2].tolist() == [1, 2, 5]
    assert [tuple(interval) for interval in whole.intervals] == [(1, 3, 0), (0, 1, 5)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("walk: 6 2", "it ends before it starts"),
        ("walk: 100 200", "it has no frame"),
        ("walk: 5 5", "it has no frame"),
    ],
)
def test_interval_without_frames_is_unreadable_and_others_are_read(line: str, reason: str, tmp_path: Path) -> None:
    joints = _row(2) + _row(4) + _row(6)
    source = open_source("utkinect-action3d", _write(tmp_path, joints, f"s01_e01\n{line}\npull: 2 6\n"))
    bad, good = source.read()
    text = f"joints_s01_e01.txt: s01_e01_walk: line 2 of its label file, '{line}': {reason}"
    assert isinstance(bad, Unreadable) and bad.reason == text
    assert good.label == 7
    (whole,) = source.untrimmed.read()
    assert [interval.label for interval in whole.intervals] == [7]


def test_recording_without_labels_is_untrimmed_only(tmp_path: Path) -> None:
    _write(tmp_path, _row(2), "s02_e01\nwalk: 4 90\n")
    (tmp_path / "joints_s02_e01.txt").write_text(_row(4))
    source = open_source("utkinect-action3d", tmp_path)
    assert [clip.name for clip in source.read()] == ["s02_e01_walk"]
    whole, _ = source.untrimmed.read()
    assert whole.intervals == () and whole.positions.shape == (1, 1, 20, 3)
    assert source.left_out["labels of recordings that the label file does not name, such as s01_e01"] == 1


def test_label_file_of_other_recordings_is_an_input_error(tmp_path: Path) -> None:
    _write(tmp_path, _row(2), "s02_e01\nwalk: 4 90\n")
    with pytest.raises(InputError, match=r"none of the 1 names in the label file .* names s02_e01, .* like s01_e01"):
        open_source("utkinect-action3d", tmp_path)


@pytest.mark.parametrize(
    ("joints", "reason"),
    [
        ("", "empty"),
        (_row(2) + "4 1 2 3\n", "line 2: 4 numbers, not 61"),
        (_row(2).replace("1.000000", "one", 1), "line 1: 'one' is not a number"),
        (_row(2, float("inf")), "frame 0 holds an infinite coordinate"),
        (_row(2.5), "frame number 2.5 is not a whole number"),
        (_row(float("inf")), "frame number inf is not a whole number"),
        (_row(4) + _row(2), "frame number 2 follows a larger one"),
    ],
)
def test_invalid_joints_file_is_unreadable(joints: str, reason: str, tmp_path: Path) -> None:
    source = open_source("utkinect-action3d", _write(tmp_path, joints, "s01_e01\nwalk: 1 9\n"))
    for found in (list(source.read()), list(source.untrimmed.read())):
        assert len(found) == 1 and isinstance(found[0], Unreadable)
        assert reason in found[0].reason and found[0].reason.startswith("joints_s01_e01.txt: ")


@pytest.mark.parametrize("labels", ["walk: 1 2\n", "s01_e01\nrun: 1 2\n", "s01_e01\nwalk: 1\n", "s01_e01\ns01_e01\n"])
def test_invalid_label_file_is_an_input_error(labels: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"actionLabel\.txt: line \d: .*; download it again"):
        open_source("utkinect-action3d", _write(tmp_path, _row(2), labels))


def test_missing_label_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "joints_s01_e01.txt").write_text(_row(2))
    with pytest.raises(InputError, match=r"no actionLabel\.txt found; put it into the folder"):
        open_source("utkinect-action3d", tmp_path)


TEXT = st.text(st.characters(min_codepoint=9, max_codepoint=126), max_size=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_token_is_read_as_float_does_or_refused(data: st.DataObject) -> None:
    tokens = [_row(number).split() for number in (2, 4, 4, 8)]
    tokens[data.draw(st.integers(0, 3))][data.draw(st.integers(0, 60))] = data.draw(st.floats().map(repr) | TEXT)
    whole = "\n".join(" ".join(row) for row in tokens).encode()
    text = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        numbers, positions, _ = parse_joints(text)
    except BadFile as refusal:
        assert "\n" not in str(refusal)
        return
    rows: dict[int, list[float]] = {}
    for line in text.split(b"\n"):
        if line.strip():
            number, *values = map(float, line.split())
            assert len(values) == 60
            rows.setdefault(int(number), values)
    assert numbers.tolist() == list(rows)
    np.testing.assert_array_equal(positions.reshape(-1, 60), list(rows.values()))


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("s01_e01walk:NaN 9\n\r\t")))
def test_any_label_text_is_parsed_or_bad_file(text: str) -> None:
    try:
        labels = parse_labels(text.encode())
    except BadFile as refusal:
        assert "\n" not in str(refusal)
        return
    assert all(action.name in ("walk",) for found in labels.actions.values() for action in found)
