"""Sweeps by the command line: results, plots, resuming after a stop and a kill, failures, invalid arguments."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import tiny
import torch
from jobs_here import jobs_here
from refusal import one_line
from safetensors.torch import load_file
from scipy import stats
from valid_latex import require_valid_latex

import i2md
from i2md.cli.main import main
from i2md.evaluation.comparison import ComparedResult
from i2md.evaluation.results import Result

# Only a deadlock takes as long.
DEADLOCK_SECONDS = 300.0
WORDS, GRID = tiny.SWEEP, tiny.GRID


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


def test_run_has_the_weights_that_pretrain_gives(swept: Path, clips: Path, tmp_path: Path) -> None:
    words = [*tiny.SETTINGS, "--method", "i2md", "--seed", "1", "--split", "xsub"]
    assert main(["pretrain", str(clips), str(tmp_path / "run"), *words]) == 0
    assert _same(_weights(tmp_path / "run"), _weights(swept / "method=i2md,seed=1"))


def test_worker_process_gives_the_run_and_the_results_of_this_process(swept: Path, clips: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out", "method=i2md,seed=1"
    words = [*WORDS, "--baselines", "none", "--grid", "method=i2md", "--seeds", "1"]
    assert main(["sweep", str(clips), str(out), *words]) == 0
    assert _same(_weights(out / run), _weights(swept / run))
    (result,) = (out / run / "evaluation").iterdir()
    assert result.read_bytes() == (swept / run / "evaluation" / result.name).read_bytes()


def test_results_of_every_run_are_kept_and_averaged(swept: Path) -> None:
    results = _json(swept / "results.json")["results"]
    assert results == _json(swept.parent / "said.json")["results"]
    compared = [ComparedResult.from_dict(each) for each in results]
    pretrained = {(each["combination"]["method"], each["result"]["seed"]) for each in results if not _baseline(each)}
    assert pretrained == {(method, seed) for method in ("cmd", "i2md") for seed in (0, 1)}
    for each in compared:
        suffix = f"-{each.result.baseline}" if each.result.baseline else ""
        own = Result.from_dict(_json(each.run / "evaluation" / f"knn-k=1-synthetic-xsub{suffix}.json"))
        assert each.result == own.summary()
    cells = _cells((swept / "table.md").read_text(encoding="utf-8"))
    assert list(cells) == [("cmd", "knn"), ("i2md", "knn"), ("positions", "knn"), ("untrained", "knn")]
    for name in ("untrained", "cmd", "i2md"):
        figures = [100 * c.result.streams["joint"].accuracy for c in compared if c.result.evaluated == name]
        assert cells[name, "knn"][0] == f"{fmean(figures):.1f} ± {stdev(figures):.1f}"
        assert cells[name, "knn"][-1] == "2"


def _baseline(compared: dict[str, Any]) -> bool:
    return compared["result"]["baseline"] is not None


def test_latex_table_has_the_rows_of_the_table(swept: Path) -> None:
    page = (swept / "table.tex").read_text(encoding="utf-8")
    require_valid_latex(page)
    assert r"\emph{synthetic xsub}" in page and r"\emph{synthetic xsub, knn, 3-stream}" in page
    rows = [line.removesuffix(r" \\").split(" & ") for line in page.splitlines() if " & " in line]
    cells = _cells((swept / "table.md").read_text(encoding="utf-8"))
    expected = [[name, protocol, *values] for (name, protocol), values in cells.items()]
    assert [[cell.replace(r"$\pm$", "±") for cell in row] for row in rows[1:5]] == expected
    assert rows[5][1:] == ["mean", r"95 \% CI", "t-test p", "corrected", "Wilcoxon p"]
    assert rows[6][0] == "i2md - cmd"


def test_untrained_encoders_are_evaluated_once_per_seed(swept: Path) -> None:
    found = sorted(path.parent.parent.name for path in swept.glob("*/evaluation/*untrained*"))
    assert found == ["method=cmd,seed=0", "method=cmd,seed=1"]


def test_positions_are_evaluated_once(swept: Path) -> None:
    (found,) = swept.glob("*/evaluation/*positions*")
    assert found.parent.parent.name == "method=cmd,seed=0"
    cells = _cells((swept / "table.md").read_text(encoding="utf-8"))
    assert cells["positions", "knn"][-1] == "1" and "±" not in cells["positions", "knn"][0]


def test_differences_are_paired_by_seed(swept: Path) -> None:
    data = _json(swept / "results.json")
    results = [Result.from_dict(each["result"]) for each in data["results"]]
    figures = {
        (result.evaluated, result.seed, stream): 100 * scores.accuracy
        for result in results
        for stream, scores in result.scores.items()
    }
    assert {pair["stream"] for pair in data["differences"]} == {"joint", "motion", "bone", "ensemble"}
    assert {pair["variant"]["k"] for pair in data["differences"]} == {1}
    for pair in data["differences"]:
        of, base = ([figures[m, seed, pair["stream"]] for seed in (0, 1)] for m in ("i2md", "cmd"))
        assert pair["differences"] == pytest.approx([a - b for a, b in zip(of, base, strict=True)])
        if len(set(pair["differences"])) > 1:
            assert pair["t_test"] == pytest.approx(stats.ttest_rel(of, base).pvalue)
        assert pair["wilcoxon"] is None
    (shown,) = re.findall(r"^- i2md - cmd, synthetic xsub, knn: .*$", (swept / "table.md").read_text(), re.M)
    (ensemble,) = [pair for pair in data["differences"] if pair["stream"] == "ensemble"]
    assert ", ".join(f"{value:+.1f}" for value in ensemble["differences"]) in shown


def test_plots_are_written_and_in_the_report(swept: Path) -> None:
    page = (swept / "report.html").read_text(encoding="utf-8")
    for name in ("by-value", "differences"):
        drawing = (swept / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawing[drawing.index("<svg") :] in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert (swept / "table.md").read_text().splitlines()[-1].removeprefix("- ").split(":")[0] in page


def test_finished_runs_are_kept_for_the_same_and_for_fewer_seeds(swept: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(swept, out)
    before = {path: path.stat().st_mtime_ns for run in out.glob("method=*") for path in run.rglob("*")}
    assert main(["sweep", str(clips), str(out), *WORDS, *GRID]) == 0
    assert main(["sweep", str(clips), str(out), *WORDS, *GRID[:3], "0"]) == 0
    assert {path: path.stat().st_mtime_ns for run in out.glob("method=*") for path in run.rglob("*")} == before
    assert {each["result"]["seed"] for each in _json(out / "results.json")["results"]} == {0}


# In a worker, the log is opened once an epoch: at the NUMBERth time the worker reports that, and waits for a signal.
GATE = """
import os, select, signal, sys

number, _, pipe = os.environ.get("I2MD_TEST_GATE", "").partition(":")
opened = 0

def wait_for_signal():
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    with open(pipe, "w") as file:
        file.write("x")
    select.select([readable], [], [])

def hook(event, args):
    global opened
    if event == "open" and args[1] == "a" and str(args[0]).endswith("log.jsonl"):
        opened += 1
        if opened == int(number):
            wait_for_signal()

if number and "i2md.experiments.job" in sys.orig_argv:
    sys.addaudithook(hook)
"""


class Gate:
    """Makes the workers of a sweep wait in an epoch until they get a signal, by an audit hook in sitecustomize.py."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(GATE, encoding="utf-8")
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        self._reader = os.open(self._pipe, os.O_RDWR)
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))

    def close_in_epoch(self, number: int) -> None:
        """Let the workers that are started from now on wait before they log their NUMBERth epoch."""
        self._monkeypatch.setenv("I2MD_TEST_GATE", f"{number}:{self._pipe}")

    def open(self) -> None:
        """Let no worker wait any more."""
        self._monkeypatch.delenv("I2MD_TEST_GATE")

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers have come to the gate."""
        for _ in range(workers):
            assert select.select([self._reader], [], [], DEADLOCK_SECONDS)[0], "a worker has not come to the gate"
            assert os.read(self._reader, 1) == b"x"


def _wait_for_workers(logs: Path, number: int) -> None:
    """Wait until the workers have ended: each holds a lock on its log."""
    paths = sorted(logs.iterdir())
    assert len(paths) == number
    for path in paths:
        with open(path, "a", encoding="utf-8") as log:
            fcntl.flock(log, fcntl.LOCK_EX)


def _epochs(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


@pytest.mark.slow
def test_stopped_and_killed_sweep_resumes_to_the_same_bytes(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, gate = tmp_path / "out", Gate(tmp_path / "gate", monkeypatch)
    # A state is saved by the signal alone.
    settings = [*tiny.SETTINGS, "--epochs", "6", "--knn_every", "0", "--method", "cmd"]
    words = [*settings, "--protocol", "knn", "--seeds", "0", "1", "--jobs", "2"]
    runs = [out / "seed=0", out / "seed=1"]

    gate.close_in_epoch(2)
    process = tiny.start("sweep", clips, out, *words)
    gate.wait_for(2)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=DEADLOCK_SECONDS)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1] == "i2md: stopped; run the same command again to resume"
    assert "Traceback" not in error and not (out / "table.md").exists()
    for run in runs:
        assert (run / "training_state.safetensors").is_file() and not (run / "model.safetensors").is_file()
        assert _epochs(run) == 2

    process = tiny.start("sweep", clips, out, *words, "--seeds", "0")
    gate.wait_for(1)
    process.kill()
    process.communicate(timeout=DEADLOCK_SECONDS)
    _wait_for_workers(out / "logs", 2)
    assert [_epochs(run) for run in runs] == [4, 2]
    assert not any((run / "model.safetensors").is_file() for run in runs)

    gate.open()
    with jobs_here():
        assert main(["sweep", str(clips), str(out), *words]) == 0
    assert main(["pretrain", str(clips), str(tmp_path / "uninterrupted"), *settings]) == 0
    assert _same(_weights(tmp_path / "uninterrupted"), _weights(out / "seed=0"))


def test_failed_runs_are_listed_with_their_reason_and_the_others_finish(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    grid = ["--grid", "optimizer.learning_rate=0.001,1e30", "batch_size=8,12", "--seeds", "0"]
    with jobs_here():
        assert main(["sweep", str(clips), str(out), *WORDS, *grid]) == 2
    said = capsys.readouterr()
    data = _json(out / "results.json")["failed"]
    failed = {name: failure["reason"] for name, failure in data.items()}
    assert "not finite" in failed.pop("optimizer.learning_rate=1e+30,batch_size=8,seed=0")
    assert len(failed) == 2
    assert all("objectives.queue_size 32 must be a multiple of batch_size 12" in reason for reason in failed.values())
    assert said.err.splitlines()[-1].startswith("i2md: 3 runs failed; optimizer.learning_rate=")
    assert "Traceback" not in said.err
    assert len(_cells(said.out)) == 3
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
        (["--seed", "1"], "unknown option --seed: did you mean --seeds?"),
        (["--grid", "batch_size=8,16", "--against", "batch_size=32"], "batch_size=32 is not in the grid"),
        (["--grid", "batch_size=8,16", "--against", "batch_size=8,16"], "give one value"),
        (["--grid", "batch_size=12"], "all 3 runs failed; batch_size=12,seed=0: objectives.queue_size 32"),
        (["--protocol", "svm"], "choose among knn, retrieval, cluster, ridge, calibration"),
        (["--baselines", "raw"], "unknown baseline 'raw'"),
        (["--split", "xview"], "xview"),
        (["--jobs", "0"], "--jobs 0: give at least 1"),
        (["--device", "tpu"], "choose auto, cpu, cuda or cuda:N"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_written(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert said in _refused(capsys, "sweep", clips, tmp_path / "out", *WORDS, *words)
    assert not any(tmp_path.iterdir())


def test_runs_of_other_settings_are_not_overwritten(
    swept: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in swept.rglob("*")}
    said = _refused(capsys, "sweep", clips, swept, *WORDS, *GRID, "--epochs", "3")
    assert "method=cmd,seed=0: holds a run that differs in epochs; name another folder" in said
    assert {path: path.stat().st_mtime_ns for path in swept.rglob("*")} == before


def test_report_of_the_runs_has_the_table_of_the_sweep(
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


def test_report_refuses_a_folder_that_is_not_a_run(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _refused(capsys, "report", swept / "method=cmd,seed=0", tmp_path, "--out", tmp_path / "c.html")
    assert "not a run (config.yaml is missing)" in said
    assert not any(tmp_path.iterdir())


def test_function_takes_values_of_settings(swept: Path, clips: Path, tmp_path: Path) -> None:
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
    assert len([each for each in data["results"] if not _baseline(each)]) == 4


def _recipe(out: Path, folder: Path) -> Path:
    import yaml

    settings = yaml.safe_load((out / "method=cmd,seed=0" / "config.yaml").read_text(encoding="utf-8"))["settings"]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
