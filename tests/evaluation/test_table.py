"""The table of accuracies: figures in the right place, seeds taken together."""

from __future__ import annotations

from typing import Any

import numpy as np

from i2md.evaluation.table import accuracy_table


def _result(accuracy: dict[str, float], **changes: Any) -> dict[str, Any]:
    plain = {"dataset": "utd-mhad", "split": "xsub", "method": "i2md", "protocol": "knn", "seed": 0}
    return plain | {"accuracy": accuracy} | changes


def _cells(table: str) -> list[list[str]]:
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-"}
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


def test_one_result_is_one_row_in_percent() -> None:
    assert _cells(accuracy_table([_result({"joint": 0.8125, "3-stream": 1.0})])) == [
        ["data", "method", "protocol", "joint", "3-stream", "seeds"],
        ["utd-mhad xsub", "i2md", "knn", "81.2", "100.0", "1"],
    ]


def test_seeds_become_mean_and_sample_deviation() -> None:
    seeds = [0.80, 0.85, 0.93]
    table = _cells(accuracy_table([_result({"joint": value}, seed=seed) for seed, value in enumerate(seeds)]))
    percent = 100 * np.array(seeds)
    assert table[1][3:] == [f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f}", "3"]


def test_rows_stay_apart_by_data_split_method_and_protocol() -> None:
    results = [
        _result({"joint": 0.1}),
        _result({"joint": 0.2}, protocol="linear"),
        _result({"joint": 0.3}, method="cmd"),
        _result({"joint": 0.4}, split="xview"),
        _result({"joint": 0.5}, dataset="nw-ucla"),
    ]
    rows = _cells(accuracy_table(results))[1:]
    assert [row[3] for row in rows] == ["10.0", "20.0", "30.0", "40.0", "50.0"]
    assert [row[4] for row in rows] == ["1"] * 5


def test_a_stream_that_a_row_lacks_is_a_dash() -> None:
    rows = _cells(accuracy_table([_result({"joint": 0.5}), _result({"bone": 0.5}, method="moco")]))
    assert rows[0][3:5] == ["joint", "bone"]
    assert [row[3:5] for row in rows[1:]] == [["50.0", "-"], ["-", "50.0"]]


def test_the_best_test_epoch_is_a_row_of_its_own() -> None:
    best = _result({"joint": 0.6}, protocol="linear", best_test_epoch={"joint": 0.7})
    rows = _cells(accuracy_table([best]))
    assert [row[2:4] for row in rows[1:]] == [["linear", "60.0"], ["linear, best test epoch", "70.0"]]


def test_accuracy_on_held_out_people_is_a_row_of_the_streams_together() -> None:
    swept = _result({"joint": 0.5, "3-stream": 0.6}, protocol="linear-sweep", validation={"0.1": 0.4, "1.0": 0.7})
    rows = _cells(accuracy_table([swept]))
    assert [row[2:5] for row in rows[1:]] == [
        ["linear-sweep", "50.0", "60.0"],
        ["linear-sweep, validation", "-", "70.0"],
    ]
