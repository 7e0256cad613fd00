"""Results as JSON: what is written is read back as equal objects, and what cannot be read is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2md.errors import InputError
from i2md.evaluation.results import ENSEMBLE, SCHEMA_VERSION, Result, Scores, average_draws, read_results, write_result

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
fractions = st.floats(0, 1)
scores = st.builds(
    Scores,
    accuracy=fractions,
    best_test_accuracy=st.none() | fractions,
    metrics=st.dictionaries(names, fractions, max_size=2),
    confusion=st.just([[1, 0], [1, 1]]),
    predictions=st.none() | st.just([0, 0, 1]),
)
results = st.builds(
    Result,
    protocol=names,
    method=names,
    dataset=names,
    split=names,
    seed=st.integers(0, 2**63 - 1),
    streams=st.dictionaries(names, scores, min_size=1, max_size=3),
    ensemble=st.none() | scores,
    baseline=st.sampled_from([None, "untrained"]),
    k=st.none() | st.integers(1, 9),
    label_fraction=st.none() | fractions,
    draw=st.none() | st.integers(0, 9),
    validation=st.none() | st.dictionaries(names, fractions),
    labelled_clips=st.none() | st.lists(names),
    labels=st.just([0, 1, 1]),
    settings=st.just({"linear": {"milestones": [50, 70], "exact": False}}),
)


def made(**changes: object) -> Result:
    plain = {"protocol": "semi", "method": "i2md", "dataset": "d", "split": "xsub", "seed": 0, "labels": [0, 1]}
    values = {"streams": {"joint": Scores(0.5, confusion=[[1, 0], [1, 0]], predictions=[0, 0])}, **plain, **changes}
    return Result(**values)  # type: ignore[arg-type]


@given(results)
def test_a_result_read_from_json_equals_the_one_written(result: Result) -> None:
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_results_are_read_from_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    written = [made(label_fraction=fraction, draw=draw) for fraction in (0.05, 0.5) for draw in range(2)]
    written += [made(protocol="knn", k=5), made(protocol="knn", k=5, baseline="untrained")]
    paths = [write_result(tmp_path / "evaluation", result) for result in written]
    assert len(set(paths)) == len(written)
    assert paths[0].name == "semi-label_fraction=0.05-draw=0-d-xsub.json"
    by_name = sorted(zip(paths, written, strict=True), key=lambda pair: pair[0])
    assert read_results(tmp_path / "evaluation") == [result for _, result in by_name]
    assert read_results(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "schema version None is not 1; evaluate the run again"),
        (json.dumps({**made().to_dict(), "schema_version": SCHEMA_VERSION + 1}), "schema version 2 is not 1"),
        (json.dumps({**made().to_dict(), "streams": {}}), "no stream"),
        (
            json.dumps({**made().to_dict(), "streams": {"joint": {"accuracy": "high"}}}),
            "accuracy of joint is of another type",
        ),
        (json.dumps({**made().to_dict(), "labels": [0]}), "1 labels, but 2 predictions of joint"),
        (json.dumps({**made().to_dict(), "colour": "red"}), "unexpected keyword argument 'colour'"),
        (json.dumps({k: v for k, v in made().to_dict().items() if k != "seed"}), "'seed'"),
    ],
)
def test_a_file_that_is_no_result_is_left_out_and_named(text: str, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "broken.json").write_text(text, encoding="utf-8")
    notes: list[str] = []
    assert read_results(folder, notes) == []
    (note,) = notes
    assert note.startswith("evaluation/broken.json is left out: ") and reason in note


def test_from_dict_names_the_schema_version() -> None:
    with pytest.raises(InputError, match="schema version 0 is not 1"):
        Result.from_dict({**made().to_dict(), "schema_version": 0})


def test_scores_end_with_the_ensemble_and_overall_is_the_ensemble() -> None:
    one, other, both = Scores(0.25), Scores(0.5), Scores(0.75)
    result = made(streams={"motion": one, "joint": other}, ensemble=both)
    assert list(result.scores) == ["motion", "joint", ENSEMBLE] and result.overall is both
    alone = made(streams={"motion": one})
    assert alone.scores == {"motion": one} and alone.overall is one


def test_accuracy_by_class_comes_from_the_confusion_matrix() -> None:
    assert Scores(0.5, confusion=[[3, 1, 0], [0, 0, 0], [1, 0, 1]]).class_accuracy == [0.75, None, 0.5]


def test_draws_are_averaged_and_other_results_stay() -> None:
    draws = [
        made(label_fraction=0.5, draw=0, streams={"joint": Scores(0.5, 0.75, None, {"top-5": 1.0}, [[1, 1]], [0, 1])}),
        made(label_fraction=0.5, draw=1, streams={"joint": Scores(1.0, 1.0, None, {"top-5": 0.5}, [[2, 0]], [0, 0])}),
    ]
    other = made(label_fraction=0.5, draw=0, seed=1)
    single = made(protocol="knn", k=1)
    averaged = average_draws([draws[0], single, other, draws[1]])
    assert averaged[1] is single
    assert averaged[0] == dataclasses.replace(
        draws[0], draw=None, streams={"joint": Scores(0.75, 0.875, None, {"top-5": 0.75}, [[3, 1]], None)}
    )
    assert (averaged[2].seed, averaged[2].draw, len(averaged)) == (1, None, 3)


def test_a_summary_has_no_entry_for_each_clip() -> None:
    result = made(clip_names=["a", "b"], labelled_clips=["c"])
    summary = result.summary()
    assert (summary.labels, summary.clip_names, summary.labelled_clips) == ([], [], None)
    assert summary.streams["joint"].predictions is None
    assert summary.streams["joint"].confusion == result.streams["joint"].confusion
    assert Result.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
