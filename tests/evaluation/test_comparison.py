"""Comparison of runs: which are one variant, its label, its results and its curves."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.evaluation.comparison import RunComparison, compare_runs
from i2md.evaluation.report.curves import overlaid_charts
from i2md.evaluation.report.pages import write_comparison
from i2md.evaluation.results import Result, Scores, read_results, write_result
from i2md.evaluation.table import accuracy_rows


def _like(run: Path, folder: Path, accuracy: float | None = None, **changes: Any) -> Path:
    """A run's folder with other settings, and a result if it is to have one."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.safetensors", "evaluation", "tensorboard"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for name, value in changes.items():
        *sections, last = name.split("__")
        node = config["settings"]
        for section in sections:
            node = node[section]
        node[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for baseline, value in () if accuracy is None else ((None, accuracy), ("untrained", 0.25)):
        where = {"protocol": "knn", "dataset": "d", "split": "s", "seed": config["settings"]["seed"]}
        streams = {"joint": Scores(value)}
        result = Result(**where, method=config["settings"]["method"], streams=streams, baseline=baseline)
        write_result(folder / "evaluation", result)
    return folder


def _rows(comparison: RunComparison) -> list[list[str]]:
    compared = comparison.results()
    return accuracy_rows([each.result for each in compared], [each.label for each in compared])


def test_seeds_are_one_row_and_settings_label_the_variants(run: Path, tmp_path: Path) -> None:
    comparison = compare_runs(
        [
            _like(run, tmp_path / "a", 0.5, seed=0, method="cmd"),
            _like(run, tmp_path / "b", 0.7, seed=1, method="cmd", checkpoint_minutes=1.0, knn_every=0),
            _like(run, tmp_path / "c", 0.75, seed=0, objectives__dna_num_neighbours=2),
            _like(run, tmp_path / "d", 0.8, seed=0, objectives__dna_num_neighbours=4),
        ]
    )
    assert comparison.differing == ["method", "objectives.dna_num_neighbours"]
    assert {label: len(runs) for label, runs in comparison.variants.items()} == {
        "cmd, dna_num_neighbours=4": 2,
        "i2md, dna_num_neighbours=2": 1,
        "i2md, dna_num_neighbours=4": 1,
    }
    rows = _rows(comparison)
    assert [row[1:] for row in rows] == [
        ["settings", "protocol", "joint", "seeds"],
        ["cmd, dna_num_neighbours=4", "knn", "60.0 ± 14.1", "2"],
        ["i2md, dna_num_neighbours=2", "knn", "75.0", "1"],
        ["i2md, dna_num_neighbours=4", "knn", "80.0", "1"],
        ["untrained", "knn", "25.0 ± 0.0", "2"],
    ]


def test_baselines_are_labelled_by_the_settings_that_initialise_the_encoders(run: Path, tmp_path: Path) -> None:
    small, large = (
        _like(run, tmp_path / "a", 0.5, encoder__hidden_size=8),
        _like(run, tmp_path / "b", 0.5, encoder__hidden_size=16),
    )
    called = [each.label for each in compare_runs([small, large]).results()]
    assert called == ["hidden_size=8", "hidden_size=16", "untrained, hidden_size=8", "untrained, hidden_size=16"]


def test_positions_are_one_row_of_one_seed_whatever_the_encoders(run: Path, tmp_path: Path) -> None:
    folders = [
        _like(run, tmp_path / "a", 0.5, seed=0, encoder__hidden_size=8),
        _like(run, tmp_path / "b", 0.5, seed=1, encoder__hidden_size=16),
    ]
    for folder in folders:
        (result,) = [each for each in read_results(folder / "evaluation") if each.baseline is None]
        for name in ("positions", "minirocket"):
            write_result(folder / "evaluation", dataclasses.replace(result, baseline=name, epochs=0))
    rows = _rows(compare_runs(folders))
    assert [row[1:] for row in rows[3:] if "untrained" not in row[1]] == [
        ["minirocket", "knn", "50.0 ± 0.0", "2"],
        ["positions", "knn", "50.0", "1"],
    ]


def test_given_labels_replace_the_settings(run: Path, tmp_path: Path) -> None:
    base, other = _like(run, tmp_path / "a", 0.5), _like(run, tmp_path / "b", 0.5, objectives__queue_size=64)
    larger = _like(run, tmp_path / "c", 0.5, encoder__hidden_size=16, objectives__queue_size=64)
    comparison = compare_runs([base, other, larger], {base: "as is", other: "queue_size=64"})
    assert list(comparison.variants) == ["as is", "queue_size=64", "hidden_size=16, queue_size=64"]
    called = [each.label for each in comparison.results()]
    assert called == [*comparison.variants, "untrained, as is", "untrained, hidden_size=16"]


def test_accuracy_on_held_out_subjects_is_in_the_comparison(run: Path, tmp_path: Path) -> None:
    folder = _like(run, tmp_path / "a", 0.5)
    (result,) = [each for each in read_results(folder / "evaluation") if each.baseline is None]
    swept = dataclasses.replace(result, protocol="linear-sweep", validation={"0.1": 0.75, "1": 0.5})
    write_result(folder / "evaluation", swept)
    (row,) = [row for row in _rows(compare_runs([folder])) if "validation" in row[2]]
    assert row[1:] == ["i2md", "linear-sweep, validation", "75.0", "1"]


def test_a_run_given_twice_and_a_run_without_results_are_noted(run: Path, tmp_path: Path) -> None:
    first, again = _like(run, tmp_path / "a", 0.5), _like(run, tmp_path / "b", 0.9)
    bare = _like(run, tmp_path / "<bare>", seed=1)
    comparison = compare_runs([first, again, bare])
    assert [each.path for each in comparison.runs] == [first, bare]
    assert list(comparison.notes) == [
        f"{again} has the settings and the seed of {first}; it is left out.",
        f"{bare}: not evaluated; evaluate it with i2md evaluate.",
    ]
    page = write_comparison(comparison, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "&lt;bare&gt;" in page and "<bare>" not in page
    assert "Only the seed differs: 0, 1." in page
    assert not re.search(r'(src|href)="(?!#)', page)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_curve_is_the_mean_of_the_runs_and_its_band_the_standard_deviation(losses: list[list[float]]) -> None:
    logs = [[{"epoch": epoch, "loss": value} for epoch, value in enumerate(run, 1)] for run in losses]
    (chart,) = overlaid_charts({"one": logs})
    (line,) = chart["lines"]
    assert line["x"] == list(range(1, max(map(len, losses)) + 1))
    for epoch, mean in zip(line["x"], line["y"], strict=True):
        values = np.array([run[epoch - 1] for run in losses if len(run) >= epoch])
        assert mean == pytest.approx(values.mean(), rel=1e-4, abs=1e-2)
        if len(losses) > 1:
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            assert line["high"][epoch - 1] - line["low"][epoch - 1] == pytest.approx(2 * spread, rel=1e-3, abs=3e-2)
    assert ("low" in line) == (len(losses) > 1)


def test_a_variant_keeps_its_colour_and_values_that_are_not_finite_are_gaps() -> None:
    moco = [{"epoch": 1, "contrast/joint": 1.0}, {"epoch": 2, "contrast/joint": float("nan")}]
    cmd = [{"epoch": 1, "contrast/joint": 2.0, "cmd/joint>bone": 3.0}]
    charts = {chart["title"]: chart["lines"] for chart in overlaid_charts({"moco": [moco], "cmd": [cmd, cmd]})}
    contrast, between = charts.values()
    assert list(charts) == ["Contrast within a stream: joint", "Distillation between streams (CMD): joint to bone"]
    assert [(line["name"], line["slot"], line["y"]) for line in contrast] == [
        ("moco", 0, [1.0, None]),
        ("cmd", 1, [2.0]),
    ]
    assert [(line["name"], line["slot"]) for line in between] == [("cmd", 1)]
