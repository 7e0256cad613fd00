"""An evaluation from beginning to end: what is written is what the features give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

import i2md
from i2md.cli.main import main
from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter
from i2md.evaluation.evaluate import evaluate_run
from i2md.evaluation.monitor import WATCHED_CLIPS, neighbour_watch
from i2md.evaluation.settings import EvaluationSettings, LinearSettings
from i2md.pretraining.checkpoint import new_encoders
from i2md.pretraining.run import read_config

STREAMS = ("joint", "motion", "bone")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> i2md.Clips:
    return i2md.open_clips(tiny.clips(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The run after all protocols on the command line: its folder, the --json, and what was printed."""
    base = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(tiny.run(base), folder / "run")
    process = tiny.start(
        "evaluate", folder / "run", tiny.clips(base), "--protocol", "knn", "linear", "--untrained",
        "--device", "cpu", "--json", folder / "j.json",
    )  # fmt: skip
    printed, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return folder / "run", json.loads((folder / "j.json").read_text()), printed


def test_json_holds_what_the_run_keeps_and_the_table_prints(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    run, said, printed = evaluated
    files = {path.name: json.loads(path.read_text()) for path in (run / "evaluation").iterdir()}
    assert set(files) == {
        f"{protocol}-synthetic-xsub{suffix}.json" for protocol in ("knn", "linear") for suffix in ("", "-untrained")
    }
    key = lambda result: (result["protocol"], result["method"])  # noqa: E731
    assert sorted(files.values(), key=key) == sorted(said["results"], key=key)
    for result in said["results"]:
        kind = f"| {result['method']} ", f" {result['protocol']} "
        row = next(line for line in printed.splitlines() if all(part in line for part in kind))
        assert [f"{100 * value:.1f}" for value in result["accuracy"].values()] == row.replace("|", " ").split()[4:-1]
    assert said["report"] == str(run / "report.html")
    assert said["report"] in printed


def test_accuracies_are_those_of_the_predictions(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    for result in evaluated[1]["results"]:
        labels = np.array(result["labels"])
        assert (result["train_clips"], result["test_clips"], len(result["names"])) == (16, 16, 16)
        assert set(result["accuracy"]) == {*STREAMS, "3-stream"}
        for name, accuracy in result["accuracy"].items():
            predicted = np.array(result["predictions"][name])
            assert accuracy == pytest.approx(float((predicted == labels).mean()))
            for c, value in enumerate(result["per_class"][name]):
                assert value == pytest.approx(float((predicted[labels == c] == c).mean()))


def test_nearest_neighbours_are_those_of_the_embedded_clips(
    evaluated: tuple[Path, dict[str, Any], str], clips: i2md.Clips
) -> None:
    run, said, _ = evaluated
    result = next(r for r in said["results"] if (r["protocol"], r["method"]) == ("knn", "i2md"))
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    model = i2md.load(run, "cpu")
    known, asked = model.embed(train), model.embed(test)
    total = np.zeros((len(test), len(train)))
    for name in STREAMS:
        unit = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in (asked[name], known[name])]
        similarity = unit[0].astype(np.float64) @ unit[1].T
        total += similarity
        assert result["predictions"][name] == train.labels[similarity.argmax(axis=1)].tolist()
    assert result["predictions"]["3-stream"] == train.labels[total.argmax(axis=1)].tolist()
    assert result["names"] == test.columns["name"].tolist()


def test_the_last_watched_accuracy_is_the_evaluated_one(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    run, said, _ = evaluated
    result = next(r for r in said["results"] if (r["protocol"], r["method"]) == ("knn", "i2md"))
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert {name: last[f"knn/{name}"] for name in result["accuracy"]} == pytest.approx(result["accuracy"])


def test_untrained_encoders_are_those_the_run_began_with(clips: i2md.Clips, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*tiny.SETTINGS, "--epochs", "1", "--optimizer.learning_rate", "1e-30", "--optimizer.weight_decay", "0"]
    assert main(["pretrain", str(clips.path), str(run), *words]) == 0
    begun = new_encoders(read_config(run))
    for name, encoder in i2md.load(run, "cpu").encoders.items():
        for parameter, value in encoder.named_parameters():
            torch.testing.assert_close(value, dict(begun[name].named_parameters())[parameter], atol=1e-20, rtol=0)


def test_the_report_stands_alone_and_shows_the_trained_run(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    page = (evaluated[0] / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert not [word for word in ('src="http', "src='http", 'rel="stylesheet"') if word in page]
    assert "a01_b02_r01" in page


def test_evaluating_twice_gives_the_same_results(clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    first, again = (i2md.evaluate(run=tmp_path / "run", clips=clips, device="cpu") for _ in range(2))
    assert first == again


def test_a_sweep_chooses_among_its_rates_without_the_test_clips(
    clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    cpu = torch.device("cpu")
    settings = EvaluationSettings(linear=LinearSettings(epochs=3, milestones=(2,), sweep=(0.1, 1.0)))
    (result,) = evaluate_run(tmp_path / "run", clips, ("linear-sweep",), None, cpu, settings=settings)
    assert set(result["validation"]) == {"0.1", "1.0"}
    assert str(result["learning_rate"]) == max(result["validation"], key=result["validation"].__getitem__)
    assert "best_test_epoch" not in result
    # Other test labels, the same choice and the same predictions.
    columns = dict(clips.columns)
    tested = np.isin(columns["name"], clips.part("xsub", "test").columns["name"])
    columns["label"] = np.where(tested, 3 - columns["label"], columns["label"])
    other = i2md.Clips(clips.path, clips.dataset, clips.frames, columns)
    (shuffled,) = evaluate_run(tmp_path / "run", other, ("linear-sweep",), None, cpu, settings=settings)
    assert shuffled["predictions"] == result["predictions"]


def _unlabelled(clips: i2md.Clips, part: str) -> i2md.Clips:
    columns = dict(clips.columns)
    gone = np.isin(columns["name"], clips.part("xsub", part).columns["name"])
    columns["label"] = np.where(gone, -1, columns["label"])
    return i2md.Clips(clips.path, clips.dataset, clips.frames, columns)


def test_clips_without_labels_are_refused_and_not_watched(
    clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    for part in ("train", "test"):
        with pytest.raises(i2md.InputError, match="no labelled clips to train and test on"):
            i2md.evaluate(run=tmp_path / "run", clips=_unlabelled(clips, part), device="cpu")
        assert neighbour_watch(_unlabelled(clips, part), "xsub", torch.device("cpu")) is None
    assert neighbour_watch(clips, "all", torch.device("cpu")) is None
    assert not (tmp_path / "run" / "evaluation").exists()


def test_some_clips_without_labels_are_left_aside(clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    columns = dict(clips.columns)
    columns["label"] = np.where(np.arange(len(clips)) % 5 == 0, -1, columns["label"])
    some = i2md.Clips(clips.path, clips.dataset, clips.frames, columns)
    (result,) = i2md.evaluate(run=tmp_path / "run", clips=some, protocol=["knn"], device="cpu")
    known = [len(part.labels[part.labels >= 0]) for part in (some.part("xsub", "train"), some.part("xsub", "test"))]
    assert [result["train_clips"], result["test_clips"]] == known
    assert -1 not in result["labels"]


def test_a_great_many_clips_are_watched_in_part(
    clips: i2md.Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from i2md.evaluation import monitor as watch

    packed: list[int] = []
    whole = watch.pack
    monkeypatch.setattr(watch, "pack", lambda chosen, device: packed.append(len(chosen)) or whole(chosen, device))
    with ClipsWriter(tmp_path / "many", 20, 3) as writer:
        for number in range(2 * WATCHED_CLIPS + 500):
            still = np.ones((1, 1, 20, 3), np.float32)
            writer.add(Recording(f"c{number}", still, label=number % 4, subject=1 + number % 2))
        writer.finish(clips.dataset)
    assert neighbour_watch(i2md.open_clips(tmp_path / "many"), "xsub", torch.device("cpu")) is not None
    assert packed == [WATCHED_CLIPS, WATCHED_CLIPS]
