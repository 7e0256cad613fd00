"""The table of accuracies: values in the right cells, titles from the fields of the results, seeds averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from i2md.evaluation.results import Result, Scores
from i2md.evaluation.table import accuracy_table, ensemble_title, protocol_title


def made(accuracy: dict[str, float], ensemble: float | None = None, **changes: Any) -> Result:
    plain = {"dataset": "utd-mhad", "split": "xsub", "method": "i2md", "protocol": "knn", "seed": 0}
    streams = {name: Scores(value) for name, value in accuracy.items()}
    return Result(
        **{"streams": streams, "ensemble": None if ensemble is None else Scores(ensemble), **plain, **changes}
    )


def _cells(table: str) -> list[list[str]]:
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-"}
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def test_one_result_is_one_row_in_percent() -> None:
    three = made({"joint": 0.8125, "motion": 0.5, "bone": 0.25}, ensemble=1.0)
    assert _cells(accuracy_table([three])) == [
        ["data", "method", "protocol", "joint", "motion", "bone", "3-stream", "seeds"],
        ["utd-mhad xsub", "i2md", "knn", "81.2", "50.0", "25.0", "100.0", "1"],
    ]


def test_the_ensemble_is_titled_by_the_number_of_its_streams() -> None:
    assert ensemble_title(["joint", "bone"]) == "2-stream"
    two = made({"joint": 0.5, "bone": 0.5}, ensemble=0.75)
    four = made({"joint": 0.5, "bone": 0.5, "motion": 0.5, "angle": 0.5}, ensemble=0.25, method="cmd")
    rows = _cells(accuracy_table([two, four]))
    assert rows[0][3:] == ["joint", "bone", "motion", "angle", "2-stream", "4-stream", "seeds"]
    assert [row[7:9] for row in rows[1:]] == [["75.0", "-"], ["-", "25.0"]]


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"protocol": "knn", "k": 1}, "knn"),
        ({"protocol": "knn", "k": 5}, "knn, k = 5"),
        ({"protocol": "semi", "label_fraction": 0.05, "draw": 3}, "semi, 5 % of the labels"),
        ({"protocol": "few-shot", "labels_per_class": 1, "draw": 0}, "few-shot, 1 label a class"),
        ({"protocol": "few-shot", "labels_per_class": 5, "draw": 0}, "few-shot, 5 labels a class"),
    ],
)
def test_titles_of_protocols_come_from_the_fields(changes: dict[str, Any], title: str) -> None:
    assert protocol_title(made({"joint": 0.5}, **changes)) == title


def test_seeds_become_mean_and_sample_standard_deviation() -> None:
    accuracies = [0.80, 0.85, 0.93]
    table = _cells(accuracy_table([made({"joint": value}, seed=seed) for seed, value in enumerate(accuracies)]))
    percent = 100 * np.array(accuracies)
    assert table[1][3:] == [f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f}", "3"]


def test_draws_of_the_labels_are_one_row() -> None:
    draws = [
        made({"joint": value}, protocol="semi", label_fraction=0.1, draw=draw, seed=seed)
        for seed in (0, 1)
        for draw, value in enumerate((0.5, 0.6))
    ]
    (row,) = _cells(accuracy_table(draws))[1:]
    assert row[2:] == ["semi, 10 % of the labels, 2 draws", "55.0 ± 5.8", "2"]


def test_rows_of_label_fractions_state_the_number_of_labels_and_equal_sets() -> None:
    drawn = {0.01: [["a", "b"], ["a", "c"]], 0.05: [["b", "a"], ["c", "a"]], 0.1: [["a", "b"], ["b", "c", "d"]]}
    results = [
        made({"joint": 0.5}, protocol="semi", label_fraction=fraction, draw=draw, labelled_clips=clips)
        for fraction, draws in drawn.items()
        for draw, clips in enumerate(draws)
    ]
    assert [row[2] for row in _cells(accuracy_table(results))[1:]] == [
        "semi, 1 % of the labels, 2 draws, 2 labels",
        "semi, 5 % of the labels, 2 draws, 2 labels, the same clips as semi, 1 % of the labels",
        "semi, 10 % of the labels, 2 draws, 2 to 3 labels",
    ]


def test_rows_differ_by_data_split_method_protocol_and_baseline() -> None:
    results = [
        made({"joint": 0.1}),
        made({"joint": 0.2}, protocol="linear"),
        made({"joint": 0.3}, method="cmd"),
        made({"joint": 0.4}, split="xview"),
        made({"joint": 0.5}, dataset="nw-ucla"),
        made({"joint": 0.6}, baseline="untrained"),
        made({"joint": 0.7}, pretraining_dataset="ntu60"),
    ]
    rows = _cells(accuracy_table(results))[1:]
    assert [row[3] for row in rows] == ["10.0", "20.0", "30.0", "40.0", "50.0", "60.0", "70.0"]
    assert [row[4] for row in rows] == ["1"] * 7
    assert rows[5][1] == "untrained" and rows[6][0] == "ntu60 to utd-mhad xsub"


def test_a_stream_without_a_value_is_a_dash() -> None:
    rows = _cells(accuracy_table([made({"joint": 0.5}), made({"bone": 0.5}, method="moco")]))
    assert rows[0][3:5] == ["joint", "bone"]
    assert [row[3:5] for row in rows[1:]] == [["50.0", "-"], ["-", "50.0"]]


def test_metrics_and_the_best_test_epoch_have_their_own_rows() -> None:
    result = made({}, streams={"joint": Scores(0.6, best_test_accuracy=0.7, metrics={"top-5": 0.9})}, protocol="linear")
    rows = _cells(accuracy_table([result]))
    assert [row[2:4] for row in rows[1:]] == [
        ["linear", "60.0"],
        ["linear, top-5", "90.0"],
        ["linear, best test epoch", "70.0"],
    ]


def test_accuracy_on_held_out_subjects_is_a_row_of_the_ensemble() -> None:
    swept = made({"joint": 0.5, "bone": 0.5}, 0.6, protocol="linear-sweep", validation={"0.1": 0.4, "1.0": 0.7})
    rows = _cells(accuracy_table([swept]))
    assert [row[2:6] for row in rows[1:]] == [
        ["linear-sweep", "50.0", "50.0", "60.0"],
        ["linear-sweep, validation", "-", "-", "70.0"],
    ]


def test_given_labels_are_a_column_of_settings() -> None:
    rows = _cells(accuracy_table([made({"joint": 0.5}), made({"joint": 1.0})], ["queue_size=64", "queue_size=128"]))
    assert [row[1] for row in rows] == ["settings", "queue_size=64", "queue_size=128"]
