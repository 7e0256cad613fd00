"""Tables by the command line: figures, claims, pages, resuming, invalid arguments, dry runs."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from jobs_here import jobs_here
from refusal import one_line
from valid_latex import require_valid_latex

from i2md.cli.main import main
from i2md.data.store import open_clips
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import with_values
from i2md.experiments.job import Evaluation
from i2md.experiments.reproduce.claims import Block, Cell
from i2md.experiments.reproduce.figures import read_figures
from i2md.experiments.reproduce.table import load_table
from i2md.recipes import load_recipe

# Sizes; everything else is the table's.
SMALL = [
    *(
        "batch_size=8",
        "views.frames=8",
        "encoder.hidden_size=8",
        "encoder.num_layers=1",
        "objectives.embedding_dim=8",
        "encoder.feature_size=8",
    ),
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
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    words = ["reproduce", "utd-mhad", str(out), "--clips", str(clips), *WORDS]
    with jobs_here():
        assert main([*words, "--json", str(out.parent / "said.json")]) == 0
    return out


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for run in RUNS for path in (out / run).rglob("*")}


def _results(out: Path, name: str, seed: int, protocol: str, fraction: float | None = None) -> list[Result]:
    return [
        result
        for result in read_results(out / f"{name},seed={seed}" / "evaluation")
        if (result.protocol, result.label_fraction) == (protocol, fraction)
    ]


def test_accuracies_are_those_of_the_runs_averaged_over_seeds(made: Path) -> None:
    data = _json(made / "table.json")
    assert data == _json(made.parent / "said.json")
    rows = {
        (block["protocol"], block["label_fraction"], row["name"]): row
        for block in data["blocks"]
        for row in block["rows"]
    }
    # Protocol, label fraction and row; run, protocol and baseline.
    sources = {
        ("knn", None, "untrained"): ("moco", "knn", "untrained"),
        ("knn", None, "i2md"): ("i2md", "knn", None),
        ("ridge", None, "untrained"): ("moco", "ridge", "untrained"),
        ("linear", None, "moco"): ("moco", "linear", None),
        ("semi", 0.25, "from scratch (untrained)"): ("moco", "semi", "untrained"),
        ("semi", 0.5, "i2md"): ("i2md", "semi", None),
        ("finetune", None, "from scratch (supervised)"): ("moco", "supervised", "untrained"),
        ("finetune", None, "i2md"): ("i2md", "finetune", None),
    }
    assert sources.keys() <= rows.keys()
    for key, (run, protocol, baseline) in sources.items():
        by_seed = [_accuracies(made, run, seed, protocol, key[1], baseline) for seed in (0, 1)]
        for stream in ("joint", "motion", "bone", "ensemble"):
            accuracies = [accuracy[stream] for accuracy in by_seed]
            shown = rows[key]["accuracy"][stream]
            assert list(shown["by_seed"].values()) == pytest.approx(accuracies)
            assert (shown["mean"], shown["std"]) == pytest.approx((fmean(accuracies), stdev(accuracies)))
    best = [_results(made, "i2md", seed, "linear")[0].streams["joint"].best_test_accuracy or 0 for seed in (0, 1)]
    row = rows["linear", None, "i2md, best test epoch"]
    assert list(row["accuracy"]["joint"]["by_seed"].values()) == pytest.approx([100 * value for value in best])
    blocks = [(block["protocol"], block["label_fraction"]) for block in data["blocks"]]
    assert blocks == [
        ("knn", None),
        ("ridge", None),
        ("linear", None),
        ("semi", 0.25),
        ("semi", 0.5),
        ("finetune", None),
    ]


def _accuracies(
    out: Path, name: str, seed: int, protocol: str, fraction: float | None, baseline: str | None
) -> dict[str, float]:
    """Accuracy in percent by stream, the mean over draws of the labels."""
    results = [result for result in _results(out, name, seed, protocol, fraction) if result.baseline == baseline]
    assert len(results) == (1 if fraction is None else 2)
    return {stream: 100 * fmean(r.scores[stream].accuracy for r in results) for stream in results[0].scores}


def test_methods_without_pretraining_are_evaluated_once_per_seed(made: Path) -> None:
    for seed in (0, 1):
        baselines = [result for result in read_results(made / f"moco,seed={seed}" / "evaluation") if result.baseline]
        assert {(result.protocol, result.label_fraction) for result in baselines} == {
            *(("knn", None), ("ridge", None), ("semi", 0.25), ("semi", 0.5), ("supervised", None))
        }
        assert not any(result.baseline for result in read_results(made / f"i2md,seed={seed}" / "evaluation"))
        # Training from scratch and fine-tuning use the same labels.
        scratch = [r for r in _results(made, "moco", seed, "semi", 0.25) if r.baseline]
        tuned = _results(made, "i2md", seed, "semi", 0.25)
        assert {r.draw: r.labelled_clips for r in scratch} == {r.draw: r.labelled_clips for r in tuned}
        assert len(tuned) == 2


def test_claims_are_paired_by_seed_and_departures_are_listed(made: Path) -> None:
    data = _json(made / "table.json")
    hypothesis = "i2md, finetune, ensemble > supervised, finetune, ensemble"
    (evaluated,) = [each for each in data["claims"] if each["hypothesis"] == hypothesis]
    differences = [
        _accuracies(made, "i2md", seed, "finetune", None, None)["ensemble"]
        - _accuracies(made, "moco", seed, "supervised", None, "untrained")["ensemble"]
        for seed in (0, 1)
    ]
    assert evaluated["differences"] == pytest.approx(differences)
    assert not any("cmd" in each["hypothesis"] for each in data["claims"])
    (note,) = [note for note in data["notes"] if note.startswith("departs from the table")]
    assert f"epochs 2 instead of {load_recipe('utd-mhad').epochs}" in note
    assert "finetune.epochs 2 instead of 80" in note
    assert "synthetic xsub: 16 training clips, 16 test clips" in data["notes"]


def test_pages_have_the_published_accuracies(made: Path) -> None:
    page = (made / "table.md").read_text(encoding="utf-8")
    assert re.search(
        r"^\| data set's paper \(published; Kinect and inertial sensor\) .* 79\.1 .*docs/results\.md", page, re.M
    )
    require_valid_latex((made / "table.tex").read_text(encoding="utf-8"))
    report = (made / "report.html").read_text(encoding="utf-8")
    assert "departs from the table" in report and not re.search(r'(src|href)="(?!#)', report)


def test_finished_runs_and_results_are_kept(
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


def test_results_of_other_settings_and_missing_results_are_computed_again(
    made: Path, clips: Path, tmp_path: Path
) -> None:
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
    assert missing({"semi.draws": 1})[0] == []
    assert missing({"semi.label_fractions": (0.25, 0.5, 0.75)})[1].semi.label_fractions == (0.75,)
    for epochs, there in ((2, True), (3, False)):
        asked = replace(table, evaluation=with_values(settings, {"linear.epochs": epochs}))
        cells = read_figures(asked, {run: ("moco", 0)}, "synthetic", "xsub").cells
        assert Cell("moco", Block("knn"), "joint") in cells
        assert (Cell("moco", Block("linear"), "joint") in cells) == there
    one_draw = with_values(settings, {"semi.draws": 1})
    cells = read_figures(replace(table, evaluation=one_draw), {run: ("moco", 0)}, "synthetic", "xsub").cells
    (first,) = [
        result for result in _results(made, "moco", 0, "semi", 0.25) if result.draw == 0 and not result.baseline
    ]
    assert cells[Cell("moco", Block("semi", 0.25), "joint")] == {0: 100 * first.streams["joint"].accuracy}
    (run / "evaluation" / "semi-label_fraction=0.5-draw=1-synthetic-xsub.json").unlink()
    left, narrowed = missing({})
    assert (left, narrowed.semi.label_fractions) == (["semi"], (0.5,))


def test_own_table_from_recordings_with_a_failed_run(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded, recordings = sorted((golden / "ntu-rgbd").iterdir()), tmp_path / "recordings"
    recordings.mkdir()
    # Subjects 1 and 2 are for training, 3 is for testing.
    for number in range(24):
        name = f"S001C001P{number // 8 + 1:03}R001A{number % 8 + 1:03}.skeleton"
        shutil.copyfile(recorded[number % len(recorded)], recordings / name)
    own = tmp_path / "mine.yaml"
    own.write_text("kind: small\ntitle: Mine\nformat: ntu-rgbd\nrecipe: ntu60\nsplits: [xsub]\n", encoding="utf-8")
    words = [str(own), str(tmp_path / "out"), "--source", str(recordings)]
    words += ["--seeds", "0", "--methods", "moco", "positive mining"]
    words += ["--protocol", "knn", "--epochs", "1", "--device", "cpu", "--change", "streams=[joint]", *SMALL]
    with jobs_here():
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
        (["utd-mhad", "out", "--methods", "cmd2"], "the table has no method 'cmd2'; choose among untrained"),
        (["utd-mhad", "out", "--methods", "supervised"], "add one of moco, positive mining, cmd, imd, i2md"),
        (["utd-mhad", "out", "--protocol", "svm"], "choose among knn, ridge, linear, semi, finetune"),
        (["utd-mhad", "out", "--target", "x"], "does not transfer to other clips; leave --target out"),
        (["utd-mhad", "out", "--dry_run"], "--dry_run is for NTU RGB+D and PKU-MMD; try this table with --epochs 1"),
        (["ntu60-xsub", "out", "--dry_run", "--clips", "x"], "leave clips and recordings out"),
        (
            ["utd-mhad", "out", "--change", "encoder.hidden_sizes=8"],
            "unknown setting 'encoder.hidden_sizes': did you mean encoder.hidden_size?",
        ),
        (["utd-mhad", "out", "--change", "method=cmd"], "the table sets it; choose by --methods"),
        (["utd-mhad", "out", "--change", "batch_size=8,16"], "--change batch_size: give one value"),
        (["utd-mhad", "out", "--precision", "fp8"], "'fp32', 'tf32', 'bf16'"),
        (["utd-mhad", "out", "--jobs", "0"], "--jobs 0: give at least 1"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_written(
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
    assert main(["reproduce", "utd-mhad", str(made), *words, "objectives.temperature=0.2"]) == 2
    assert "holds a run that differs in objectives.temperature" in one_line(capsys.readouterr().err)
    assert main(["reproduce", "nw-ucla", str(made), *words]) == 2
    assert "no split 'xview'; choose one of xsub" in one_line(capsys.readouterr().err)
    assert _times(made) == before


SMALL_DRY = ["--change", *SMALL[1:5], "objectives.queue_size=64", "objectives.num_neighbours=8"]


@pytest.mark.parametrize("table", [pytest.param("ntu120-xset", marks=pytest.mark.slow), "transfer-ntu60-pku-mmd2"])
def test_dry_run_on_synthetic_recordings(table: str, tmp_path: Path) -> None:
    words = ["reproduce", table, str(tmp_path), "--dry_run", "--device", "cpu", "--methods", "supervised", "i2md"]
    with jobs_here():
        assert main([*words, *SMALL_DRY]) == 0
    _require_complete_dry_run(tmp_path / "dry-run", table, {"supervised", "i2md"})
    assert [path.name for path in tmp_path.iterdir()] == ["dry-run"]


@pytest.mark.slow
def test_dry_run_at_full_size(tmp_path: Path) -> None:
    assert main(["reproduce", "ntu60-xsub", str(tmp_path), "--dry_run"]) == 0
    _require_complete_dry_run(
        tmp_path / "dry-run", "ntu60-xsub", {"untrained", "supervised", "moco", "cmd", "imd", "i2md"}
    )


def _require_complete_dry_run(out: Path, name: str, methods: set[str]) -> None:
    data, table = _json(out / "table.json"), load_table(name)
    assert data["dry_run"] and data["notes"][0].endswith("the figures mean nothing.")
    assert "mean nothing" in (out / "table.md").read_text() and "mean nothing" in (out / "table.tex").read_text()
    assert not data["failed"]
    blocks = [(block["protocol"], block["label_fraction"], block["k"]) for block in data["blocks"]]
    assert blocks == [tuple(block) for block in table.blocks]
    assert {row["method"] for block in data["blocks"] for row in block["rows"]} == methods
    require_valid_latex((out / "table.tex").read_text(encoding="utf-8"))
    (line,) = (out / "i2md,seed=0" / "log.jsonl").read_text().splitlines()
    terms = {name.split("/")[0] for name in json.loads(line)}
    assert {"contrast", "cmd", "dna", "imd"} <= terms, terms
