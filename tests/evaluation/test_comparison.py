"""Runs beside one another: which are one configuration, what it is called, and what its curves show."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.report.comparison_page import write_comparison
from i2md.evaluation.report.curves import overlaid_charts
from i2md.evaluation.table import accuracy_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.run(tmp_path_factory.getbasetemp())


def _like(run: Path, folder: Path, accuracy: float | None = None, **changes: Any) -> Path:
    """A run's folder with other settings, and a result if it is to have one."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.safetensors", "evaluation", "tensorboard"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for name, value in changes.items():
        *rooms, last = name.split("__")
        place = config["settings"]
        for room in rooms:
            place = place[room]
        place[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for method in () if accuracy is None else (config["settings"]["method"], "untrained"):
        where = {"protocol": "knn", "dataset": "d", "split": "s", "seed": config["settings"]["seed"]}
        result = {**where, "method": method, "accuracy": {"joint": accuracy if method != "untrained" else 0.25}}
        (folder / "evaluation").mkdir(exist_ok=True)
        (folder / "evaluation" / f"knn-{method}.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def test_seeds_are_one_line_and_settings_are_told_apart(run: Path, tmp_path: Path) -> None:
    comparison = compare_runs(
        [
            _like(run, tmp_path / "a", 0.5, seed=0, method="cmd"),
            _like(run, tmp_path / "b", 0.7, seed=1, method="cmd", checkpoint_minutes=1.0, knn_every=0),
            _like(run, tmp_path / "c", 0.75, seed=0, objectives__dna_neighbours=2),
            _like(run, tmp_path / "d", 0.8, seed=0, objectives__dna_neighbours=4),
        ]
    )
    assert comparison.differing == ["method", "objectives.dna_num_neighbours"]
    assert {label: len(runs) for label, runs in comparison.variants.items()} == {
        "cmd, dna_num_neighbours=4": 2,
        "i2md, dna_num_neighbours=2": 1,
        "i2md, dna_num_neighbours=4": 1,
    }
    rows = accuracy_rows(comparison.results(), by="settings")
    assert [row[1:] for row in rows] == [
        ["settings", "protocol", "joint", "seeds"],
        ["untrained", "knn", "25.0 ± 0.0", "2"],
        ["cmd, dna_num_neighbours=4", "knn", "60.0 ± 14.1", "2"],
        ["i2md, dna_num_neighbours=2", "knn", "75.0", "1"],
        ["i2md, dna_num_neighbours=4", "knn", "80.0", "1"],
    ]


def test_encoders_before_training_are_told_apart_by_what_makes_them(run: Path, tmp_path: Path) -> None:
    small, large = _like(run, tmp_path / "a", 0.5, encoder__units=8), _like(run, tmp_path / "b", 0.5, encoder__units=16)
    called = [result["settings"] for result in compare_runs([small, large]).results()]
    assert called == ["untrained, hidden_size=8", "untrained, hidden_size=16", "hidden_size=8", "hidden_size=16"]


def test_runs_that_have_names_are_called_by_them(run: Path, tmp_path: Path) -> None:
    base, other = _like(run, tmp_path / "a", 0.5), _like(run, tmp_path / "b", 0.5, objectives__bank=64)
    larger = _like(run, tmp_path / "c", 0.5, encoder__units=16, objectives__bank=64)
    comparison = compare_runs([base, other, larger], {base: "as is", other: "queue_size=64"})
    assert list(comparison.variants) == ["as is", "queue_size=64", "hidden_size=16, queue_size=64"]
    called = [result["settings"] for result in comparison.results()]
    assert called == ["untrained, as is", "untrained, hidden_size=16", *comparison.variants]


def test_accuracy_on_held_out_people_is_kept(run: Path, tmp_path: Path) -> None:
    folder = _like(run, tmp_path / "a", 0.5)
    path = folder / "evaluation" / "knn-i2md.json"
    result = json.loads(path.read_text()) | {"protocol": "linear-sweep", "validation": {"0.1": 0.75, "1": 0.5}}
    path.write_text(json.dumps(result))
    (row,) = [r for r in accuracy_rows(compare_runs([folder]).results(), by="settings") if "validation" in r[2]]
    assert row[1:] == ["i2md", "linear-sweep, validation", "75.0", "1"]


def test_a_run_given_twice_and_one_not_evaluated_are_said(run: Path, tmp_path: Path) -> None:
    first, again = _like(run, tmp_path / "a", 0.5), _like(run, tmp_path / "b", 0.9)
    bare = _like(run, tmp_path / "<bare>", seed=1)
    comparison = compare_runs([first, again, bare])
    assert [each.path for each in comparison.runs] == [first, bare]
    assert list(comparison.notes) == [
        f"{again} has the settings and the seed of {first}; it is left out.",
        f"{bare}: not evaluated; i2md evaluate does it.",
    ]
    page = write_comparison(comparison, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "&lt;bare&gt;" in page and "<bare>" not in page
    assert "Nothing but the seed: 0, 1." in page
    assert not re.search(r'(src|href)="(?!#)', page)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_line_is_the_mean_of_its_runs_and_its_band_their_deviation(losses: list[list[float]]) -> None:
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


def test_a_variant_keeps_its_colour_and_a_diverged_run_leaves_a_gap() -> None:
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
