"""A table from beginning to end, as a user types it: printed, written, taken up again, refused, and tried dry."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import tiny
from refusal import one_line
from test_claims import require_sound_latex

from i2md.cli.main import main
from i2md.data.store import open_clips
from i2md.evaluation.results import Result, average_draws, read_results
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import with_values
from i2md.experiments.job import Evaluation
from i2md.experiments.reproduce.claims import Cell
from i2md.experiments.reproduce.figures import read_figures
from i2md.experiments.reproduce.table import load_table, outcome_name
from i2md.recipes import load_recipe

# Sizes alone: everything else is the table's.
SMALL = [
    *("batch_size=8", "views.frames=8", "encoder.hidden_size=8", "encoder.num_layers=1", "objectives.embedding_dim=8"),
    *("objectives.queue_size=32", "objectives.num_neighbours=8"),
]
SHORT = ["objectives.warmup_steps=2", "linear.epochs=2", "finetune.epochs=2", "semi.label_fractions=[0.25,0.5]"]
WORDS = [
    "--seeds",
    "0",
    "1",
    "--methods",
    "untrained",
    "supervised",
    "moco",
    "i2md",
    "--epochs",
    "2",
    "--device",
    "cpu",
]
WORDS += ["--jobs", "1", "--change", *SMALL, *SHORT]
RUNS = ["i2md,seed=0", "i2md,seed=1", "moco,seed=0", "moco,seed=1"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.clips(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    words = ["reproduce", "utd-mhad", str(out), "--clips", str(clips), *WORDS]
    assert main([*words, "--json", str(out.parent / "said.json")]) == 0
    return out


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for run in RUNS for path in (out / run).rglob("*")}


def _results(out: Path, name: str, seed: int) -> dict[tuple[str, str], Result]:
    """Results of a run, draws averaged, by what the table calls their protocol and by what was evaluated."""
    found = average_draws(read_results(out / f"{name},seed={seed}" / "evaluation"))
    return {(outcome_name(result.protocol, result.variant), result.evaluated): result for result in found}


def _accuracy(result: Result, stream: str) -> float:
    return (result.overall if stream == "3-stream" else result.streams[stream]).accuracy


def _labelled_clips(out: Path, name: str, seed: int, evaluated: str) -> list[list[str] | None]:
    results = read_results(out / f"{name},seed={seed}" / "evaluation")
    return [r.labelled_clips for r in results if (r.label_fraction, r.evaluated) == (0.25, evaluated)]


def test_every_figure_is_that_of_its_run_averaged_over_seeds(made: Path) -> None:
    data = _json(made / "table.json")
    assert data == _json(made.parent / "said.json")
    rows = {(block["protocol"], row["name"]): row for block in data["blocks"] for row in block["rows"]}
    sources = {
        ("knn", "untrained"): ("moco", "knn", "untrained"),
        ("knn", "i2md"): ("i2md", "knn", "i2md"),
        ("linear", "moco"): ("moco", "linear", "moco"),
        ("semi-0.25", "from scratch (untrained)"): ("moco", "semi-0.25", "untrained"),
        ("semi-0.5", "i2md"): ("i2md", "semi-0.5", "i2md"),
        ("finetune", "from scratch (supervised)"): ("moco", "supervised", "untrained"),
        ("finetune", "i2md"): ("i2md", "finetune", "i2md"),
    }
    assert sources.keys() <= rows.keys()
    for place, (run, protocol, method) in sources.items():
        results = [_results(made, run, seed)[protocol, method] for seed in (0, 1)]
        for stream in ("joint", "motion", "bone", "3-stream"):
            figures = [100 * _accuracy(result, stream) for result in results]
            told = rows[place]["accuracy"][stream]
            assert list(told["by_seed"].values()) == figures
            assert (told["mean"], told["spread"]) == pytest.approx((fmean(figures), stdev(figures)))
    linear = [_results(made, "i2md", seed)["linear", "i2md"].streams["joint"] for seed in (0, 1)]
    best = [100 * scores.best_test_accuracy for scores in linear]
    assert list(rows["linear", "i2md, best test epoch"]["accuracy"]["joint"]["by_seed"].values()) == best
    assert [block["protocol"] for block in data["blocks"]] == ["knn", "linear", "semi-0.25", "semi-0.5", "finetune"]


def test_what_needs_no_pretraining_is_evaluated_once_a_seed(made: Path) -> None:
    for seed in (0, 1):
        kinds = {protocol for protocol, method in _results(made, "moco", seed) if method == "untrained"}
        assert kinds == {"knn", "linear", "semi-0.25", "semi-0.5", "supervised"}
        assert not any(method == "untrained" for _, method in _results(made, "i2md", seed))
        # The draws are the same, so that from scratch and pretrained learn from the same labels.
        drawn = _labelled_clips(made, "moco", seed, "untrained")
        assert drawn and drawn == _labelled_clips(made, "i2md", seed, "i2md")


def test_claims_are_paired_by_seed_and_departures_are_told(made: Path) -> None:
    data = _json(made / "table.json")
    (judged,) = [
        each for each in data["claims"] if each["compares"].startswith("i2md, finetune, 3-stream > supervised")
    ]
    left, right = (
        [_results(made, *run)[which].overall.accuracy for run in runs]
        for which, runs in (
            (("finetune", "i2md"), (("i2md", 0), ("i2md", 1))),
            (("supervised", "untrained"), (("moco", 0), ("moco", 1))),
        )
    )
    assert judged["differences"] == pytest.approx([100 * (a - b) for a, b in zip(left, right, strict=True)])
    assert not any("cmd" in each["compares"] for each in data["claims"])
    (told,) = [note for note in data["notes"] if note.startswith("departs from the table")]
    assert f"epochs 2 in place of {load_recipe('utd-mhad').epochs}" in told
    assert "finetune.epochs 2 in place of 80" in told
    assert "synthetic xsub: 16 training clips, 16 test clips" in data["notes"]


def test_the_pages_hold_the_published_figures_and_are_whole(made: Path) -> None:
    page = (made / "table.md").read_text(encoding="utf-8")
    assert re.search(
        r"^\| data set's paper \(published; Kinect and inertial sensor\) .* 79\.1 .*docs/results\.md", page, re.M
    )
    require_sound_latex((made / "table.tex").read_text(encoding="utf-8"))
    report = (made / "report.html").read_text(encoding="utf-8")
    assert "departs from the table" in report and not re.search(r'(src|href)="(?!#)', report)


def test_what_is_done_is_not_done_again(
    made: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _times(made)
    capsys.readouterr()
    words = ["reproduce", "utd-mhad", str(tmp_path / "again"), "--runs", str(made), "--clips", str(clips)]
    assert main([*words, *WORDS]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "again" / "table.md").read_text() == (made / "table.md").read_text()
    assert (made / "table.md").read_text().strip() in printed
    assert main([*words, *WORDS, "--protocol", "knn", "--methods", "untrained", "moco"]) == 0
    (block,) = _json(tmp_path / "again" / "table.json")["blocks"]
    assert (block["protocol"], [row["name"] for row in block["rows"]]) == ("knn", ["untrained", "moco"])
    assert _times(made) == before


def test_a_result_of_other_settings_or_a_lost_share_is_made_anew(made: Path, clips: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "moco,seed=0", run)
    protocols = ("knn", "linear", "semi", "finetune", "supervised")
    table = load_table("utd-mhad")
    settings = with_values(
        table.evaluation, {"linear.epochs": 2, "finetune.epochs": 2, "semi.label_fractions": (0.25, 0.5)}
    )

    def missing(values: dict[str, Any]) -> tuple[list[str], EvaluationSettings]:
        asked = with_values(settings, values)
        return Evaluation.of_clips(open_clips(clips), "xsub", protocols, settings=asked).missing(run)

    assert missing({})[0] == []
    assert missing({"linear.exact": True})[0] == ["linear"]
    assert missing({"finetune.epochs": 3})[0] == ["semi", "finetune", "supervised"]
    assert missing({"semi.draws": 3})[0] == ["semi"]
    assert missing({"semi.label_fractions": (0.25, 0.5, 0.75)})[1].semi.label_fractions == (0.75,)
    for epochs, there in ((2, True), (3, False)):
        asked = replace(table, evaluation=with_values(settings, {"linear.epochs": epochs}))
        cells = read_figures(asked, {run: ("moco", 0)}, "synthetic", "xsub").cells
        assert Cell("moco", "knn", "joint") in cells
        assert (Cell("untrained", "linear", "joint") in cells) == there
    (run / "evaluation" / "semi-label_fraction=0.5-draw=0-synthetic-xsub.json").unlink()
    left, narrowed = missing({})
    assert (left, narrowed.semi.label_fractions) == (["semi"], (0.5,))


def test_a_table_of_ones_own_from_recordings_and_what_fails_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("kind: small\ntitle: Mine\nformat: synthetic\nrecipe: synthetic\nsplits: [xsub]\n", encoding="utf-8")
    words = [str(own), str(tmp_path / "out"), "--source", "x", "--seeds", "0", "--methods", "moco", "positive mining"]
    words += ["--protocol", "knn", "--epochs", "1", "--device", "cpu", "--change", "streams=[joint]", *SMALL]
    assert main(["reproduce", *words]) == 2
    said = capsys.readouterr()
    reason = "method cmd needs at least two streams to teach one another"
    assert said.err.splitlines()[-1] == f"i2md: 1 run failed; positive_mining,seed=0: {reason}"
    data = _json(tmp_path / "out" / "table.json")
    assert data["failed"] == {"positive_mining,seed=0": {"reason": reason, "exit_code": 2}}
    assert [row["name"] for block in data["blocks"] for row in block["rows"]] == ["moco"]
    assert said.out.count(reason) == 1
    assert data["streams"] == ["joint"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ntu60-xsubs", "out"], "did you mean ntu60-xsub? The tables are msr-action3d, ntu120-xset, ntu120-xsub,"),
        (
            ["pku-mmd2", "out"],
            "i2md prepare pku-mmd RECORDINGS out/clips --options.phase 2, or give this command --source",
        ),
        (["utd-mhad", "out", "--methods", "cmd2"], "method 'cmd2' is not one of the table's; choose among untrained"),
        (["utd-mhad", "out", "--methods", "supervised"], "add one of moco, positive mining, cmd, imd, i2md"),
        (["utd-mhad", "out", "--protocol", "svm"], "choose among knn, linear, semi, finetune"),
        (["utd-mhad", "out", "--target", "x"], "transfers to no other clips; leave out --target"),
        (["utd-mhad", "out", "--dry_run"], "--dry_run is for NTU RGB+D and PKU-MMD; try this table with --epochs 1"),
        (["ntu60-xsub", "out", "--dry_run", "--clips", "x"], "name no clips and no recordings"),
        (
            ["utd-mhad", "out", "--change", "encoder.unit=8"],
            "unknown setting 'encoder.unit': did you mean encoder.hidden_size?",
        ),
        (["utd-mhad", "out", "--change", "method=cmd"], "the table decides it; choose by --methods"),
        (["utd-mhad", "out", "--change", "batch_size=8,16"], "--change batch_size: give one value"),
        (["utd-mhad", "out", "--precision", "fp8"], "'fp32', 'tf32', 'bf16'"),
        (["utd-mhad", "out", "--jobs", "0"], "--jobs 0: give at least 1"),
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_begins(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    assert said in one_line(capsys.readouterr().err)
    assert not any(tmp_path.iterdir())


def test_runs_of_other_settings_and_clips_without_the_split_are_refused(
    made: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _times(made)
    words = ["--clips", str(clips), *WORDS]
    assert main(["reproduce", "utd-mhad", str(made), *words, "objectives.temperature=0.1"]) == 2
    assert "holds a run that differs in objectives.temperature" in one_line(capsys.readouterr().err)
    assert main(["reproduce", "nw-ucla", str(made), *words]) == 2
    assert "no split 'xview'; choose one of xsub" in one_line(capsys.readouterr().err)
    assert _times(made) == before


SMALL_DRY = ["--change", *SMALL[1:5], "objectives.queue_size=64", "objectives.num_neighbours=8"]


@pytest.mark.parametrize("table", [pytest.param("ntu120-xset", marks=pytest.mark.slow), "transfer-ntu60-pku-mmd2"])
def test_a_dry_run_goes_all_the_way_on_generated_recordings(table: str, tmp_path: Path) -> None:
    words = ["reproduce", table, str(tmp_path), "--dry_run", "--device", "cpu", "--methods", "supervised", "i2md"]
    assert main([*words, *SMALL_DRY]) == 0
    _require_whole_dry_run(tmp_path / "dry-run", table, {"supervised", "i2md"})
    assert [path.name for path in tmp_path.iterdir()] == ["dry-run"]


@pytest.mark.slow
def test_a_dry_run_of_the_full_size(tmp_path: Path) -> None:
    assert main(["reproduce", "ntu60-xsub", str(tmp_path), "--dry_run"]) == 0
    _require_whole_dry_run(
        tmp_path / "dry-run", "ntu60-xsub", {"untrained", "supervised", "moco", "cmd", "imd", "i2md"}
    )


def _require_whole_dry_run(out: Path, name: str, methods: set[str]) -> None:
    data, table = _json(out / "table.json"), load_table(name)
    assert data["dry_run"] and data["notes"][0].endswith("the figures mean nothing.")
    assert "mean nothing" in (out / "table.md").read_text() and "mean nothing" in (out / "table.tex").read_text()
    assert not data["failed"]
    assert [block["protocol"] for block in data["blocks"]] == table.outcomes
    assert {row["method"] for block in data["blocks"] for row in block["rows"]} == methods
    require_sound_latex((out / "table.tex").read_text(encoding="utf-8"))
    (line,) = (out / "i2md,seed=0" / "log.jsonl").read_text().splitlines()
    terms = {name.split("/")[0] for name in json.loads(line)}
    assert {"contrast", "cmd", "dna", "imd"} <= terms, terms
