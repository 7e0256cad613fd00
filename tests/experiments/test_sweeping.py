"""A sweep from beginning to end, as a user types it: every figure, nothing done twice, killed, stopped, failing."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import tiny
import torch
from refusal import one_line
from safetensors.torch import load_file
from scipy import stats

import i2md
from i2md.cli.main import main

PATIENCE = 300.0
WORDS, GRID = tiny.SWEEP, tiny.GRID


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.swept(tmp_path_factory.getbasetemp())


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _cells(table: str) -> dict[tuple[str, str], list[str]]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return {(row[1], row[2]): row[3:] for row in rows[2:]}


def test_a_run_is_what_pretrain_makes_of_the_same_settings(swept: Path, clips: Path, tmp_path: Path) -> None:
    words = [*tiny.SETTINGS, "--method", "i2md", "--seed", "1", "--split", "xsub"]
    assert main(["pretrain", str(clips), str(tmp_path / "run"), *words]) == 0
    assert _same(_weights(tmp_path / "run"), _weights(swept / "method=i2md,seed=1"))


def test_every_figure_of_every_run_is_kept_and_averaged(swept: Path) -> None:
    results = _json(swept / "results.json")["results"]
    assert results == _json(swept.parent / "said.json")["results"]
    trained = [result for result in results if result["method"] != "untrained"]
    assert {(r["combination"]["method"], r["seed"]) for r in trained} == {
        (m, s) for m in ("cmd", "i2md") for s in (0, 1)
    }
    for result in results:
        suffix = "-untrained" if result["method"] == "untrained" else ""
        theirs = _json(Path(result["run"]) / "evaluation" / f"knn-synthetic-xsub{suffix}.json")
        assert result["accuracy"] == theirs["accuracy"] and result["seed"] == theirs["seed"]
    cells = _cells((swept / "table.md").read_text(encoding="utf-8"))
    assert list(cells) == [("untrained", "knn"), ("cmd", "knn"), ("i2md", "knn")]
    for method in ("untrained", "cmd", "i2md"):
        figures = [100 * r["accuracy"]["joint"] for r in results if r["method"] == method]
        assert cells[method, "knn"][0] == f"{fmean(figures):.1f} ± {stdev(figures):.1f}"
        assert cells[method, "knn"][-1] == "2"


def test_the_encoders_before_training_are_evaluated_once_a_seed(swept: Path) -> None:
    found = sorted(path.parent.parent.name for path in swept.glob("*/evaluation/*untrained*"))
    assert found == ["method=cmd,seed=0", "method=cmd,seed=1"]


def test_differences_are_paired_by_seed(swept: Path) -> None:
    data = _json(swept / "results.json")
    figures = {
        (r["method"], r["seed"], stream): 100 * value
        for r in data["results"]
        for stream, value in r["accuracy"].items()
    }
    assert {pair["stream"] for pair in data["differences"]} == {"joint", "motion", "bone", "3-stream"}
    for pair in data["differences"]:
        of, base = ([figures[m, seed, pair["stream"]] for seed in (0, 1)] for m in ("i2md", "cmd"))
        assert pair["differences"] == pytest.approx([a - b for a, b in zip(of, base, strict=True)])
        if len(set(pair["differences"])) > 1:
            assert pair["t_test"] == pytest.approx(stats.ttest_rel(of, base).pvalue)
        assert pair["wilcoxon"] is None
    (shown,) = re.findall(r"^- i2md - cmd, synthetic xsub, knn: .*$", (swept / "table.md").read_text(), re.M)
    (ensemble,) = [pair for pair in data["differences"] if pair["stream"] == "3-stream"]
    assert ", ".join(f"{value:+.1f}" for value in ensemble["differences"]) in shown


def test_plots_stand_beside_the_table_and_in_the_report(swept: Path) -> None:
    page = (swept / "report.html").read_text(encoding="utf-8")
    for name in ("by-value", "differences"):
        drawing = (swept / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawing[drawing.index("<svg") :] in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert (swept / "table.md").read_text().splitlines()[-1].removeprefix("- ").split(":")[0] in page


def test_what_is_done_is_not_done_again_and_more_seeds_may_follow(swept: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(swept, out)
    before = {path: path.stat().st_mtime_ns for run in out.glob("method=*") for path in run.rglob("*")}
    assert main(["sweep", str(clips), str(out), *WORDS, *GRID]) == 0
    assert main(["sweep", str(clips), str(out), *WORDS, *GRID[:3], "0"]) == 0
    assert {path: path.stat().st_mtime_ns for run in out.glob("method=*") for path in run.rglob("*")} == before
    assert {result["seed"] for result in _json(out / "results.json")["results"]} == {0}


def _end_when(process: subprocess.Popen[str], reached: Callable[[], bool], number: int) -> str:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not reached() and time.monotonic() < deadline:
        time.sleep(0.005)
    children = _children(process)
    process.send_signal(number)
    stderr = process.communicate(timeout=PATIENCE)[1]
    # Nobody is left at work on what is no longer waited for.
    while any(child.exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(child.exists() for child in children)
    return stderr


def _children(process: subprocess.Popen[str]) -> list[Path]:
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [Path("/proc") / number for number in told.read_text().split()] if told.is_file() else []


def _epochs(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def test_stopped_and_killed_it_goes_on_to_the_same_end(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Long enough to be hit in the middle; a state is saved by the signal alone.
    long = [*tiny.SETTINGS, "--epochs", "150", "--knn_every", "0", "--method", "cmd"]
    words = [*long, "--protocol", "knn", "--seeds", "0", "1", "--jobs", "2"]
    runs = [out / "seed=0", out / "seed=1"]
    process = tiny.start("sweep", clips, out, *words)
    stderr = _end_when(process, lambda: any(_epochs(run) for run in runs), signal.SIGTERM)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "i2md: stopped; the same command goes on from here"
    assert "Traceback" not in stderr
    assert not (out / "table.md").exists()
    saved = [run for run in runs if (run / "training_state.safetensors").is_file()]
    assert saved and not any((run / "model.safetensors").is_file() for run in runs)
    before = {run: _epochs(run) for run in saved}

    process = tiny.start("sweep", clips, out, *words)
    _end_when(process, lambda: any(_epochs(run) > before[run] + 2 for run in saved), signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert all(_epochs(run) >= before[run] for run in saved)
    assert main(["sweep", str(clips), str(out), *words]) == 0
    assert main(["pretrain", str(clips), str(tmp_path / "straight"), *long]) == 0
    assert _same(_weights(tmp_path / "straight"), _weights(out / "seed=0"))


def test_what_fails_is_named_with_its_reason_and_the_others_go_on(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    grid = ["--grid", "optimizer.learning_rate=0.001,1e30", "batch_size=8,12", "--seeds", "0"]
    assert main(["sweep", str(clips), str(out), *WORDS, *grid]) == 2
    said = capsys.readouterr()
    data = _json(out / "results.json")["failed"]
    failed = {name: failure["reason"] for name, failure in data.items()}
    assert "not finite" in failed.pop("optimizer.learning_rate=1e+30,batch_size=8,seed=0")
    assert len(failed) == 2
    assert all("objectives.queue_size 32 must be a multiple of batch_size 12" in reason for reason in failed.values())
    assert said.err.splitlines()[-1].startswith("i2md: 3 runs failed; optimizer.learning_rate=")
    assert "Traceback" not in said.err
    assert len(_cells(said.out)) == 1
    assert said.out.count("not finite") == 1
    assert "not finite" in (out / "report.html").read_text(encoding="utf-8")


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    return one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "methods=cmd"], "unknown setting 'methods': did you mean method?"),
        (["--grid", "method=cmd,simclr"], "'moco', 'cmd', 'imd', 'i2md'"),
        (["--grid", "method"], "write NAME=VALUE,VALUE"),
        (["--grid", "batch_size=8", "--grid", "batch_size=16"], "batch_size is given twice"),
        (["--grid", "batch_size=8,8"], "two runs would be named batch_size=8,seed=0"),
        (["--grid", "seed=1,2"], "give --seeds 0 1 2"),
        (["--seeds", "0", "0"], "two runs would be named seed=0"),
        (["--seed", "1"], "unknown option --seed: did you mean seeds?"),
        (["--grid", "batch_size=8,16", "--against", "batch_size=32"], "batch_size=32 is not in the grid"),
        (["--grid", "batch_size=8,16", "--against", "batch_size=8,16"], "give one value"),
        (["--grid", "batch_size=12"], "all 3 runs failed; batch_size=12,seed=0: objectives.queue_size 32"),
        (["--protocol", "svm"], "choose among knn, retrieval, linear, linear-sweep"),
        (["--split", "xview"], "xview"),
        (["--jobs", "0"], "--jobs 0: give at least 1"),
        (["--device", "tpu"], "choose auto, cpu, cuda or cuda:N"),
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_begins(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in _refused(capsys, "sweep", clips, tmp_path / "out", *WORDS, *words)
    assert not any(tmp_path.iterdir())


def test_runs_of_other_settings_are_left_alone(swept: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    said = _refused(capsys, "sweep", clips, swept, *WORDS, *GRID, "--epochs", "3")
    assert "method=cmd,seed=0: holds a run that differs in epochs; name another folder" in said
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before


def test_runs_side_by_side_are_the_sweeps_table(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sorted(map(str, swept.glob("method=*")))
    capsys.readouterr()
    assert main(["report", *runs, "--out", str(tmp_path / "c.html"), "--json", str(tmp_path / "c.json")]) == 0
    printed = capsys.readouterr().out
    assert _cells(printed) == _cells((swept / "table.md").read_text(encoding="utf-8"))
    assert "differing: method" in printed
    assert _json(tmp_path / "c.json")["differing"] == ["method"]
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[0])
    logs = [[json.loads(line) for line in (Path(run) / "log.jsonl").read_text().splitlines()] for run in runs]
    (chart,) = [chart for chart in data["losses"] if chart["title"] == "Contrast within a stream: joint"]
    for line, pair in zip(chart["lines"], (logs[:2], logs[2:]), strict=True):
        values = [[log[epoch]["contrast/joint"] for log in pair] for epoch in (0, 1)]
        assert line["x"] == [1, 2]
        assert line["y"] == pytest.approx([fmean(v) for v in values], rel=1e-5)
        assert line["high"] == pytest.approx([fmean(v) + stdev(v) for v in values], rel=1e-5)
    assert [line["name"] for line in chart["lines"]] == ["cmd", "i2md"]


def test_a_folder_that_is_no_run_is_refused(swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(capsys, "report", swept / "method=cmd,seed=0", tmp_path, "--out", tmp_path / "c.html")
    assert "not a run (config.yaml is missing)" in said
    assert not any(tmp_path.iterdir())


def test_the_function_takes_values_as_they_are(swept: Path, clips: Path, tmp_path: Path) -> None:
    settings = i2md.load_recipe(str(_recipe(swept, tmp_path)))
    out = tmp_path / "out"
    shutil.copytree(swept, out)
    data = i2md.sweep(
        clips=clips,
        out=out,
        grid={"method": ["cmd", "i2md"]},
        seeds=[0, 1],
        settings=settings,
        protocol=["knn"],
        device="cpu",
    )
    assert len([result for result in data["results"] if result["method"] != "untrained"]) == 4


def _recipe(out: Path, folder: Path) -> Path:
    import yaml

    settings = yaml.safe_load((out / "method=cmd,seed=0" / "config.yaml").read_text(encoding="utf-8"))["settings"]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
