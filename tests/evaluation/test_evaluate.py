"""A whole evaluation: what is written is what follows from the features."""

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
from i2md.evaluation.monitor import MONITORED_CLIPS, knn_monitor
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.settings import EvaluationSettings, LinearSettings
from i2md.pretraining.checkpoint import new_encoders
from i2md.pretraining.run import read_config

STREAMS = ("joint", "motion", "bone")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> i2md.Clips:
    return i2md.open_clips(tiny.clips(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A run evaluated on the command line: its folder, the data of --json, and what was printed."""
    base = tmp_path_factory.getbasetemp()
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(tiny.run(base), folder / "run")
    process = tiny.start(
        "evaluate", folder / "run", tiny.clips(base), "--protocol", "knn", "linear", "--baselines", "untrained",
        "--device", "cpu", "--json", folder / "j.json",
    )  # fmt: skip
    printed, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return folder / "run", json.loads((folder / "j.json").read_text()), printed


def _results(said: dict[str, Any]) -> list[Result]:
    return [Result.from_dict(data) for data in said["results"]]


def _knn(said: dict[str, Any]) -> Result:
    (result,) = [each for each in _results(said) if each.protocol == "knn" and each.baseline is None]
    return result


def test_json_holds_the_results_of_the_run_that_the_table_prints(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    run, said, printed = evaluated
    assert {path.name for path in (run / "evaluation").iterdir()} == {
        *(f"knn-k=1-synthetic-xsub{suffix}.json" for suffix in ("", "-untrained")),
        "linear-synthetic-xsub.json",
    }
    by_name = lambda result: result.file_name  # noqa: E731
    assert read_results(run / "evaluation") == sorted(_results(said), key=by_name)
    for result in _results(said):
        kind = f"| {result.evaluated} ", f" {result.protocol} "
        row = next(line for line in printed.splitlines() if all(part in line for part in kind))
        percent = [f"{100 * scores.accuracy:.1f}" for scores in result.scores.values()]
        assert percent == row.replace("|", " ").split()[4:-1]
    assert said["report"] == str(run / "report.html")
    assert said["report"] in printed


def test_accuracies_are_those_of_the_predictions(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    for result in _results(evaluated[1]):
        labels = np.array(result.labels)
        assert (result.train_clips, result.test_clips, len(result.clip_names)) == (16, 16, 16)
        assert list(result.streams) == list(STREAMS) and result.ensemble is not None
        for scores in result.scores.values():
            predicted = np.array(scores.predictions)
            assert scores.accuracy == pytest.approx(float((predicted == labels).mean()))
            for c, value in enumerate(scores.class_accuracy):
                assert value == pytest.approx(float((predicted[labels == c] == c).mean()))


def test_nearest_neighbours_are_those_of_the_embedded_clips(
    evaluated: tuple[Path, dict[str, Any], str], clips: i2md.Clips
) -> None:
    run, said, _ = evaluated
    result = _knn(said)
    train, test = clips.part("xsub", "train"), clips.part("xsub", "test")
    model = i2md.load(run, "cpu")
    known, queries = model.embed(train), model.embed(test)
    total = np.zeros((len(test), len(train)))
    for name in STREAMS:
        unit = [f / np.linalg.norm(f, axis=1, keepdims=True) for f in (queries[name], known[name])]
        similarity = unit[0].astype(np.float64) @ unit[1].T
        total += similarity
        assert result.streams[name].predictions == train.labels[similarity.argmax(axis=1)].tolist()
    assert result.overall.predictions == train.labels[total.argmax(axis=1)].tolist()
    assert result.clip_names == test.columns["name"].tolist()


def test_the_last_monitored_accuracy_is_the_evaluated_one(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    run, said, _ = evaluated
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    accuracy = {name: scores.accuracy for name, scores in _knn(said).scores.items()}
    assert {name: last[f"knn/{name}"] for name in accuracy} == pytest.approx(accuracy)


def test_the_baseline_has_the_initial_weights_of_the_run(clips: i2md.Clips, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*tiny.SETTINGS, "--epochs", "1", "--optimizer.learning_rate", "1e-30", "--optimizer.weight_decay", "0"]
    assert main(["pretrain", str(clips.path), str(run), *words]) == 0
    begun = new_encoders(read_config(run))
    for name, encoder in i2md.load(run, "cpu").encoders.items():
        for parameter, value in encoder.named_parameters():
            torch.testing.assert_close(value, dict(begun[name].named_parameters())[parameter], atol=1e-20, rtol=0)


def test_the_report_loads_nothing_and_shows_the_clips(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    page = (evaluated[0] / "report.html").read_text(encoding="utf-8")
    assert "<html" in page
    assert not [word for word in ('src="http', "src='http", 'rel="stylesheet"') if word in page]
    assert "a01_b02_r01" in page


def test_evaluating_twice_gives_the_same_results(clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    first, again = (i2md.evaluate(run=tmp_path / "run", clips=clips, device="cpu") for _ in range(2))
    assert first == again


def test_linear_sweep_chooses_a_rate_without_the_test_clips(
    clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    cpu = torch.device("cpu")
    settings = EvaluationSettings(linear=LinearSettings(epochs=3, milestones=(2,), sweep=(0.1, 1.0)))
    (result,) = evaluate_run(tmp_path / "run", clips, ("linear-sweep",), None, cpu, settings=settings)
    assert result.validation is not None and set(result.validation) == {"0.1", "1.0"}
    assert str(result.learning_rate) == max(result.validation, key=result.validation.__getitem__)
    assert result.overall.best_test_accuracy is None
    # Other test labels, the same choice and the same predictions.
    columns = dict(clips.columns)
    tested = np.isin(columns["name"], clips.part("xsub", "test").columns["name"])
    columns["label"] = np.where(tested, 3 - columns["label"], columns["label"])
    other = i2md.Clips(clips.path, clips.dataset, clips.frames, columns)
    (shuffled,) = evaluate_run(tmp_path / "run", other, ("linear-sweep",), None, cpu, settings=settings)
    assert [s.predictions for s in shuffled.scores.values()] == [s.predictions for s in result.scores.values()]


def _unlabelled(clips: i2md.Clips, part: str) -> i2md.Clips:
    columns = dict(clips.columns)
    gone = np.isin(columns["name"], clips.part("xsub", part).columns["name"])
    columns["label"] = np.where(gone, -1, columns["label"])
    return i2md.Clips(clips.path, clips.dataset, clips.frames, columns)


def test_unlabelled_clips_are_an_input_error_and_not_monitored(
    clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    for part in ("train", "test"):
        with pytest.raises(
            i2md.InputError, match=r"training and \d+ test clips with labels; give labels .* embed, pretrain or report"
        ):
            i2md.evaluate(run=tmp_path / "run", clips=_unlabelled(clips, part), device="cpu")
        assert knn_monitor(_unlabelled(clips, part), "xsub", torch.device("cpu")) is None
    assert knn_monitor(clips, "all", torch.device("cpu")) is None
    assert not (tmp_path / "run" / "evaluation").exists()


def test_unlabelled_clips_among_labelled_ones_are_left_out(
    clips: i2md.Clips, tmp_path: Path, tmp_path_factory: Any
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    columns = dict(clips.columns)
    columns["label"] = np.where(np.arange(len(clips)) % 5 == 0, -1, columns["label"])
    some = i2md.Clips(clips.path, clips.dataset, clips.frames, columns)
    (result,) = i2md.evaluate(run=tmp_path / "run", clips=some, protocol=["knn"], baselines=["none"], device="cpu")
    known = [len(part.labels[part.labels >= 0]) for part in (some.part("xsub", "train"), some.part("xsub", "test"))]
    assert [result.train_clips, result.test_clips] == known
    assert -1 not in result.labels


def test_of_many_clips_some_are_monitored(clips: i2md.Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from i2md.evaluation import monitor

    packed: list[int] = []
    whole = monitor.pack
    monkeypatch.setattr(monitor, "pack", lambda chosen, device: packed.append(len(chosen)) or whole(chosen, device))
    with ClipsWriter(tmp_path / "many", 20, 3) as writer:
        for number in range(2 * MONITORED_CLIPS + 500):
            still = np.ones((1, 1, 20, 3), np.float32)
            writer.add(Recording(f"c{number}", still, label=number % 4, subject=1 + number % 2))
        writer.finish(clips.dataset)
    assert knn_monitor(i2md.open_clips(tmp_path / "many"), "xsub", torch.device("cpu")) is not None
    assert packed == [MONITORED_CLIPS, MONITORED_CLIPS]


def test_test_clips_of_a_single_class_are_remarked_on(
    clips: i2md.Clips,
    tmp_path: Path,
    tmp_path_factory: Any,
    capsys: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    shutil.copytree(tiny.run(tmp_path_factory.getbasetemp()), tmp_path / "run")
    one = i2md.Clips(
        clips.path, clips.dataset, clips.frames, {**clips.columns, "label": np.zeros(len(clips), np.int64)}
    )
    capsys.readouterr()
    (result,) = i2md.evaluate(run=tmp_path / "run", clips=one, protocol=["knn"], baselines=["none"], device="cpu")
    assert result.overall.accuracy == 1.0
    said = capsys.readouterr().err
    assert f"all test clips of {clips.path} have one class, {clips.dataset.class_names[0]!r}" in said
    assert not [warning for warning in recwarn if "sklearn" in warning.filename]
