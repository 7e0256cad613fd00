"""Rows of the report's table: which stand where, what they are called, and what their numbers count."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from made_report import Page, made_clips, made_result, made_run

from i2md.evaluation.report.confusion import best_confusion
from i2md.evaluation.report.pages import write_report
from i2md.evaluation.report.result_rows import common_data, result_rows
from i2md.evaluation.results import Result, Scores, write_result

BASELINES = ("untrained", "positions", "minirocket")


def drawn(accuracy: list[list[int]], draw: int, **changes: object) -> Result:
    right = sum(accuracy[i][i] for i in range(len(accuracy))) / sum(map(sum, accuracy))
    scores = {"joint": Scores(right, confusion=accuracy)}
    return made_result(protocol="semi", label_fraction=0.05, draw=draw, streams=scores, ensemble=None, **changes)


@pytest.mark.parametrize("order", list(itertools.permutations((None, *BASELINES)))[::5])
def test_baselines_stand_below_and_have_titles_of_their_own(order: tuple[str | None, ...]) -> None:
    results = [made_result(protocol=protocol, baseline=name) for name in order for protocol in ("knn", "linear")]
    rows = result_rows(results)
    titles = [row["title"] for row in rows]
    assert len(set(titles)) == len(titles)
    assert [row["baseline"] for row in rows] == [""] * 4 + [name for name in sorted(BASELINES) for _ in range(4)]
    for row in rows:
        assert row["title"].startswith(f"{row['baseline']}, ") == bool(row["baseline"])
        assert not (row["main"] and row["baseline"])


def test_the_page_names_each_baseline_above_its_rows(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    for name in BASELINES:
        write_result(run / "evaluation", made_result(baseline=name))
    text = Page(write_report(run, made_clips())).text
    at = [text.index(f"Baseline \N{LEFT DOUBLE QUOTATION MARK}{name}") for name in sorted(BASELINES)]
    assert at == sorted(at) and text.index("linear, best test epoch") < at[0]
    for name, place in zip(sorted(BASELINES), at, strict=True):
        assert text.index(f"{name}, linear") > place


def test_data_that_all_rows_share_is_said_once(tmp_path: Path) -> None:
    same = result_rows([made_result(), made_result(protocol="knn")])
    assert common_data(same) == "made up cross-subject, 431 training and 437 test clips"
    assert common_data(result_rows([made_result(), made_result(split="cross-view")])) == ""
    assert common_data([]) == ""


def test_numbers_of_labels_are_said_of_all_draws() -> None:
    draws = [drawn([[1]], draw, labelled_clips=["clip"] * count) for draw, count in enumerate((27, 25, 29))]
    assert "25 to 29 labels" in result_rows(draws)[0]["about"]
    assert "27 labels" in result_rows(draws[:1])[0]["about"]
    assert result_rows(draws[:1])[0]["title"] == "semi, 5 % of the labels, 1 draw"


def test_clips_are_counted_in_whole_numbers_also_over_draws() -> None:
    first, second = [[6, 10, 0], [0, 4, 0], [1, 0, 3]], [[7, 9, 0], [0, 4, 0], [0, 0, 4]]
    (one,) = [best_confusion([drawn(first, 0)])]
    assert one is not None and one["bars"][0]["right"] == "6 of 16 clips" and one["bars"][0]["percent"] == "37.5"
    both = best_confusion([drawn(first, 0), drawn(second, 1)])
    assert both is not None and both["counts"][0] == [13, 19, 0]
    assert both["bars"][0]["right"] == "13 of 32 clips in 2 draws"
    assert both["title"] == "semi, 5 % of the labels, joint, 2 draws of the labels added up"


def test_results_of_all_labels_come_before_those_of_draws() -> None:
    perfect = [drawn([[4, 0, 0], [0, 4, 0], [0, 0, 4]], draw) for draw in range(2)]
    shown = best_confusion([*perfect, made_result()])
    assert shown is not None and shown["title"] == "linear, 3-stream"


def test_the_page_does_not_confuse_percent_and_counts(tmp_path: Path) -> None:
    page = Page(write_report(made_run(tmp_path / "run"), made_clips()))
    assert "50.0 %2 of 4 clips" in page.text
    assert " ".join(page.text.split()).count(" % of ") == 0
