"""Predictions for clips and over time, and the files that they are written to."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from made_report import Page
from pose_files import as_mediapipe, wide_csv

import i2md
from i2md.cli.main import main
from i2md.data.labels import read_labels
from i2md.data.recording import Recording
from i2md.data.windows import Windows
from i2md.evaluation.timeline import window_bounds


def predict(*words: object, said: Path) -> dict:
    assert main(["predict", *map(str, words), "--json", str(said)]) == 0
    return json.loads(said.read_text())


def test_a_row_for_each_clip(of_clips: Path, clips: Path, tmp_path: Path) -> None:
    said = predict(of_clips, clips, tmp_path / "out.csv", said=tmp_path / "said.json")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    opened = i2md.open_clips(clips)
    assert [row["name"] for row in rows] == opened.columns["name"].tolist()
    found = i2md.load_classifier(of_clips, "cpu").predict(opened)
    for row, prediction in zip(rows, found, strict=True):
        assert row["class"] == prediction.label
        assert row["label"] == ("" if row["rejected"] == "yes" else prediction.label)
        assert (row["rejected"] == "yes") == prediction.rejected
        assert float(row["confidence"]) == pytest.approx(prediction.probabilities.max(), abs=1e-4)
        assert prediction.probabilities.sum() == pytest.approx(1)
    names = opened.dataset.class_names
    right = np.mean([p.label == names[label] for p, label in zip(found, opened.labels, strict=True)])
    assert said["accuracy"] == right
    assert said["predicted"] + said["rejected"] == 32


def test_raw_arrays_are_predicted_like_their_prepared_clips(of_clips: Path, clips: Path) -> None:
    from i2md.data.readers import open_source

    read = open_source("synthetic", Path("x"), actions=4, subjects=4, repeats=2).read()
    raw = [each.positions for each in read if isinstance(each, Recording)]
    classifier = i2md.load_classifier(of_clips, "cpu")
    for one, other in zip(classifier.predict(raw), classifier.predict(i2md.open_clips(clips)), strict=True):
        assert one.label == other.label
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_threads_share_a_classifier(of_windows: Path, recordings: Path) -> None:
    classifier, opened = i2md.load_classifier(of_windows, "cpu"), i2md.open_clips(recordings).select(np.array([0, 3]))
    alone = list(classifier.timelines(opened))
    with ThreadPoolExecutor(2) as pool:
        for together in pool.map(lambda _: list(classifier.timelines(opened)), range(2)):
            assert [t.intervals for t in together] == [t.intervals for t in alone]


def test_a_window_depends_on_its_own_frames_alone(of_windows: Path, recordings: Path) -> None:
    classifier, opened = i2md.load_classifier(of_windows, "cpu"), i2md.open_clips(recordings)
    whole = opened.select(np.array([0]))
    cut = i2md.Clips(whole.path, whole.dataset, whole.frames, {**whole.columns, "frames": np.array([100])})
    long, short = (next(iter(classifier.timelines(each, smooth="none"))) for each in (whole, cut))
    # Up to halfway from the last window at a full stride to the next one.
    until = int(window_bounds(100, 30.0, Windows(1.0, 0.5)).middles[-2])
    np.testing.assert_array_equal(long.labels[:until], short.labels[:until])


def test_intervals_are_those_of_the_frames_and_labels_of_prepare(
    of_windows: Path, recordings: Path, tmp_path: Path
) -> None:
    said = predict(of_windows, recordings, tmp_path / "out.csv", said=tmp_path / "said.json")
    classifier = i2md.load_classifier(of_windows, "cpu")
    names = classifier.class_names
    for timeline in classifier.timelines(i2md.open_clips(recordings)):
        frames = np.full(timeline.frames, names.index("background"))
        for each in timeline.intervals:
            assert (frames[each.start : each.end] == names.index("background")).all()
            frames[each.start : each.end] = names.index(each.label)
            assert 0 < each.confidence <= 1
        seen = timeline.labels >= 0
        np.testing.assert_array_equal(frames[seen], timeline.labels[seen])
    kept = sum(len(times) for times in read_labels(tmp_path / "out.csv").values())
    assert kept == said["predicted"]
    assert said["scores"]["frame_accuracy"] > 0.3
    assert said["smooth"] == "hmm"


def test_windows_with_nobody_have_no_class(of_windows: Path, recordings: Path) -> None:
    *_, gap = i2md.load_classifier(of_windows, "cpu").timelines(i2md.open_clips(recordings))
    frames = i2md.open_clips(recordings)[3].any(axis=(0, 2, 3))
    assert gap.empty_windows > 0
    assert not frames[gap.labels == -1].any()


def test_elan_files_are_read_back(of_windows: Path, recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("pympi")
    said = predict(of_windows, recordings, tmp_path / "out.eaf", "--smooth", "median", said=tmp_path / "said.json")
    assert [Path(path).name for path in said["files"]] == [f"out-{n}.eaf" for n in ("day0", "day1", "day2", "gap")]
    found = {name: times for path in said["files"] for name, times in read_labels(Path(path)).items()}
    for timeline in i2md.load_classifier(of_windows, "cpu").timelines(i2md.open_clips(recordings), smooth="median"):
        times = [(t.start, t.end, t.label) for t in found.get(timeline.name, [])]
        expected = [(e.start / 30, e.end / 30, "none of these" if e.rejected else e.label) for e in timeline.intervals]
        assert [label for *_, label in times] == [label for *_, label in expected]
        np.testing.assert_allclose([t[:2] for t in times], [e[:2] for e in expected], atol=1e-3)


def test_the_page_shows_predictions_beside_labels(of_windows: Path, recordings: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    predict(of_windows, recordings, tmp_path / "out.json", "--page", page, said=tmp_path / "said.json")
    timelines = Page(page).data["timelines"]
    rows = json.loads((tmp_path / "out.json").read_text())["intervals"]
    for shown in timelines["recordings"]:
        expected = [
            [each["start"], each["end"], each["class"] if each["label"] else "none of these", each["confidence"]]
            for each in rows
            if each["recording"] == shown["name"]
        ]
        found = [[s, e, timelines["classes"][label], c] for s, e, label, c in shown["intervals"]]
        assert [each[:3] for each in found] == [each[:3] for each in expected]
        np.testing.assert_allclose([f[3] for f in found], [e[3] for e in expected], atol=2e-3)
        assert shown["kind"] == "predicted"
        assert len(shown["labelled"]) == (0 if shown["name"] == "gap" else 5)


def test_recordings_come_from_any_reader_in_another_layout(of_windows: Path, clips: Path, tmp_path: Path) -> None:
    """A table of a person as MediaPipe sees one, converted to the run's joints on the way."""
    positions = i2md.open_clips(clips)[0][0]
    (tmp_path / "poses").mkdir()
    wide_csv(tmp_path / "poses" / "walk.csv", i2md.get_layout("mediapipe-33").joints, as_mediapipe(positions))
    said = predict(of_windows, tmp_path / "poses", tmp_path / "out.csv", said=tmp_path / "said.json")
    assert said["recordings"] == 1
    assert said["windows"] == "1 s every 0.5 s"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out.txt"], "predictions are written to .csv, .json, .eaf"),
        (["out.eaf"], "ELAN files hold intervals"),
        (["out.csv", "--stride", "1s"], "stride belongs to windows"),
        (["out.csv", "--windows", "1s", "--smooth", "hmm"], "has no hidden Markov model; smooth by median"),
    ],
)
def test_refused(of_clips: Path, clips: Path, refused: Callable, words: list[str], said: str) -> None:
    assert said in refused("predict", of_clips, clips, *words)


def test_what_is_no_classifier_is_refused(run: Path, clips: Path, tmp_path: Path, refused: Callable) -> None:
    assert "not a fitted classifier (model.json is missing)" in refused("predict", run, clips, "out.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format_version": 2}, "format 2, this program reads 1"),
        ({"class_names": ["a"]}, "class_names must be two texts"),
        ({"class_names": ["a", "b", "c"]}, "do not fit 3 classes"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"candidate": ["forest"]}, "candidate must be of"),
        ({"extra": 1}, "unexpected keyword"),
    ],
)
def test_a_changed_classifier_is_refused(
    of_clips: Path, clips: Path, tmp_path: Path, refused: Callable, change: dict, said: str
) -> None:
    import shutil

    model = shutil.copytree(of_clips, tmp_path / "model")
    info = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps({**info, **change}))
    assert said in refused("predict", model, clips, "out.csv")
