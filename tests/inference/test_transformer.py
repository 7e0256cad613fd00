"""The transformer in scikit-learn: pipelines, searches, clones, threads, its own checks, and panels of aeon."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import validation
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

import i2md
from i2md import SkeletonEncoder


@pytest.fixture(scope="module")
def sequences(clips: Path) -> tuple[list[np.ndarray], np.ndarray]:
    opened = i2md.open_clips(clips)
    return [np.array(opened[number][0]) for number in range(len(opened))], np.array(opened.labels)


@pytest.fixture(scope="module")
def encoder(run: Path) -> SkeletonEncoder:
    return SkeletonEncoder.from_run(run, device="cpu")


def test_rows_are_the_features_of_the_run(
    run: Path, encoder: SkeletonEncoder, sequences: tuple[list[np.ndarray], np.ndarray]
) -> None:
    features = i2md.load(run, "cpu").embed(sequences[0])
    some = SkeletonEncoder(str(run), streams=["bone", "joint"], normalise=False, device="cpu").fit(sequences[0])
    expected = np.concatenate([features["bone"], features["joint"]], axis=1)
    np.testing.assert_array_equal(some.transform(sequences[0]), expected)
    assert some.get_feature_names_out()[[0, -1]].tolist() == ["bone0", f"joint{features['joint'].shape[1] - 1}"]
    rows = encoder.transform(sequences[0])
    assert rows.shape == (32, encoder.n_features_out_) and rows.dtype == np.float32
    np.testing.assert_allclose((rows**2).sum(axis=1), 3, rtol=1e-5)


def test_panels_of_aeon_are_sequences(
    run: Path, encoder: SkeletonEncoder, sequences: tuple[list[np.ndarray], np.ndarray]
) -> None:
    by_joint = [each.reshape(len(each), -1).T for each in sequences[0]]
    np.testing.assert_array_equal(encoder.transform(by_joint), encoder.transform(sequences[0]))
    by_channel = [each.transpose(2, 1, 0).reshape(-1, len(each)) for each in sequences[0]]
    other = SkeletonEncoder.from_run(run, series_order="channel", device="cpu")
    np.testing.assert_array_equal(other.transform(by_channel), encoder.transform(sequences[0]))
    equal = np.stack([each[:, :20] for each in by_joint])
    np.testing.assert_array_equal(encoder.transform(equal), encoder.transform([s[:20] for s in sequences[0]]))


def test_pipelines_searches_and_clones(run: Path, sequences: tuple[list[np.ndarray], np.ndarray]) -> None:
    pipeline = make_pipeline(SkeletonEncoder(run, device="cpu"), RidgeClassifier())
    assert cross_val_score(pipeline, *sequences, cv=2).mean() > 1 / 4
    search = GridSearchCV(
        Pipeline([("features", SkeletonEncoder(run, device="cpu")), ("classifier", RidgeClassifier())]),
        {"features__streams": [None, ["joint"]], "classifier__alpha": [0.1, 1.0]},
        cv=2,
        n_jobs=1,
    ).fit(*sequences)
    assert set(search.best_params_) == {"features__streams", "classifier__alpha"}
    copy = clone(pipeline[0])
    assert copy.get_params() == pipeline[0].get_params() and not hasattr(copy, "model_")


@pytest.mark.slow
def test_a_search_in_two_processes_finds_what_one_finds(
    run: Path, sequences: tuple[list[np.ndarray], np.ndarray]
) -> None:
    """Workers get a fitted pipeline, too: `refit` and `error_score` would hide that they cannot."""
    pipeline = Pipeline([("features", SkeletonEncoder(run, device="cpu")), ("classifier", RidgeClassifier())])
    grid = {"features__streams": [None, ["joint"], ["bone", "motion"]], "classifier__alpha": [0.1, 10.0]}
    one, two = (
        GridSearchCV(pipeline.fit(*sequences), grid, cv=2, n_jobs=jobs, error_score="raise").fit(*sequences)
        for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    assert len(set(one.cv_results_["mean_test_score"])) > 1
    np.testing.assert_array_equal(one.predict(sequences[0]), two.predict(sequences[0]))


def test_copies_share_their_encoders_and_pickles_hold_none(encoder: SkeletonEncoder, sequences: Any) -> None:
    content = pickle.dumps(encoder)
    again = pickle.loads(content)
    assert len(content) < 2000 and again.model_ is encoder.model_
    np.testing.assert_array_equal(again.transform(sequences[0][:3]), encoder.transform(sequences[0][:3]))


def test_threads_give_the_same_bytes(encoder: SkeletonEncoder, sequences: Any) -> None:
    alone = encoder.transform(sequences[0])
    with ThreadPoolExecutor(6) as threads:
        for rows in threads.map(encoder.transform, [sequences[0]] * 12):
            np.testing.assert_array_equal(rows, alone)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"streams": ["jont"]}, "no stream 'jont'; did you mean joint"),
        ({"streams": []}, "name at least one of"),
        ({"series_order": "axis"}, "choose joint or channel"),
        ({"run": ""}, "name the folder of a run"),
        ({"run": "nosuch"}, "nosuch"),
    ],
)
def test_invalid_parameters(run: Path, sequences: Any, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(i2md.InputError, match=said):
        SkeletonEncoder(**{"run": run, "device": "cpu", **parameters}).fit(sequences[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((5, 60)), r"shape \(5, 60\); give a list"),
        ([np.zeros((61, 30))], "case 0 has 61 series; layout kinect-v1 has 20 joints of 3 coordinates, which are 60"),
    ],
)
def test_other_shapes_are_refused(encoder: SkeletonEncoder, given: Any, said: str) -> None:
    with pytest.raises(i2md.InputError, match=said):
        encoder.transform(given)


class OfTables(SkeletonEncoder):
    """Takes the tables of scikit-learn's checks: a row becomes a sequence of eight frames that its numbers move."""

    def fit(self, X: Any, y: Any = None) -> OfTables:
        super().fit(self._sequences(validation.validate_data(self, X)), y)
        return self

    def transform(self, X: Any) -> np.ndarray:
        validation.check_is_fitted(self)
        return super().transform(self._sequences(validation.validate_data(self, X, reset=False)))

    def _sequences(self, table: np.ndarray) -> list[np.ndarray]:
        body = np.random.default_rng(0).standard_normal((20, 3))
        moves = np.random.default_rng(1).standard_normal((50, 8, 20, 3))[: table.shape[1]]
        return [body + np.tensordot(np.tanh(row), moves, 1)[:, :, :] / len(moves) for row in table]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        tags.input_tags.allow_nan = False
        return tags


# The checks of scikit-learn that do not apply, and why.
NOT_APPLICABLE = {
    "check_fit2d_1feature": "a table of one feature is a sequence, too, and needs no error",
    "check_transformer_preserve_dtypes": "features are float32, whatever the sequences are",
}


def test_checks_of_scikit_learn(run: Path) -> None:
    if parse_version(sklearn.__version__) < parse_version("1.6"):
        pytest.skip("the checks list what fails from scikit-learn 1.6 on")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            OfTables(str(run), device="cpu"), expected_failed_checks=NOT_APPLICABLE, on_skip=None, on_fail=None
        )
    failed = {each["check_name"]: repr(each["exception"]) for each in results if each["status"] == "failed"}
    assert failed == {}
    assert sum(each["status"] == "passed" for each in results) > 30
