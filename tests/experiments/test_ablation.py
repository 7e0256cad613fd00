"""Sweeps that change one setting at a time: which runs there are, their labels, and their baseline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from jobs_here import jobs_here
from refusal import refusing

import i2md
from i2md.cli.main import main
from i2md.evaluation.results import Result
from i2md.experiments.grid import Ablation
from i2md.pretraining.run import read_config

VARY = ["--vary", "method=i2md,cmd", "--vary", "encoder.hidden_size=16"]
WORDS = [*tiny.SWEEP, "--seeds", "0", "1", "--baselines", "untrained", *VARY]
LABELS = {"": "baseline", "method=cmd,": "method=cmd", "encoder.hidden_size=16,": "hidden_size=16"}


@pytest.fixture(scope="module")
def varied(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    swept, out = tiny.swept(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("varied") / "out"
    for seed in (0, 1):
        shutil.copytree(swept / f"method=cmd,seed={seed}", out / f"method=cmd,seed={seed}")
        shutil.copytree(swept / f"method=i2md,seed={seed}", out / f"seed={seed}")
    for path in out.glob("*/evaluation/*-positions.json"):
        path.unlink()
    before = _weights(out)
    with jobs_here():
        assert main(["sweep", str(clips), str(out), *WORDS, "--json", str(out.parent / "said.json")]) == 0
    assert before.items() <= _weights(out).items()
    return out


def _weights(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("*/model.safetensors")}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_runs_are_the_base_and_each_single_change(varied: Path) -> None:
    runs = {path.parent.name for path in _weights(varied)}
    assert runs == {f"{change}seed={seed}" for change in LABELS for seed in (0, 1)}
    base, change = (read_config(varied / f"{name}seed=1").settings for name in ("", "encoder.hidden_size=16,"))
    assert (base.method, base.encoder.hidden_size, change.method, change.encoder.hidden_size) == ("i2md", 8, "i2md", 16)


def test_variant_is_labelled_by_its_change_and_listed_after_the_base(varied: Path) -> None:
    results = _json(varied / "results.json")["results"]
    assert results == _json(varied.parent / "said.json")["results"]
    order = [*LABELS.values(), "untrained, baseline", "untrained, hidden_size=16"]
    assert [(r["settings"], r["result"]["seed"]) for r in results] == [
        (name, seed) for name in order for seed in (0, 1)
    ]
    for result in results[:-4]:
        change = Path(result["run"]).name.partition("seed=")[0]
        assert result["settings"] == LABELS[change]
        assert ",".join(f"{name}={value}," for name, value in result["combination"].items()) == change
    page = (varied / "report.html").read_text(encoding="utf-8")
    table = [line.split("|") for line in (varied / "table.md").read_text().splitlines() if line.startswith("|")]
    assert [row[2].strip() for row in table[2:]] == order
    assert all(f"<td>{name}</td>" in page for name in order)


def test_every_variant_is_compared_with_the_base_by_seed(varied: Path) -> None:
    data = _json(varied / "results.json")
    figures = {
        (each["settings"], each["result"]["seed"], stream): 100 * scores.accuracy
        for each in data["results"]
        for stream, scores in Result.from_dict(each["result"]).scores.items()
    }
    assert len(data["differences"]) == 2 * 4
    for pair in data["differences"]:
        assert pair["baseline"] == "baseline" and pair["of"] in ("method=cmd", "hidden_size=16")
        expected = [figures[pair["of"], s, pair["stream"]] - figures["baseline", s, pair["stream"]] for s in (0, 1)]
        assert pair["differences"] == pytest.approx(expected)
    assert "- hidden_size=16 - baseline, synthetic xsub, knn: " in (varied / "table.md").read_text()


def test_plot_has_a_panel_per_setting_with_the_base_marked(varied: Path) -> None:
    page = (varied / "report.html").read_text(encoding="utf-8")
    by_value, differences = ((varied / "plots" / f"{n}.svg").read_text() for n in ("by-value", "differences"))
    assert by_value[by_value.index("<svg") :] in page and differences[differences.index("<svg") :] in page
    for text in ("method", "encoder.hidden_size", "i2md", "cmd", "8", "16", "synthetic xsub, knn"):
        assert f">{text}</text>" in by_value
    assert by_value.count(">(baseline)<") == 2
    assert "hidden_size=16" in differences


def test_function_keeps_finished_runs(varied: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(varied, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if "seed=" in str(path)}
    settings = read_config(out / "seed=0").settings
    vary = {"method": ["i2md", "cmd"], "encoder.hidden_size": [16]}
    data = i2md.sweep(
        clips=clips,
        out=out,
        seeds=[1],
        settings=settings,
        protocol=["knn"],
        device="cpu",
        vary=vary,
        baselines=["untrained"],
    )
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if "seed=" in str(path)} == before
    assert data["base"] == {"method": "i2md", "encoder.hidden_size": 8}
    assert data["vary"] == {"method": ["cmd"], "encoder.hidden_size": [16]}
    assert {(r["settings"], r["result"]["seed"]) for r in data["results"]} >= {(name, 1) for name in LABELS.values()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "batch_size=8,16", "--vary", "batch_size=16"], "give --grid or --vary, not both"),
        (["--vary", "batch_size=8,16", "--against", "batch_size=8"], "leave --against out"),
        (["--vary", "methods=cmd"], "unknown setting 'methods': did you mean method?"),
        (["--vary", "batch_size=16", "--vary", "batch_size=32"], "batch_size is given twice"),
        (["--vary", "batch_size=16,16"], "two runs would be named batch_size=16,seed=0"),
        (["--vary", "seed=1"], "give --seeds 0 1 2"),
    ],
)
def test_contradicting_arguments_are_refused(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in refusing(tmp_path, capsys)("sweep", clips, tmp_path / "out", *tiny.SWEEP, *words)


def test_a_value_of_the_base_in_any_notation_is_no_change() -> None:
    base = i2md.PretrainSettings(batch_size=32, streams=("joint", "bone"))
    vary = {
        **{"batch_size": [64, 32, 16], "streams": [["joint", "bone"], ("bone",)]},
        **{"optimizer.weight_decay": [0, 1e-4], "optimizer.name": ["adamw"], "encoder.name": []},
    }
    ablation = Ablation.around(base, vary)
    assert [ablation.label(each) for each in ablation.combinations()] == [
        *("baseline", "batch_size=64", "batch_size=16", "streams=bone", "weight_decay=0", "optimizer.name=adamw")
    ]
    assert ablation.values("batch_size") == ["16", "32", "64"]
    assert ablation.values("streams") == ["joint+bone", "bone"]
    assert ablation.values("optimizer.weight_decay") == ["0", "0.0001"]
