"""PKU-MMD: clips of long recordings, untrimmed recordings, and invalid label, skeleton and split files."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.readers.files import BadFile
from i2md.data.readers.pku_mmd import parse_skeleton
from i2md.data.readers.pku_mmd_labels import CLASS_NAMES, parse_labels
from i2md.data.readers.pku_mmd_splits import parse_split_file, splits_for
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.splits import select_part
from i2md.data.store import open_clips
from i2md.errors import InputError
from i2md.synthetic.pku_mmd import PkuIrregularities, write_pku

LABELS = "7,2,6,2\n51,5,8,1\n"


def _text(frames: int, second: slice = slice(0, 0), seed: int = 0) -> str:
    """A skeleton file; the second person is present in some frames. Lines after the first start with a space."""
    rows = np.random.default_rng(seed).normal(size=(frames, 2, 75)).round(6)
    absent = np.ones(frames, bool)
    absent[second] = False
    rows[absent, 1] = 0
    lines = [" ".join("0" if value == 0 else repr(float(value)) for value in row) for row in rows.reshape(frames, -1)]
    return "\n ".join(lines) + "\n"


def _write(folder: Path, recordings: Mapping[str, str], labels: Mapping[str, str], **splits: str) -> Path:
    for kind, texts in (("skeleton", recordings), ("label", labels)):
        (folder / kind).mkdir(parents=True)
        for name, text in texts.items():
            (folder / kind / f"{name}.txt").write_text(text)
    for name, text in splits.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def _one(folder: Path, labels: str, frames: int = 10) -> tuple[list[Recording | Unreadable], Recording]:
    source = open_source("pku-mmd", _write(folder, {"0002-L": _text(frames)}, {"0002-L": labels}))
    found = list(source.read())
    assert source.count == len(found)
    (whole,) = source.untrimmed.read()
    return found, whole


def _slow(text: str) -> np.ndarray:
    persons = np.zeros((2, len(text.splitlines()), 25, 3), np.float32)
    for frame, line in enumerate(text.splitlines()):
        for at, value in enumerate(line.split()):
            persons[at // 75, frame, at % 75 // 3, at % 3] = float(value)
    return persons


def _parts(source: Source, split: str, recordings: list[Recording]) -> list[list[str]]:
    columns = {key: np.array([getattr(item, key) for item in recordings]) for key in ("source", "subject")}
    chosen = [select_part(source.splits[split][part], columns) for part in ("train", "test")]
    return [[recordings[index].name for index in part] for part in chosen]


def test_clips_are_labelled_intervals_and_untrimmed_is_the_whole(tmp_path: Path) -> None:
    text = _text(20, second=slice(3, 5))
    labels = "7,2,6,2\n51,6,20,1\n"
    source = open_source("pku-mmd", _write(tmp_path, {"A26N13-R": text}, {"A26N13-R": labels}))
    persons = _slow(text)
    clap, write = source.read()
    assert (clap.name, write.name) == ("A26N13-R_001", "A26N13-R_002")
    assert (CLASS_NAMES[clap.label - 1], CLASS_NAMES[write.label]) == ("clapping", "writing")
    np.testing.assert_array_equal(clap.positions, persons[:, 2:6])
    np.testing.assert_array_equal(write.positions, persons[:1, 6:20])
    (whole,) = source.untrimmed.read()
    np.testing.assert_array_equal(whole.positions, persons)
    assert [tuple(interval) for interval in whole.intervals] == [(2, 6, 6), (6, 20, 50)]
    assert whole.label == -1 and clap.intervals == ()
    for item in (clap, whole):
        assert (item.subject, item.camera, item.fps, item.source) == (13, 3, 30.0, "skeleton/A26N13-R.txt")
    assert (source.name, source.preset, source.untrimmed.preset) == ("pku-mmd-2", "ntu", "none")
    assert (source.count, source.untrimmed.count) == (2, 1) and len(CLASS_NAMES) == 51


def test_clips_have_at_most_300_frames(tmp_path: Path) -> None:
    (clip,), whole = _one(tmp_path, "1,10,400,2\n", frames=400)
    np.testing.assert_array_equal(clip.positions, whole.positions[:, 10:310])
    assert whole.intervals[0][:2] == (10, 400)


def test_phase_1_has_no_subjects(tmp_path: Path) -> None:
    found, whole = _one(tmp_path, LABELS)
    assert [(item.subject, item.camera) for item in [*found, whole]] == [(-1, 1)] * 3


@pytest.mark.parametrize(
    ("line", "kept", "reason"),
    [
        ("7,8,12,2", (8, 10), None),
        ("7,9,10,2", (9, 10), None),
        ("7,-3,4,2", (0, 4), None),
        ("7,6,2,2", None, "it ends before it starts"),
        ("7,6,6,2", None, "it has no frame"),
        ("7,10,12,2", None, "it lies outside the recording's 10 frames"),
        ("7,-8,0,2", None, "it lies outside the recording's 10 frames"),
    ],
)
def test_invalid_interval_is_unreadable_or_clipped(
    line: str, kept: tuple[int, int] | None, reason: str | None, tmp_path: Path
) -> None:
    found, whole = _one(tmp_path, f"{line}\n1,0,4,2\n")
    assert found[1].name == "0002-L_002"
    if kept:
        np.testing.assert_array_equal(found[0].positions, whole.positions[:, slice(*kept)])
        assert tuple(whole.intervals[0]) == (*kept, 6)
    else:
        text = f"skeleton/0002-L.txt: 0002-L_001: line 1 of its label file, '{line}': {reason}"
        assert found[0] == Unreadable("skeleton/0002-L.txt", text)
        assert [interval.label for interval in whole.intervals] == [0]


@pytest.mark.parametrize("labels", [{}, {"0002-L": " \n"}])
def test_recording_without_labels_is_untrimmed_only_and_counted(labels: dict[str, str], tmp_path: Path) -> None:
    texts = {name: _text(8) for name in ("0002-L", "0002-M")}
    source = open_source("pku-mmd", _write(tmp_path, texts, {"0002-M": LABELS, "0009-R": LABELS, **labels}))
    assert [clip.name for clip in source.read()] == ["0002-M_001", "0002-M_002"]
    assert [(item.name, len(item.intervals)) for item in source.untrimmed.read()] == [("0002-L", 0), ("0002-M", 2)]
    assert source.left_out == {
        "without labels, kept only as whole recordings": 1,
        "in the label files without a recording, such as 0009-R": 1,
    }


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("7,2,6,2\nclap,2,6,2\n", "line 2: 'clap,2,6,2' is not class,start,end,confidence"),
        ("7,2\n", "line 1: '7,2' is not class,start,end,confidence"),
        ("7,2,6.5,2\n", "line 1: '7,2,6.5,2' is not class,start,end,confidence"),
        ("7,2,6,2,9\n", "line 1: 5 fields, not class,start,end,confidence"),
        ("52,2,6,2\n", "action 52 is not one of 1 to 51"),
        ("0,2,6,2\n", "action 0 is not one of 1 to 51"),
        ("\0\1\2", "is not class,start,end,confidence"),
    ],
)
def test_invalid_label_file_is_named(labels: str, reason: str, tmp_path: Path) -> None:
    texts = {name: _text(8) for name in ("0002-L", "0002-M")}
    source = open_source("pku-mmd", _write(tmp_path, texts, {"0002-L": labels, "0002-M": LABELS}))
    for read, good in ((source.read, 2), (source.untrimmed.read, 1)):
        bad, *others = read()
        assert isinstance(bad, Unreadable) and reason in bad.reason and "\n" not in bad.reason
        assert bad.reason.startswith("0002-L.txt: its label file label/0002-L.txt: ")
        assert [isinstance(item, Recording) for item in others] == [True] * good


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (_text(3).rsplit(" ", 1)[0], "line 3: 149 numbers, not 150"),
        (_text(3).replace("\n ", " 7\n ", 1), "line 1: 151 numbers, not 150"),
        ("1 2 3\n4 5 6\n", "line 1: 3 numbers, not 150"),
        (_text(9).replace(" 0 ", " O ", 1), "line 1: 'O' is not a number"),
        (_text(9).replace(" 0 ", " inf ", 1), "frame 0 holds an infinite coordinate"),
        (_text(9).replace(" 0 ", " 1e300 ", 1), "frame 0 holds an infinite coordinate"),
    ],
)
def test_invalid_skeleton_file_is_unreadable(text: str, reason: str, tmp_path: Path) -> None:
    source = open_source("pku-mmd", _write(tmp_path, {"0002-L": text}, {"0002-L": "7,0,9,1\n"}))
    for found in (list(source.read()), list(source.untrimmed.read())):
        assert len(found) == 1 and isinstance(found[0], Unreadable) and reason in found[0].reason


def test_splits_equal_the_split_files(tmp_path: Path) -> None:
    names = [f"A01N{subject:02d}-{camera}" for subject in (1, 2, 4) for camera in "LMR"]
    subject = f"Training videos: \n{', '.join(names[:6])}, A09N09-L,\n\nValidataion videos: \n{', '.join(names[6:])}\n"
    view = "Training videos:\nA01N01-M, A01N01-R,0002-L\nValidation videos:\nA01N01-L,A08N08-L,A07N07-L"
    folder = _write(
        tmp_path,
        {name: _text(8) for name in names},
        dict.fromkeys(names, LABELS),
        cross_subject_v2=subject,
        **{"cross-view": view},
    )
    source = open_source("pku-mmd", folder)
    clips, whole = list(source.read()), list(source.untrimmed.read())
    assert _parts(source, "xsub", whole) == [names[:6], names[6:]]
    assert _parts(source.untrimmed, "xview", whole) == [["A01N01-M", "A01N01-R"], ["A01N01-L"]]
    train, test = _parts(source, "xview", clips)
    assert (train[:2], test) == (["A01N01-M_001", "A01N01-M_002"], ["A01N01-L_001", "A01N01-L_002"])
    assert source.left_out["in cross_subject_v2.txt without a recording, such as A09N09-L"] == 1
    assert source.left_out["in cross-view.txt without a recording, such as A08N08-L"] == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0002-L, 0002-M\n", "line 1: names before the first heading"),
        ("Training\n0002-L, 2-M\n", "line 2: '2-M' is not the name of a recording"),
        ("Training\n0002-L\nRest\n0002-M", "line 3: 'Rest' is neither a heading"),
        ("Training\n0002-L\nValidation\n0002-M,0002-L", "0002-L is listed both for training and for validation"),
    ],
)
def test_invalid_split_file_is_an_input_error(text: str, reason: str, tmp_path: Path) -> None:
    folder = _write(tmp_path, {"0002-L": _text(8)}, {"0002-L": LABELS}, cross_subject=text)
    with pytest.raises(InputError, match=rf"cross_subject\.txt: {reason}.*; download it again"):
        open_source("pku-mmd", folder)


def test_two_files_for_one_split_are_an_input_error(tmp_path: Path) -> None:
    text = "Training\n0002-L\nValidation\n"
    splits = {"cross_view": text, "cross-view": text}
    folder = _write(tmp_path, {"0002-L": _text(8)}, {"0002-L": LABELS}, **splits)
    with pytest.raises(InputError, match=r"cross-view\.txt and cross_view\.txt both list split 'xview'"):
        open_source("pku-mmd", folder)


@pytest.mark.parametrize(("phase", "count", "tested"), [(1, 1076, 132), (2, 1009, 234)])
def test_default_xsub_has_the_published_validation_part(phase: int, count: int, tested: int, real_data: Path) -> None:
    listed = (real_data / "pku-mmd" / f"validation_names_phase{phase}_cross_subject.txt").read_text().split()
    assert len(listed) == tested
    if phase == 1:
        names = [f"{number:04d}-{camera}" for number in range(2, 365) for camera in "LMR"]
    else:
        names = [
            f"A{series:02d}N{subject:02d}-{c}" for series in range(1, 27) for subject in range(1, 14) for c in "LMR"
        ]
    assert len(names) >= count
    sources = {name: f"skeleton/{name}.txt" for name in names}
    columns = {
        "source": np.array(list(sources.values())),
        "subject": np.array([int(name[4:6]) if phase == 2 else -1 for name in names]),
    }
    split = splits_for(phase, sources, {})["xsub"]
    train, test = (select_part(split[part], columns) for part in ("train", "test"))
    assert sorted(names[index] for index in test) == sorted(listed)
    assert len(train) + len(test) == len(names) and not set(train) & set(test)


def test_both_phases_need_the_option_phase(tmp_path: Path) -> None:
    names = ("0002-L", "A01N02-L")
    _write(tmp_path / "both", {name: _text(8) for name in names}, dict.fromkeys(names, LABELS))
    with pytest.raises(InputError, match=r"holds both phases of PKU-MMD; choose one with --options\.phase"):
        open_source("pku-mmd", tmp_path / "both")
    target = str(tmp_path / "clips")
    assert main(["prepare", "pku-mmd", str(tmp_path / "both"), target, "--options.phase", "2"]) == 0
    assert open_clips(target).columns["name"].tolist() == ["A01N02-L_001", "A01N02-L_002"]
    shutil.rmtree(tmp_path / "both" / "skeleton")
    _write(tmp_path / "one", {"0002-L": _text(8)}, {"0002-L": LABELS})
    with pytest.raises(InputError, match="holds no recording of phase 2 of PKU-MMD, only of phase 1"):
        open_source("pku-mmd", tmp_path / "one", phase=2)
    with pytest.raises(InputError, match=r"format 'pku-mmd': .*phase"):
        open_source("pku-mmd", tmp_path / "one", phase=3)


def test_missing_label_files_are_an_input_error(tmp_path: Path) -> None:
    _write(tmp_path, {"0002-L": _text(8)}, {})
    with pytest.raises(InputError, match="no PKU-MMD files in a folder `label` found"):
        open_source("pku-mmd", tmp_path)


def _equal(source: Source, other: Source) -> None:
    for one, two in ((source, other), (source.untrimmed, other.untrimmed)):
        assert [item.name for item in one.read()] == [item.name for item in two.read()]
        for a, b in zip(one.read(), two.read(), strict=True):
            np.testing.assert_array_equal(a.positions, b.positions)
            assert (a.label, a.intervals) == (b.label, b.intervals)
        assert {key: len(list(part)) for key, part in one.splits.items()} == {
            key: len(list(part)) for key, part in two.splits.items()
        }


def test_zips_and_published_folders_give_the_same_clips(tmp_path: Path) -> None:
    names = [f"0002-{camera}" for camera in "LMR"]
    texts = {name: _text(9, seed=at) for at, name in enumerate(names)}
    split = "Training\n0002-L\nValidation\n0002-M"
    plain = _write(tmp_path / "plain", texts, dict.fromkeys(names, LABELS), cross_subject=split)
    expected = open_source("pku-mmd", plain)
    shutil.make_archive(str(tmp_path / "labels and skeletons"), "zip", plain)
    _equal(expected, open_source("pku-mmd", tmp_path / "labels and skeletons.zip"))
    parts = tmp_path / "parts"
    for kind, name in (("skeleton", "PKU_Skeleton"), ("label", "Label_PKUMMD")):
        shutil.make_archive(str(parts / name), "zip", plain / kind)
    shutil.copy(plain / "cross_subject.txt", parts)
    _equal(expected, open_source("pku-mmd", parts))
    published = tmp_path / "PKUMMD"
    shutil.copytree(plain / "skeleton", published / "Data" / "PKU_Skeleton_Renew")
    shutil.copytree(plain / "label", published / "Label" / "Train_Label_PKU_final")
    (published / "Split").mkdir()
    shutil.copy(plain / "cross_subject.txt", published / "Split" / "cross-subject.txt")
    _equal(expected, open_source("pku-mmd", published))


def test_readings_can_be_pickled(tmp_path: Path) -> None:
    source = open_source("pku-mmd", _write(tmp_path, {"0002-L": _text(8)}, {"0002-L": LABELS}))
    for read in (source.read, source.untrimmed.read):
        assert [item.name for item in pickle.loads(pickle.dumps(read))()] == [item.name for item in read()]


@pytest.mark.parametrize("phase", [1, 2])
def test_synthetic_folders_are_read_as_written(phase: int, tmp_path: Path) -> None:
    irregular = PkuIrregularities(
        unlabelled=0.4, past_end=0.5, reversed_interval=0.1, long_interval=0.2, name_without_file=0.3
    )
    written = write_pku(tmp_path / "pku", 6, phase, seed=5, irregularities=irregular, actions=6)
    kinds = {kind: len(names) for kind, names in written.irregular.items()}
    assert set(kinds) == {"unlabelled", "past_end", "reversed_interval", "long_interval", "name_without_file"}
    source = open_source("pku-mmd", tmp_path / "pku")
    found, whole = list(source.read()), list(source.untrimmed.read())
    bad = [item for item in found if isinstance(item, Unreadable)]
    assert len(found) == written.actions and len(bad) == kinds["reversed_interval"]
    assert all("it ends before it starts" in item.reason for item in bad)
    assert len(whole) == written.recordings and sum(w.positions.shape[1] for w in whole) == written.frames
    assert sum(not w.intervals for w in whole) == kinds["unlabelled"]
    assert source.left_out["without labels, kept only as whole recordings"] == kinds["unlabelled"]
    absent = [count for reason, count in source.left_out.items() if reason.startswith("in cross_")]
    assert sum(absent) == kinds["name_without_file"]
    ends = [w.intervals[-1].end == w.positions.shape[1] for w in whole if w.intervals]
    assert sum(ends) == kinds["past_end"]
    assert max(clip.positions.shape[1] for clip in found if isinstance(clip, Recording)) == 300
    assert set(source.splits) == {"xsub", "xview"}


def test_prepare_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    irregular = PkuIrregularities(unlabelled=0.3, past_end=0.5, reversed_interval=0.2)
    written = write_pku(tmp_path / "pku", 9, 2, seed=1, irregularities=irregular, actions=4)
    assert main(["prepare", "pku-mmd", str(tmp_path / "pku"), str(tmp_path / "clips")]) == 0
    clips = open_clips(tmp_path / "clips")
    reversed_intervals = len(written.irregular["reversed_interval"])
    assert len(clips) == written.actions - reversed_intervals
    assert clips.dataset.report["left_out"] == reversed_intervals
    assert clips.dataset.preparation == "ntu" and clips.columns["frames"].max() <= 300
    assert {*clips.part("xview", "train").columns["camera"]} == {2, 3}
    assert {*clips.part("xsub", "test").columns["subject"]} == {2, 3}
    assert "without labels, kept only as whole recordings" in capsys.readouterr().out


TEXT = st.text(st.characters(min_codepoint=9, max_codepoint=126), max_size=12)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_changed_token_is_read_as_float_does_or_refused(data: st.DataObject) -> None:
    tokens = [line.split() for line in _text(3).splitlines()]
    tokens[data.draw(st.integers(0, 2))][data.draw(st.integers(0, 149))] = data.draw(st.floats().map(repr) | TEXT)
    whole = "\n ".join(" ".join(row) for row in tokens).encode()
    text = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        persons = parse_skeleton(text)
    except BadFile as refusal:
        assert "\n" not in str(refusal)
        return
    lines = [line.split() for line in text.split(b"\n") if line.strip()]
    assert all(len(line) == 150 for line in lines)
    for frame, line in enumerate(lines):
        for person in (0, 1):
            expected = [float(value) for value in line[75 * person : 75 * person + 75]]
            np.testing.assert_array_equal(persons[person, frame].reshape(-1), expected)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("0157,-\n\r x.")))
def test_any_label_text_is_parsed_or_bad_file(text: str) -> None:
    try:
        marks = parse_labels(text.encode(), "0002-L")
    except BadFile as refusal:
        assert "\n" not in str(refusal)
        return
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(marks) == len(lines)
    for mark, line in zip(marks, lines, strict=True):
        assert (mark.label + 1, mark.start, mark.end) == tuple(int(field) for field in line.split(",")[:3])


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("0002-LMTrainValid,: \n")))
def test_any_split_text_is_parsed_or_bad_file(text: str) -> None:
    try:
        parts = parse_split_file(text.encode(), phase=1)
    except BadFile as refusal:
        assert "\n" not in str(refusal)
        return
    assert not set(parts["train"]) & set(parts["test"])
    assert all(name in text for names in parts.values() for name in names)


def test_intervals_that_are_cut_are_counted_and_one_is_named(tmp_path: Path) -> None:
    labels = "7,2,6,2\n1,0,301,2\n2,5,310,2\n3,300,350,1\n"
    _write(tmp_path / "x", {"0002-L": _text(320)}, {"0002-L": labels})
    clips = prepare("pku-mmd", tmp_path / "x", tmp_path / "clips")
    assert clips.columns["frames"].tolist() == [4, 300, 300, 20]
    not_read = {what: count for what, count in clips.dataset.report["not_read"].items() if count}
    assert not_read == {
        "frames of intervals after their first 300, such as 0002-L_002": 2,
        "frames of intervals before or after their recording, such as 0002-L_004": 1,
    }
