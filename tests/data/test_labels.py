"""Labelled intervals of annotation programs, for any reader: ELAN's by its library, others in their published form."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clips import moving
from refusal import Refused

from i2md.cli.main import main
from i2md.data.labels import LabelledTime, read_labels
from i2md.data.recording import Interval
from i2md.data.store import open_clips
from i2md.errors import InputError

# Seconds and labels of two recordings.
MARKED = {"walk": [(0.0, 1.0, "step"), (1.5, 2.0, "turn")], "day": [(2.0, 5.5, "sit, quietly")]}


def as_csv(path: Path) -> None:
    rows = [f'{name}.mp4,{a},{b},"{label}"' for name, marks in MARKED.items() for a, b, label in marks]
    path.with_suffix(".csv").write_text("\n".join(["Recording,start,end,label", *rows]))


def as_boris_events(path: Path) -> None:
    """Aggregated events as BORIS exports them."""
    heads = ("Observation id", "Media file name", "Total duration", "Subject", "Behavior", "Behavior type")
    head = "\t".join([*heads, "Start (s)", "Stop (s)", "Comment"])
    rows = [
        f"obs\tvideos\\{name}.avi\t60\tNo focal subject\t{label}\tSTATE\t{a}\t{b}\t"
        for name, marks in MARKED.items()
        for a, b, label in marks
    ]
    path.with_suffix(".tsv").write_text("\n".join([head, *rows]))


def as_boris_project(path: Path) -> None:
    codes = sorted({label for marks in MARKED.values() for *_, label in marks})
    behaviours = {str(i): {"code": code, "type": "State event"} for i, code in enumerate(codes)}
    behaviours["9"] = {"code": "blink", "type": "Point event"}
    observations = {
        f"observation of {name}": {
            "type": "MEDIA",
            "file": {"1": [f"/videos/{name}.mp4"], "2": []},
            "events": [[t, "", label, "", ""] for a, b, label in marks for t in (a, b)] + [[0.3, "", "blink", "", ""]],
        }
        for name, marks in MARKED.items()
    }
    project = {"project_format_version": "7.0", "behaviors_conf": behaviours, "observations": observations}
    path.with_suffix(".boris").write_text(json.dumps(project))


def as_label_studio(path: Path) -> None:
    def result(a: float, b: float, label: str) -> dict:
        return {"type": "timeserieslabels", "value": {"start": a, "end": b, "timeserieslabels": [label]}}

    tasks = [
        {
            "id": i,
            "data": {"csv": f"/data/upload/1/{name}.csv"},
            "annotations": [{"result": [result(*m) for m in marks]}],
        }
        for i, (name, marks) in enumerate(MARKED.items())
    ]
    path.with_suffix(".json").write_text(json.dumps(tasks))


def as_elan(path: Path) -> None:
    elan = pytest.importorskip("pympi.Elan", reason='no ELAN files: pip install -e ".[annotations]"')
    path.mkdir()
    for name, marks in MARKED.items():
        eaf = elan.Eaf()
        eaf.add_linked_file(f"file:///videos/{name}.mp4", mimetype="video/mp4")
        eaf.add_tier("action")
        for a, b, label in marks:
            eaf.add_annotation("action", round(1000 * a), round(1000 * b), label)
        eaf.to_file(str(path / f"session of {name}.eaf"))


FORMATS = [as_csv, as_boris_events, as_boris_project, as_label_studio, as_elan]


@pytest.mark.parametrize("write", FORMATS)
def test_what_programs_write_is_read(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "labels")
    (path,) = tmp_path.iterdir()
    found = {name: sorted(marks) for name, marks in read_labels(path).items()}
    assert found == {name: [LabelledTime(*mark) for mark in marks] for name, marks in MARKED.items()}


def test_labels_on_the_timeline_of_a_video_are_frames_from_1(tmp_path: Path) -> None:
    value = {"ranges": [{"start": 1, "end": 20}, {"start": 31, "end": 40}], "timelinelabels": ["run"]}
    task = {"file_upload": "0a1b-day.mp4", "data": {"video": "x"}, "annotations": [{"result": [{"value": value}]}]}
    (tmp_path / "l.json").write_text(json.dumps([task]))
    runs = read_labels(tmp_path / "l.json")["0a1b-day"]
    assert runs == [LabelledTime(0, 20, "run", True), LabelledTime(30, 40, "run", True)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "recording,start,end\na,1,2\n", "no column 'label'"),
        ("l.csv", "recording,start,end,label\na,1,x,run\n", "line 2"),
        ("l.csv", "recording,start,end,label\na,2,1,run\n", "is not a stretch of time"),
        ("l.csv", "recording,start,end,label\n", "holds no labelled interval"),
        ("l.json", "{}", "is a list of tasks"),
        ("l.json", "[[[[", "not read as labelled intervals"),
        ("l.boris", '{"behaviors_conf": {}}', "observations"),
        ("l.eaf", "<a", "not read as labelled intervals"),
        ("l.eaf", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
        ("l.txt", "", "are read from .csv"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    if name.endswith(".eaf"):
        pytest.importorskip("pympi.Elan", reason='no ELAN files: pip install -e ".[annotations]"')
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / name)


@settings(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".json", ".boris"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    with suppress(InputError):
        read_labels(path)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings at 10 frames a second, nobody in the first five frames of one, and their labels beside them."""
    folder = tmp_path_factory.mktemp("arrays")
    for name, frames in (("walk", 30), ("day", 60)):
        np.save(folder / f"{name}.npy", moving("", frames).positions[0])
    as_csv(folder.parent / f"{folder.name}-labels")
    return folder


def words(arrays: Path, out: Path, *more: str) -> list[str]:
    labels = arrays.parent / f"{arrays.name}-labels.csv"
    given = ["--layout", "kinect-v1", "--options.fps", "10", "--preset", "none", "--intervals", str(labels)]
    return ["prepare", "arrays", str(arrays), str(out), *given, *more]


def test_recordings_are_cut_into_clips_and_kept_whole(arrays: Path, tmp_path: Path) -> None:
    assert main(words(arrays, tmp_path / "c")) == 0
    clips = open_clips(tmp_path / "c")
    assert clips.dataset.class_names == ("sit, quietly", "step", "turn")
    assert clips.columns["name"].tolist() == ["day_000_sit, quietly", "walk_000_step", "walk_001_turn"]
    assert clips.labels.tolist() == [0, 1, 2] and clips.columns["frames"].tolist() == [35, 10, 5]
    np.testing.assert_array_equal(clips[2][0], np.load(arrays / "walk.npy")[15:20])
    assert clips.untrimmed is not None
    assert clips.untrimmed.intervals_of(1) == (Interval(0, 10, 1), Interval(15, 20, 2))
    # Windows of such a folder, and of the recordings that are kept in it, have labels too.
    assert main(["windows", str(tmp_path / "c" / "untrimmed"), "--length", "500ms"]) == 0
    assert open_clips(tmp_path / "c" / "untrimmed").labels.tolist().count(1) == 4


def test_windows_are_labelled_by_the_intervals(arrays: Path, tmp_path: Path) -> None:
    assert main(words(arrays, tmp_path / "c", "--windows", "1s", "--stride", "1s")) == 0
    clips = open_clips(tmp_path / "c")
    assert clips.recordings.columns["name"].tolist() == ["day", "walk"]
    assert clips.labels.tolist() == [-1, -1, 0, 0, 0, 0, 1, 2, -1]
    assert main(["view", str(tmp_path / "c")]) == 0


def test_seconds_need_a_frame_rate(refused: Refused, arrays: Path, tmp_path: Path) -> None:
    given = [word for word in words(arrays, tmp_path / "c") if word not in ("--options.fps", "10")]
    assert "does not say its frames a second" in refused(*given)


def test_labels_of_recordings_that_are_not_there_are_counted(
    arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "more.csv"
    labels.write_text("recording,start_frame,end_frame,label\nwalk,0,5,a\nwalk,28,40,a\nnight,0,5,a\n")
    given = words(arrays, tmp_path / "c")
    given[given.index("--intervals") + 1] = str(labels)
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "not read:    1 recordings in more.csv of which there is no clip, such as night" in said
    assert "frames of intervals before or after their recording" in said
    assert open_clips(tmp_path / "c").columns["frames"].tolist() == [5, 2]
