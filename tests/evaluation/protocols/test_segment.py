"""Protocol `segment`: predictions over time for recordings whose subjects are not labelled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.data.presets import Prepared, prepare_positions
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.segments import segment_scores
from i2md.evaluation.settings import RidgeSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.recordings(tmp_path_factory.getbasetemp())


def segment(run: Path, clips: Path, *words: object) -> list[Result]:
    command = ["evaluate", str(run), str(clips), "--protocol", "segment", "--segment.windows", "1s"]
    assert i2md.cli.main.main([*command, "--segment.stride", "0.5s", *map(str, words)]) == 0
    return read_results(run / "evaluation")


def test_unsmoothed_predictions_are_those_of_a_ridge_regression_window_by_window(
    run: Path, folder: Path, tmp_path: Path
) -> None:
    """Windows, classes, features and frames once more, by loops."""
    shutil.copytree(run, tmp_path / "run")
    (result,) = segment(tmp_path / "run", folder, "--segment.smooth", "none", "--baselines", "none")
    model, clips = i2md.load(run, "cpu"), i2md.open_clips(folder)
    windows: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    truth, labels, middles = [], [], []
    for index in range(3):
        positions = clips[index]
        frames = np.full(positions.shape[1], 4)
        for start, end, label in clips.intervals_of(index):
            frames[start:end] = label
        starts = [*range(0, positions.shape[1] - 30, 15), positions.shape[1] - 30]
        for start in starts:
            done = prepare_positions(positions[:, start : start + 30], model.config.layout, model.config.preparation)
            assert isinstance(done, Prepared)
            windows["test" if index == 2 else "train"].append(done.positions)
            if index < 2:
                labels.append(frames[start + 15])
        if index == 2:
            truth, middles = frames, [start + 15 for start in starts]
    train, test = (model.embed(arrays) for arrays in windows.values())
    total = sum(
        fit_ridge(torch.as_tensor(x), torch.as_tensor(labels), 5, RidgeSettings().penalties).scores(
            torch.as_tensor(test[name])
        )
        for name, x in train.items()
    )
    of_window = total.argmax(dim=1).numpy()
    predicted = np.array([of_window[np.abs(np.array(middles) - t).argmin()] for t in range(len(truth))])
    # A frame in the middle between two windows may be either's.
    scores = segment_scores([truth], [predicted], 4)
    assert result.overall.accuracy == pytest.approx(scores.frame_accuracy, abs=len(middles) / len(truth))
    assert result.overall.metrics["F1@50"] == pytest.approx(scores.f1[0.5], abs=0.1)
    assert np.sum(result.overall.confusion) == len(truth)
    assert (result.train_clips, result.test_clips, result.counted) == (2, 1, "frames")
    assert (result.labelled_clips, result.clip_names) == (["day0", "day1"], ["day2"])
    assert result.class_names[-1] == "background"


def test_draws_label_some_subjects_and_test_on_the_others_beside_baselines(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    results = segment(tmp_path / "run", folder, "--segment.subjects", 2, "--segment.draws", 2)
    said = capsys.readouterr()
    assert "segment, 2 labelled subjects, 2 draws, F1@50" in said.out
    assert {(r.evaluated, r.draw) for r in results} == {
        (name, draw) for name in ("i2md", "positions", "untrained") for draw in (0, 1)
    }
    for result in results:
        assert set(result.labelled_clips or ()) | set(result.clip_names) == {"day0", "day1", "day2"}
        assert len(result.labelled_clips or ()) == 2
        assert result.split == "drawn" and set(result.overall.metrics) == {"F1@10", "F1@25", "F1@50", "edit"}
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert max(r.overall.accuracy for r in results if r.baseline == "positions") > 0.3, (
        "five clips of four actions each, which positions tell apart"
    )


def test_what_has_no_labelled_recordings_is_refused(
    run: Path, clips: Path, folder: Path, refused: Callable[..., str]
) -> None:
    assert "no whole recordings with labelled intervals" in refused("evaluate", run, clips, "--protocol", "segment")
    words = ("--protocol", "segment", "--segment.subjects", 3)
    assert "leaves none of 3 subjects to test on" in refused("evaluate", run, folder, *words)
