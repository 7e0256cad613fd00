"""Streams against files: the same windows bit for bit, whatever is lost on the way, in memory that does not grow."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import i2md
from i2md.cli.main import main
from i2md.evaluation.open_set import KNOWN_SCORES
from i2md.evaluation.timeline import frames_of, prepared_window, window_bounds
from i2md.inference.stream import Stream, StreamedWindow


@pytest.fixture(scope="module")
def classifier(of_windows: Path) -> i2md.Classifier:
    return i2md.load_classifier(of_windows, "cpu")


@pytest.fixture(scope="module")
def day(recordings: Path) -> np.ndarray:
    """A recording (1, frames, joints, channels), cut so that its last window is between two strides."""
    return i2md.open_clips(recordings).read(0)[:, :187]


def offline(classifier: i2md.Classifier, positions: np.ndarray) -> list[StreamedWindow]:
    """The windows of a file, predicted together."""
    windows, config = classifier.info.windows, classifier.model.config
    assert windows is not None
    bounds = window_bounds(positions.shape[1], 30.0, windows)
    pieces = [positions[:, begin : begin + bounds.length] for begin in bounds.begins.tolist()]
    prepared = [prepared_window(piece, config.layout, config.preparation) for piece in pieces]
    decided = iter(classifier.decide(classifier.windows([each for each in prepared if each is not None])))
    return [
        StreamedWindow(begin, begin + bounds.length, None if each is None else next(decided))
        for begin, each in zip(bounds.begins.tolist(), prepared, strict=True)
    ]


def require_equal(one: list[StreamedWindow], other: list[StreamedWindow]) -> None:
    assert [each[:2] for each in one] == [each[:2] for each in other]
    for a, b in zip(one, other, strict=True):
        assert (a.prediction is None) == (b.prediction is None)
        if a.prediction is not None and b.prediction is not None:
            np.testing.assert_array_equal(a.prediction.probabilities, b.prediction.probabilities)
            assert a.prediction.known == b.prediction.known


@pytest.mark.parametrize("frames", [187, 180, 30, 12])
def test_a_stream_gives_the_windows_of_a_file(classifier: i2md.Classifier, day: np.ndarray, frames: int) -> None:
    stream = classifier.stream(fps=30)
    found = [window for frame in day[0, :frames] for window in stream.push(frame)]
    require_equal([*found, *stream.finish()], offline(classifier, day[:, :frames]))


@pytest.mark.parametrize("score", KNOWN_SCORES)
def test_every_score_of_rejection_is_that_of_a_window_alone(of_windows: Path, day: np.ndarray, score: str) -> None:
    classifier = i2md.load_classifier(of_windows, "cpu")
    classifier._parts = replace(classifier._parts, info=replace(classifier.info, known_score=score))
    stream = classifier.stream(fps=30)
    found = [window for frame in day[0] for window in stream.push(frame)]
    require_equal([*found, *stream.finish()], offline(classifier, day))
    assert len({each.prediction.known for each in found if each.prediction}) > 1


def test_missing_frames_are_frames_without_anybody_and_late_ones_are_left_out(
    classifier: i2md.Classifier, day: np.ndarray
) -> None:
    lost = {3, 50, 51, 52, 120}
    stream, found = classifier.stream(fps=30), []
    for number, frame in enumerate(day[0]):
        if number in lost:
            continue
        found += stream.push(frame, time=number / 30 + 0.004)
        if number == 60:
            assert stream.push(day[0, 50], frame=50) == []
    found += stream.finish()
    expected = day.copy()
    expected[:, sorted(lost)] = 0
    require_equal(found, offline(classifier, expected))
    assert (stream.counts.frames, stream.counts.missing, stream.counts.late) == (187 - 5, 5, 1)


def test_persons_come_and_go(classifier: i2md.Classifier, day: np.ndarray) -> None:
    """One leaves, the other comes in; for a while nobody is there."""
    together = np.zeros((2, *day.shape[1:]), np.float32)
    together[0, :60], together[1, 130:] = day[0, :60], day[0, 130:]
    stream, found = classifier.stream(fps=30), []
    for number in range(day.shape[1]):
        found += stream.push({str(p): together[p, number] for p in range(2) if together[p, number].any()})
    expected = offline(classifier, together)
    require_equal([*found, *stream.finish()], expected)
    assert any(window.prediction is None for window in expected)
    assert any(window.prediction is not None for window in expected)


def test_memory_does_not_grow(classifier: i2md.Classifier, day: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour of frames, persons changing every half minute; the encoders are left out, which keep nothing."""
    stream = classifier.stream(fps=30)
    monkeypatch.setattr(Stream, "_window", lambda self, start, length: StreamedWindow(start, start + length, None))

    def minutes(first: int, last: int) -> int:
        for number in range(first, last, 9):
            stream.push({f"person {number // 900}": day[0, number % 180]}, frame=number)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = minutes(0, 5_000)
        late = minutes(5_000, 54_000)
    finally:
        tracemalloc.stop()
    assert late < early + 20_000
    assert len(stream._rows) <= 2


def test_the_command_reads_and_writes_json_lines(
    of_windows: Path,
    classifier: i2md.Classifier,
    day: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [json.dumps({"frame": number, "joints": frame.tolist()}) for number, frame in enumerate(day[0])]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n".join(lines)))
    capsys.readouterr()
    assert main(["stream", str(of_windows), "-"]) == 0
    *found, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last == {"end": True, "frames": 187, "missing": 0, "late": 0}
    for line, window in zip(found, offline(classifier, day), strict=True):
        assert (line["start_frame"], line["end_frame"]) == window[:2]
        assert window.prediction is not None
        assert (line["class"], line["confidence"]) == (window.prediction.label, window.prediction.confidence)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 is not JSON"),
        ("[]", "line 1 is not a JSON object"),
        ('{"pose": []}', "line 1 is not a frame"),
        ('{"joints": [[1, 2, 3]]}', "shape (1, 3), but the layout is (20, 3)"),
        ('{"persons": {}, "frame": -1}', "frame -1 is before the first one"),
        ('{"persons": {}, "frame": "a"}', "frame is not a number"),
        ('{"persons": {}, "time": 1e9}', "is more than 1 h after"),
        ('{"persons": {}, "time": NaN}', "the time of a frame is not a number"),
    ],
)
def test_lines_that_are_no_frames(of_windows: Path, tmp_path: Path, refused: Callable, line: str, said: str) -> None:
    (tmp_path / "frames.jsonl").write_text(line)
    assert said in refused("stream", of_windows, tmp_path / "frames.jsonl")


def test_a_classifier_of_clips_needs_windows(of_clips: Path, classifier: i2md.Classifier, refused: Callable) -> None:
    assert "give the length of windows" in refused("stream", of_clips, "-")
    stream = classifier.stream(fps=30, window="2s")
    assert classifier.info.windows is not None
    assert (stream.length, stream.stride) == (60, frames_of(classifier.info.windows, 30)[1])
    assert stream.delay == 1.0
