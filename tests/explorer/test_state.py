"""What the pages share: similar clips, the classifier, proposals, exported files; hostile names in all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explorer.conftest import HOSTILE

import i2md
from i2md.evaluation.ridge_regression import fit_ridge
from i2md.evaluation.settings import RidgeSettings

pytest.importorskip("nicegui", reason='no explorer: pip install -e ".[explorer]"')

from i2md.explorer import export
from i2md.explorer.elements import colours, from_bits, to_bits
from i2md.explorer.labels import BAD, SKIPPED
from i2md.explorer.learning import learn, propose


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_similar_clips_are_the_nearest_by_mean_cosine_and_unlike_ones_count_against(explorer: Any) -> None:
    features = {name: each.astype(np.float64) for name, each in explorer.collection.features.items()}
    found = explorer.similar([3], [], 5)
    by_stream = {name: unit(each) @ unit(each[3]) for name, each in features.items()}
    mean = np.mean(list(by_stream.values()), axis=0)
    mean[3] = -2
    assert [each.clip for each in found] == np.argsort(-mean, kind="stable")[:5].tolist()
    for each in found:
        assert each.similarity == pytest.approx(mean[each.clip], abs=1e-6)
        assert each.streams == pytest.approx({name: of[each.clip] for name, of in by_stream.items()}, abs=1e-5)
    disliked = found[0].clip
    less = explorer.similar([3], [disliked], 31)
    towards = {name: unit(unit(each[3]) - 0.5 * unit(each[disliked])) for name, each in features.items()}
    mean = np.mean([unit(each) @ towards[name] for name, each in features.items()], axis=0)
    mean[[3, disliked]] = -2
    assert [each.clip for each in less] == np.argsort(-mean, kind="stable")[:30].tolist()


def test_the_classifier_is_the_mean_ridge_regression_of_the_streams(explorer: Any) -> None:
    features, clips = explorer.collection.features, explorer.collection.clips
    labels = np.where(np.arange(32) % 2 == 0, clips.labels, -1)
    # Classes without a label do not count.
    labels[labels == 1] = -1
    learned = learn(features, labels, clips.dataset.class_names)
    known = np.flatnonzero(labels >= 0)
    used, targets = np.unique(labels[known], return_inverse=True)
    scores = np.mean(
        [
            fit_ridge(
                torch.as_tensor(each[known]), torch.as_tensor(targets), len(used), RidgeSettings().penalties
            ).scores(torch.as_tensor(each))
            for each in map(np.ascontiguousarray, features.values())
        ],
        axis=0,
    )
    assert learned.predictions is not None and learned.margins is not None
    np.testing.assert_array_equal(learned.predictions, used[scores.argmax(axis=1)])
    best = np.sort(scores, axis=1)
    np.testing.assert_allclose(learned.margins, best[:, -1] - best[:, -2], atol=1e-5)
    assert 1 not in learned.predictions
    assert learn(features, np.where(labels == 0, 0, -1), clips.dataset.class_names).predictions is None


def test_neither_labelled_nor_skipped_clips_are_proposed(explorer: Any) -> None:
    labels = np.full(32, -1)
    labels[:10] = 0
    found = propose(explorer.collection.features, labels, np.arange(10, 20), 12)
    assert len(found) == 12 and {each.clip for each in found} == set(range(20, 32))
    assert propose(explorer.collection.features, labels, np.arange(10, 32)) == []


def test_marks_are_shown_by_columns_conditions_and_files(explorers: Callable[[Path], Any], tmp_path: Path) -> None:
    state = explorers(tmp_path / "labels.csv")
    before = state.version
    state.mark([0, 1], HOSTILE)
    state.mark([2], remark=BAD)
    state.mark([3], "a new class")
    state.mark([4], remark=SKIPPED)
    assert state.version > before
    column = state.columns()["label"]
    assert [column.values[code] for code in column.codes[[0, 1, 3]]] == [HOSTILE, HOSTILE, "a new class"]
    assert np.flatnonzero(state.shown("label is not null")).tolist() == [0, 1, 3]
    assert np.flatnonzero(state.shown(f"remark = '{BAD}' or label = 'a new class'")).tolist() == [2, 3]
    assert state.undo() == [4] and state.undo() == [3] and state.redo() == [3]
    rows = list(csv.DictReader(io.StringIO(export.table(state, [0, 2, 3, 5]).decode())))
    assert [(row["name"], row["label"], row["remark"]) for row in rows] == [
        (f"{HOSTILE}.clip", HOSTILE, ""),
        (state.names[2], "", BAD),
        (state.names[3], "a new class", ""),
        (state.names[5], "", ""),
    ]
    page = export.page(state, [0, 3]).decode()
    assert HOSTILE not in page and "\\u003cimg src=x" in page
    folder = export.clips_folder(state, [3, 0])
    written = i2md.open_clips(folder)
    assert [written.dataset.class_names[label] for label in written.labels] == ["a new class", HOSTILE]
    for place, clip in enumerate((3, 0)):
        np.testing.assert_array_equal(written[place], state.collection.clips[clip])
    assert export.clips_folder(state, [1]).name == "selected-2"


def test_the_map_is_computed_once(
    explorers: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = explorers(tmp_path / "a.csv").collection
    assert np.abs(first.points).max() == pytest.approx(1)
    from i2md.explorer import collection

    monkeypatch.setattr(collection, "_computed", None)
    again = explorers(tmp_path / "b.csv").collection
    np.testing.assert_array_equal(again.points, first.points)
    np.testing.assert_array_equal(again.clusters, first.clusters)


def test_very_many_clips_are_shown_at_even_steps(explorer: Any) -> None:
    from explorer.many import collection

    clips = explorer.collection.clips
    many = collection(explorer.book.path.parent / "many", clips, 250_000)
    assert (len(many.clips), many.total) == (200_000, 250_000)
    assert many.names[0] == "window 0" and many.names[-1] == "window 249999"


def test_columns_of_a_fitted_classifier_are_its_predictions(of_clips: Path, hostile_clips: Any) -> None:
    from i2md.explorer.collection import model_columns

    columns = model_columns(of_clips, hostile_clips)
    classifier = i2md.load_classifier(of_clips)
    expected = ["none of these" if each.rejected else each.label for each in classifier.predict(hostile_clips)]
    column = columns["class by the model"]
    assert [column.values[code] for code in column.codes] == expected
    assert 0 < columns["confidence of the model"].limits[0] <= columns["confidence of the model"].limits[1] <= 1


def test_a_run_beside_has_its_own_classifier_and_where_they_differ_is_a_column(explorers: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from i2md.explorer.labels import LabelBook
    from i2md.explorer.state import APART, BESIDE, Explorer

    first = explorers(tmp_path / "a.csv").collection
    noise = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    book = LabelBook(tmp_path / "b.csv", first.names)
    state = Explorer(first, book, beside=replace(first, features={"joint": noise}))
    labels = first.clips.labels
    for clip in range(0, 32, 3):
        state.mark([clip], state.class_names[labels[clip]])
    assert state.other is not None
    for each in state.learners:
        each._learn()
    columns = state.columns()
    own, other = (columns[name] for name in ("prediction", BESIDE))
    np.testing.assert_array_equal(
        own.codes, learn(first.features, state.labels()[0], tuple(state.class_names)).predictions
    )
    np.testing.assert_array_equal(columns[APART].codes, own.codes != other.codes)
    assert 0 < columns[APART].codes.sum() < 32
    book.close()


def test_bits_and_colours() -> None:
    chosen = np.array([0, 7, 8, 30])
    assert from_bits(to_bits(chosen, 31), 31).tolist() == chosen.tolist()
    assert len(set(colours(40))) == 40
