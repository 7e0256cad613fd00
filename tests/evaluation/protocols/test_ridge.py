"""Ridge evaluation against a leave-one-out loop that solves the normal equations anew for every clip left out."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import i2md
from i2md.cli.main import main
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings
from i2md.evaluation.table import accuracy_table

PENALTIES = RidgeSettings().penalties


def _data(clips: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training features of three overlapping classes, one of the features constant; their labels; test features."""
    draw = np.random.default_rng(seed)
    labels = np.arange(clips) % 3
    train = draw.normal(size=(clips, width)) + 0.5 * draw.normal(size=(3, width))[labels]
    train *= draw.uniform(0.01, 100, width)
    train[:, 0] = 7.0
    test = draw.normal(size=(5, width)) * 20
    return train.astype(np.float32), labels, test.astype(np.float32)


def _fit(features: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercepts that minimise squared error plus the penalty on the weights alone."""
    x, y = features - features.mean(axis=0), targets - targets.mean(axis=0)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return weights, targets.mean(axis=0) - features.mean(axis=0) @ weights


def _slowly(train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int) -> tuple[np.ndarray, float]:
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-9] = 1.0
    x, targets = (train - mean) / deviation, np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for left_out in np.flatnonzero(np.bincount(labels)[labels] > 1):
            kept = np.arange(len(x)) != left_out
            weights, intercepts = _fit(x[kept], targets[kept], penalty)
            error += float(((x[left_out] @ weights + intercepts - targets[left_out]) ** 2).sum())
        errors.append(error)
    penalty = PENALTIES[int(np.argmin(errors))]
    weights, intercepts = _fit(x, targets, penalty)
    return ((test - mean) / deviation) @ weights + intercepts, penalty


@pytest.mark.parametrize(("clips", "width"), [(30, 6), (12, 20)])
def test_penalty_and_scores_are_those_of_leaving_out_one_clip_after_the_other(clips: int, width: int) -> None:
    train, labels, test = _data(clips, width)
    # A fourth class has no training clip.
    classifier = fit_ridge(torch.tensor(train), torch.tensor(labels), 4, PENALTIES)
    found = classifier.scores(torch.tensor(test))
    expected, penalty = _slowly(train, labels, test, 4)
    assert classifier.penalty == penalty
    assert PENALTIES[0] < penalty < PENALTIES[-1]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(found[:, 3], -1.0, atol=1e-6)


@pytest.mark.parametrize(("clips", "width"), [(30, 6), (12, 20)])
def test_clips_alone_in_their_class_do_not_choose_the_penalty(clips: int, width: int) -> None:
    train, labels, test = _data(clips, width)
    labels[:5] = np.arange(3, 8)
    classifier = fit_ridge(torch.tensor(train), torch.tensor(labels), 8, PENALTIES)
    expected, penalty = _slowly(train, labels, test, 8)
    assert classifier.penalty == penalty
    np.testing.assert_allclose(classifier.scores(torch.tensor(test)).numpy(), expected, atol=1e-4)


def test_of_one_clip_a_class_each_clip_is_the_nearest_to_itself() -> None:
    """The penalty that leaving out would choose makes all scores alike."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(27, 900)).astype(np.float32)
    labels = torch.arange(27)
    classifier = fit_ridge(torch.tensor(centres), labels, 27, PENALTIES)
    assert classifier.penalty == 3.0
    noisy = torch.tensor(centres + draw.normal(size=centres.shape).astype(np.float32))
    assert torch.equal(classifier.scores(noisy).argmax(dim=1), labels)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 0.5, 1e4]), shift=st.sampled_from([0.0, 1.0]))
def test_scale_and_offset_of_the_features_do_not_matter(seed: int, scale: float, shift: float) -> None:
    train, labels, test = (torch.tensor(each) for each in _data(18, 8, seed))
    one = fit_ridge(train, labels, 3, PENALTIES)
    other = fit_ridge(scale * (train + shift), labels, 3, PENALTIES)
    assert one.penalty == other.penalty
    torch.testing.assert_close(one.scores(test), other.scores(scale * (test + shift)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("clips", "width"), [(60, 15), (25, 70)])
def test_classifier_is_that_of_scikit_learn(clips: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2md.evaluation.ridge_regression.BLOCK", 7)
    train, labels, test = _data(clips, width, seed=1)
    classifier = fit_ridge(torch.tensor(train), torch.tensor(labels), 3, PENALTIES)
    scaler = StandardScaler().fit(train.astype(np.float64))
    targets = np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    reference = RidgeCV(PENALTIES).fit(scaler.transform(train.astype(np.float64)), targets)
    assert classifier.penalty == reference.alpha_
    expected = reference.predict(scaler.transform(test.astype(np.float64)))
    np.testing.assert_allclose(classifier.scores(torch.tensor(test)).numpy(), expected, atol=1e-4)


def test_few_labels_are_those_of_the_semi_supervised_and_few_shot_protocols(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path_factory.getbasetemp()
    shutil.copytree(tiny.run(base), tmp_path / "run")
    words = ["--ridge.label_fractions", "0.5", "--ridge.labels", "1", "--ridge.draws", "2", "--device", "cpu"]
    words += ["--knn.label_fractions", "0.5", "--knn.labels", "1", "--knn.draws", "2"]
    words += ["--semi.label_fractions", "0.5", "--semi.draws", "2", "--finetune.epochs", "1"]
    words += ["--few_shot.labels", "1", "--few_shot.draws", "2", "--linear.epochs", "1"]
    protocols = ["--protocol", "knn", "ridge", "semi", "few-shot"]
    assert main(["evaluate", str(tmp_path / "run"), str(tiny.clips(base)), *protocols, *words]) == 0
    results = read_results(tmp_path / "run" / "evaluation")
    found = {
        (each.protocol, each.label_fraction, each.labels_per_class, each.draw): each.labelled_clips
        for each in results
        if each.baseline is None
    }
    assert found.pop(("ridge", None, None, None)) is found.pop(("knn", None, None, None)) is None
    assert len(found) == 12
    for name, draw in product(("knn", "ridge"), range(2)):
        assert found[name, 0.5, None, draw] == found["semi", 0.5, None, draw]
        assert found[name, None, 1, draw] == found["few-shot", None, 1, draw]
    _require_votes_of_the_labelled(tmp_path / "run", tiny.clips(base), [r for r in results if r.protocol == "knn"])
    _require_penalties([each for each in results if each.protocol == "ridge"])
    printed = capsys.readouterr().out
    rows = ["| ridge ", "| ridge, 50 % of the labels, 2 draws, 8 labels ", "| ridge, 1 label a class, 2 draws "]
    for row in (*rows, "| knn, 50 % of the labels, 2 draws, 8 labels ", "| knn, 1 label a class, 2 draws "):
        assert row in printed and row in accuracy_table(results)


def _require_votes_of_the_labelled(run: Path, folder: Path, results: list[Result]) -> None:
    """scikit-learn's nearest neighbour among the labelled clips alone."""
    clips, model = i2md.open_clips(folder), i2md.load(run, "cpu")
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    known, queries, names = model.embed(train), model.embed(test), list(train.columns["name"])
    for result in (each for each in results if each.baseline is None and each.labelled_clips):
        rows = [names.index(name) for name in result.labelled_clips or ()]
        for stream, scores in result.streams.items():
            neighbours = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
            neighbours.fit(known[stream][rows], train.labels[rows])
            np.testing.assert_array_equal(scores.predictions, neighbours.predict(queries[stream]))


def _require_penalties(results: list[Result]) -> None:
    for result in results:
        assert all(scores.penalty in PENALTIES for scores in result.streams.values())
        assert result.ensemble is not None and result.ensemble.penalty is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ridge.penalties", "0"], "ridge.penalties (0.0,) must be above 0"),
        (["--ridge.label_fractions", "2"], "ridge.label_fractions (2.0,) must be above 0 and at most 1"),
        (["--ridge.labels", "0"], "ridge.labels (0,) must be numbers of at least 1"),
        (["--ridge.draws", "0"], "ridge.draws 0 must be at least 1"),
        (["--knn.label_fractions", "0"], "knn.label_fractions (0.0,) must be above 0 and at most 1"),
    ],
)
def test_invalid_settings_are_one_line(
    words: list[str], said: str, run: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), str(clips), "--device", "cpu", "--protocol", "ridge", *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("i2md:")]
    assert said in line
