"""Evaluation on corrupted test clips, on the command line: what is written, printed and drawn."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from i2md.cli.main import main
from i2md.data.packed import pack_arrays
from i2md.data.store import open_clips
from i2md.evaluation import robustness
from i2md.evaluation.comparison import compare_runs
from i2md.evaluation.corruption import context_of, corrupt_clips
from i2md.evaluation.features import clip_features
from i2md.evaluation.neighbours import knn_predictions
from i2md.evaluation.results import Result, Scores, read_results
from i2md.evaluation.robustness import FOLDER, curves, read_robustness, robustness_tables
from i2md.pretraining.checkpoint import load_encoders
from i2md.pretraining.run import read_config

WORDS = [
    *("--device", "cpu", "--protocol", "knn", "ridge", "--corrupt", "noise", "scale", "--corruption.noise", "3", "20"),
    *("--corruption.scale", "1.0", "0.5", "--corruption.draws", "2", "--ridge.labels", "1"),
]


@pytest.fixture(scope="module")
def corrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A run evaluated on corrupted clips: its folder, the data of --json, and what was printed."""
    base, folder = tmp_path_factory.getbasetemp(), tmp_path_factory.mktemp("corrupted")
    run = folder / "run"
    shutil.copytree(tiny.run(base), run)
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        assert main(["evaluate", str(run), str(tiny.clips(base)), *WORDS, "--json", str(folder / "j.json")]) == 0
    return run, json.loads((folder / "j.json").read_text()), "\n".join(said)


def test_each_encoder_and_baseline_is_scored_under_every_condition(corrupted: tuple[Path, dict[str, Any], str]) -> None:
    run, said, _ = corrupted
    results = [Result.from_dict(each) for each in said["results"]]
    found = {
        (each.evaluated, each.protocol, each.corruption, each.level, each.draw) for each in results if each.corruption
    }
    wanted = [("noise", 3.0, 0), ("noise", 3.0, 1), ("noise", 20.0, 0), ("noise", 20.0, 1), ("scale", 0.5, None)]
    assert found == {
        (name, protocol, *condition)
        for name in ("i2md", "positions", "untrained")
        for protocol in ("knn", "ridge")
        for condition in wanted
    }
    assert not any(each.corruption for each in read_results(run / "evaluation"))
    written = read_robustness(run)
    assert len(written) == len(found) + 6, "with the clean results of all labels"
    assert all(not scores.confusion for each in written for scores in each.scores.values())


def test_scores_are_those_of_the_features_of_corrupted_clips(
    corrupted: tuple[Path, dict[str, Any], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    run, config = corrupted[0], read_config(corrupted[0])
    clips = open_clips(tiny.clips(tmp_path_factory.getbasetemp()))
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    noisy = corrupt_clips(test, "noise", 20.0, 0, 1, context_of(test))
    encoders = load_encoders(run, config, torch.device("cpu"), None)
    of = lambda arrays: clip_features(encoders, config.layout, pack_arrays(arrays), 8, 1)  # noqa: E731
    predictions = knn_predictions(of(train), of(noisy), torch.as_tensor(np.array(train.labels)))
    (result,) = [
        each
        for each in read_robustness(run)
        if (each.evaluated, each.protocol, each.level, each.draw) == ("i2md", "knn", 20.0, 1)
    ]
    for name, predicted in predictions.items():
        assert result.scores[name].accuracy == pytest.approx(np.mean(predicted.numpy() == test.labels))


def test_the_table_the_report_and_the_picture_show_them(corrupted: tuple[Path, dict[str, Any], str]) -> None:
    run, said, printed = corrupted
    results = [Result.from_dict(each) for each in said["results"]]
    tables = dict(robustness_tables(results))
    assert list(tables) == ["knn", "ridge"]
    for rows in tables.values():
        assert rows[0] == ["test clips", "i2md", "positions", "untrained"]
        assert [row[0] for row in rows[1:]] == ["clean", "noise of 3 cm", "noise of 20 cm", "body size times 0.5"]
    assert "Corrupted test clips, ridge, ensemble:" in printed
    row = next(line for line in printed.splitlines() if "noise of 20 cm" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == tables["knn"][2 + 1]
    page = (run / "report.html").read_text()
    assert "Corrupted test clips" in page and "noise, cm" in page and tables["knn"][3][1] in page
    (picture,) = (run / FOLDER).glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_are_compared_by_mean_and_deviation_over_seeds(
    corrupted: tuple[Path, dict[str, Any], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(corrupted[0], run)
    config = (run / "config.yaml").read_text()
    assert "\n  seed: 0\n" in config
    (run / "config.yaml").write_text(config.replace("\n  seed: 0\n", "\n  seed: 7\n"))
    path = next((run / FOLDER).glob("*.json"))
    data = [{**each, "seed": 7} for each in json.loads(path.read_text())]
    path.write_text(json.dumps(data))
    out = tmp_path / "page" / "c.html"
    out.parent.mkdir()
    assert main(["report", str(corrupted[0]), str(run), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "noise of 20 cm" in printed and (out.parent / "robustness-synthetic-xsub.png").is_file()
    assert "Corrupted test clips" in out.read_text()
    path.write_text('[{"schema_version": 1}]')
    assert "robustness/synthetic-xsub.json is left out" in " ".join(compare_runs([run]).notes)


def test_kinds_of_earlier_evaluations_stay(tmp_path: Path) -> None:
    noise = {"corruption": "noise", "level": 1.0, "draw": 0}
    first = [_result(0.9), _result(0.5, **noise), _result(0.4, corruption="tilt", level=9.0)]
    robustness._write(tmp_path, first)
    again = [_result(0.8), _result(0.3, corruption="noise", level=2.0, draw=0)]
    robustness._write(tmp_path, again)
    assert read_robustness(tmp_path) == [first[2], *again]


def _result(accuracy: float, seed: int = 0, **what: Any) -> Result:
    return Result("knn", "cmd", "d", "s", seed, {"joint": Scores(accuracy)}, **what)


def test_curves_of_several_seeds_average_the_draws_of_each() -> None:
    results = [_result(0.9), _result(0.8, seed=1)]
    for seed, draws in enumerate([(0.5, 0.7), (0.3, 0.5)]):
        for draw, accuracy in enumerate(draws):
            results.append(_result(accuracy, seed, corruption="noise", level=2.0, draw=draw))
    (curve,) = curves(results)
    assert {level: [round(v, 9) for v in values] for level, values in curve.accuracies.items()} == {
        0.0: [90, 80],
        2.0: [60, 40],
    }
    (alone,) = curves([each for each in results if each.seed == 0])
    assert alone.accuracies == {0.0: [90], 2.0: [50, 70]}
    assert (alone.cell(0.0), alone.cell(2.0), alone.cell(5.0)) == ("90.0", "60.0 ± 14.1", "-")


def test_a_result_names_its_corruption() -> None:
    result = _result(0.5, corruption="joints", level=0.3, draw=1)
    assert Result.from_dict(result.to_dict()) == result
    assert "corruption=joints-level=0.3" in result.file_name
    with pytest.raises(Exception, match="corruption fog is not known"):
        Result.from_dict(replace(result, corruption="fog").to_dict())


def test_what_cannot_be_evaluated_is_refused(run: Path, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--corrupt", "rain"], "unknown corruption 'rain'"),
        (
            ["--protocol", "linear", "--corrupt", "all"],
            "--corrupt evaluates by knn, retrieval and ridge; add --protocol",
        ),
        (["--corrupt", "all", "--corruption.draws", "0"], "corruption.draws 0 must be at least 1"),
    ):
        assert main(["evaluate", str(run), str(clips), "--device", "cpu", *words]) == 2
        assert message in capsys.readouterr().err
