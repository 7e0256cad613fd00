"""Kinetics-Skeleton: real files, a slow formulation of the choice of persons, label files, and invalid files."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.cli.main import main
from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source, Unreadable
from i2md.data.store import open_clips
from i2md.errors import InputError

# name, frames, class, number of the class, frames with a person, most persons in a frame
FILES = [
    ("-0BveUV52cM", 298, "smoking hookah", 317, 73, 2),
    ("-0byZyStAYQ", 299, "tying tie", 370, 209, 3),
    ("cU1fyH2QssA", 299, "dining", 91, 258, 7),
    ("kkwHdOvpCoc", 299, "cutting watermelon", 83, 106, 2),
    ("sAP-xS5P0Bw", 299, "motorcycling", 199, 1, 1),
]


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "format-samples" / "kinetics-skeleton"


def _read(folder: Path, **options: Any) -> tuple[Source, dict[str, Recording]]:
    source = open_source("kinetics-skeleton", folder, **options)
    found = list(source.read())
    assert all(isinstance(clip, Recording) for clip in found), found
    return source, {clip.name: clip for clip in found}


def test_real_clips_have_the_expected_frames_and_labels(folder: Path) -> None:
    source, clips = _read(folder)
    assert source.count == len(clips) == 5
    assert source.class_names == ("cutting watermelon", "dining", "motorcycling", "smoking hookah", "tying tie")
    for name, frames, label, _, seen, most in FILES:
        clip = clips[name]
        assert clip.positions.shape == (min(2, most), frames, 18, 2)
        assert source.class_names[clip.label] == label
        assert clip.positions.any(axis=(0, 2, 3)).sum() == seen
        assert clip.fps == 30


def test_folders_define_the_split(folder: Path) -> None:
    source, clips = _read(folder)
    in_part = {
        part: {name for name, clip in clips.items() if clip.setup in source.splits["given"][part]["setup"]}
        for part in ("train", "test")
    }
    assert in_part == {
        part: {file.stem for file in (folder / sub).glob("*.json")}
        for part, sub in (("train", "train"), ("test", "val"))
    }
    assert open_source("kinetics-skeleton", folder / "train").splits == {}


def _slowly(content: dict[str, Any], persons: int) -> np.ndarray:
    """Choose persons frame by frame, as ST-GCN loads its clips, but among all persons in the file."""
    frames = content["data"]
    positions = np.zeros((persons, len(frames), 18, 2))
    for at, frame in enumerate(frames):
        ranked = sorted(frame["skeleton"], key=lambda body: sum(body["score"]), reverse=True)
        for person, body in enumerate(ranked[:persons]):
            for joint, score in enumerate(body["score"]):
                if score > 0:
                    x, y = body["pose"][2 * joint : 2 * joint + 2]
                    positions[person, at, joint] = x - 0.5, y - 0.5
    return positions


@pytest.mark.parametrize("persons", [1, 2, 7])
def test_persons_with_the_highest_scores_are_kept_best_first(persons: int, folder: Path) -> None:
    _, clips = _read(folder, persons=persons)
    for file in folder.glob("*/*.json"):
        slowly = _slowly(json.loads(file.read_text()), persons)
        found = clips[file.stem].positions
        np.testing.assert_allclose(found, slowly[: len(found)], atol=1e-6)
        assert not slowly[len(found) :].any()
    assert len(clips["cU1fyH2QssA"].positions) == persons


def test_joints_with_a_low_score_are_zeros(folder: Path) -> None:
    content = json.loads((folder / "train" / "cU1fyH2QssA.json").read_text())
    _, clips = _read(folder, persons=1, score=0.3)
    kept = clips["cU1fyH2QssA"].positions[0].any(axis=-1)
    for frame, seen in zip(content["data"], kept, strict=True):
        best = max((body["score"] for body in frame["skeleton"]), key=sum, default=[0] * 18)
        assert seen.tolist() == [score > 0.3 for score in best]


def test_up_in_the_image_is_up_in_the_layout(folder: Path) -> None:
    source, clips = _read(folder)
    at = source.layout.joints.index
    person = clips["kkwHdOvpCoc"].positions[0]
    both = person[person[:, at("nose")].any(axis=-1) & person[:, at("neck")].any(axis=-1)]
    above = (both[:, at("nose")] - both[:, at("neck")]) @ np.array(source.layout.up[:2])
    assert len(both) > 5 and np.median(above) > 0


def _publishers_form(folder: Path, target: Path, **extra: dict[str, Any]) -> Path:
    """A folder as in the archive: kinetics_train, kinetics_val and a label file for each."""
    for part in ("train", "val"):
        shutil.copytree(folder / part, target / f"kinetics_{part}")
        labels = {}
        for file in (folder / part).glob("*.json"):
            content = json.loads(file.read_text())
            labels[file.stem] = {"has_skeleton": True, "label": content["label"], "label_index": content["label_index"]}
        (target / f"kinetics_{part}_label.json").write_text(json.dumps(labels | extra))
    return target


def test_class_names_come_from_label_files(folder: Path, tmp_path: Path) -> None:
    absent = {"has_skeleton": False, "label": "abseiling", "label_index": 0}
    source, clips = _read(_publishers_form(folder, tmp_path / "all", absent=absent))
    assert source.class_names == (
        "abseiling", "cutting watermelon", "dining", "motorcycling", "smoking hookah", "tying tie"
    )  # fmt: skip
    assert list(source.splits) == ["given"]
    assert {name: source.class_names[clip.label] for name, clip in clips.items()} == {
        name: label for name, _, label, *_ in FILES
    }


def test_zip_gives_the_same_clips_as_its_folder(folder: Path, tmp_path: Path) -> None:
    for name, source in (("plain", folder), ("labels", _publishers_form(folder, tmp_path / "all"))):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in source.rglob("*.json"):
                archive.write(file, file.relative_to(source).as_posix())
        (here, clips), (there, others) = _read(source), _read(tmp_path / f"{name}.zip")
        assert (here.class_names, here.splits, list(clips)) == (there.class_names, there.splits, list(others))
        for clip, other in zip(clips.values(), others.values(), strict=True):
            assert (clip.label, clip.setup) == (other.label, other.setup)
            np.testing.assert_array_equal(clip.positions, other.positions)


def _body(x: float = 0.25, score: float = 0.5) -> dict[str, Any]:
    return {"pose": [x, 0.75] * 18, "score": [score] * 18}


def _content(**changes: Any) -> dict[str, Any]:
    data = [{"frame_index": 1, "skeleton": [_body()]}, {"frame_index": 2, "skeleton": []}]
    return {"data": data, "label": "dining", "label_index": 91} | changes


def _only(folder: Path, content: dict[str, Any] | bytes) -> Recording | Unreadable:
    folder.mkdir(exist_ok=True)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "clip.json").write_bytes(data)
    (found,) = open_source("kinetics-skeleton", folder).read()
    return found


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (_content(data=None), "data is not frames"),
        (_content(data=[]), "no frame"),
        (_content(data=[{"frame_index": 1}]), "data is not frames"),
        (_content(data=[{"frame_index": 1, "skeleton": [{"pose": [0.5] * 36}]}]), "data is not frames"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body() | {"pose": [0.5] * 35}]}]), "a pose is not 36 finite"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body() | {"score": [[0.5]] * 18}]}]), "a score is not 18"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body(x=float("inf"))]}]), "a pose is not 36 finite"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body(score=float("inf"))]}]), "a score is not 18 finite"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body() | {"pose": ["left"] * 36}]}]), "a pose is not 36"),
        (_content(data=[{"frame_index": 1, "skeleton": [_body(x=10**400)]}]), "a pose is not 36"),
        (_content(data=[{"frame_index": "1", "skeleton": []}]), "not a whole number"),
        (_content(data=[{"frame_index": i, "skeleton": []} for i in (1, 2, 2)]), "frame_index goes from 2 to 2"),
        (_content(data=[{"frame_index": i, "skeleton": []} for i in (1, 10**9)]), "frame_index goes from 1 to 10000"),
        (_content(label=None), "label and label_index are not"),
        (_content(label_index=True), "label and label_index are not"),
        (_content(label_index=-1), "label and label_index are not"),
    ],
)
def test_invalid_file_is_unreadable(content: dict[str, Any] | bytes, reason: str, tmp_path: Path) -> None:
    found = _only(tmp_path, content)
    assert isinstance(found, Unreadable) and reason in found.reason
    assert found.reason.startswith("clip.json: ") and "\n" not in found.reason


def test_skipped_frame_has_no_person(tmp_path: Path) -> None:
    found = _only(tmp_path, _content(data=[{"frame_index": i, "skeleton": [_body()]} for i in (3, 4, 7)]))
    assert found.positions.any(axis=(0, 2, 3)).tolist() == [True, True, False, False, True]


def test_clip_without_label_is_kept(tmp_path: Path) -> None:
    found = _only(tmp_path, {"data": _content()["data"]})
    assert isinstance(found, Recording) and found.label == -1


def test_order_of_keys_does_not_matter(tmp_path: Path) -> None:
    content = _content(label='the "best" dish')
    there = _only(tmp_path / "there", content)
    back = _only(tmp_path / "back", dict(reversed(content.items())))
    assert (there.label, back.label) == (0, 0)
    for where in ("there", "back"):
        assert open_source("kinetics-skeleton", tmp_path / where).class_names == ('the "best" dish',)


def test_contradicting_labels_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(_content()))
    (tmp_path / "b.json").write_text(json.dumps(_content(label_index=5)))
    first, second = open_source("kinetics-skeleton", tmp_path).read()
    assert isinstance(first, Recording)
    assert second.reason == "b.json: label 'dining' is number 5 here and 91 elsewhere"
    (tmp_path / "train_label.json").write_text(json.dumps({"a": {"label": "eating", "label_index": 1}}))
    assert all(
        "none of the label file's 1" in found.reason for found in open_source("kinetics-skeleton", tmp_path).read()
    )


@pytest.mark.parametrize("content", ["", "[]", '{"a": 5}', '{"a": {"label": 3}}'])
def test_invalid_label_file_is_an_input_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(_content()))
    (tmp_path / "kinetics_train_label.json").write_text(content)
    with pytest.raises(InputError, match=r"kinetics_train_label\.json: .*; fix or remove it") as refusal:
        open_source("kinetics-skeleton", tmp_path)
    assert "\n" not in str(refusal.value)


def test_persons_that_are_not_kept_are_counted(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for name, bodies in (("aa", 3), ("bb", 2)):
        frames = [{"frame_index": 1, "skeleton": [_body()] * bodies}]
        (videos / f"{name}.json").write_text(json.dumps(_content(data=frames)))
    clips = prepare("kinetics-skeleton", videos, tmp_path / "clips")
    reason = "persons of a frame other than the 2 of the highest score, such as aa"
    assert clips.dataset.report["not_read"] == {reason: 1}
    assert prepare("kinetics-skeleton", videos, tmp_path / "all", persons=3).dataset.report["not_read"] == {}


@pytest.mark.parametrize("options", [{"persons": 0}, {"score": 1.0}, {"score": -0.1}, {"score": float("nan")}])
def test_option_out_of_range_is_an_input_error(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give at least one person and a score"):
        open_source("kinetics-skeleton", tmp_path, **options)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_truncated_file_is_unreadable(folder: Path, tmp_path_factory, data) -> None:
    whole = (folder / "val" / "-0BveUV52cM.json").read_bytes()
    found = _only(tmp_path_factory.mktemp("cut"), whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert isinstance(found, Unreadable) and "not JSON" in found.reason


_SMALL = json.dumps(_content(data=[{"frame_index": i, "skeleton": [_body(), _body(0.5, 0.6)]} for i in (1, 2, 3)]))
_TOKENS = list(re.finditer(r'"[^"]*"|[\d.]+|[\[\]{},:]', _SMALL))


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(_TOKENS) - 1),
    token=st.sampled_from(["", "0", "0.125", "-7", "1e400", "NaN", "null", "true", '"x"', "[]", "{}", "[", "}", ","]),
)
def test_changed_token_changes_one_frame_or_is_unreadable(tmp_path_factory, at: int, token: str) -> None:
    token_match = _TOKENS[at]
    before = _only(tmp_path_factory.mktemp("sound"), _SMALL.encode())
    found = _only(
        tmp_path_factory.mktemp("changed"),
        (_SMALL[: token_match.start()] + token + _SMALL[token_match.end() :]).encode(),
    )
    if isinstance(found, Unreadable):
        assert "\n" not in found.reason
    elif found.positions.shape == before.positions.shape:
        changed = (found.positions != before.positions).any(axis=(2, 3)).any(axis=0)
        assert changed.sum() <= 1
    else:
        # A frame or its persons are missing; the others are unchanged.
        assert found.positions.shape[2:] == (18, 2) and not np.isinf(found.positions).any()


def test_prepare_and_info_commands(folder: Path, tmp_path: Path, capsys) -> None:
    options = ["--options.persons", "3", "--json", str(tmp_path / "info.json")]
    assert main(["prepare", "kinetics-skeleton", str(folder), str(tmp_path / "clips"), *options]) == 0
    info = json.loads((tmp_path / "info.json").read_text())
    assert info["units"] == "image (-0.5 to 0.5)" and info["preparation"] == "none"
    assert info["persons"] == {"1": 1, "2": 2, "3": 2}
    assert info["splits"] == {"given": {"train": 3, "test": 2}}
    clips = open_clips(tmp_path / "clips")
    found = clips[clips.columns["name"].tolist().index("cU1fyH2QssA")]
    slowly = _slowly(json.loads((folder / "train" / "cU1fyH2QssA.json").read_text()), 3)
    np.testing.assert_allclose(found, slowly, atol=1e-6)
    assert main(["prepare", "kinetics-skeleton", str(folder), str(tmp_path / "no"), "--preset", "facing"]) == 2
    assert "2-D; use 'none'" in capsys.readouterr().err
