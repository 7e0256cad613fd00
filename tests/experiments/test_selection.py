"""Selection by successive halving, on the command line: which runs there are, what is chosen, and on which clips."""

from __future__ import annotations

import json
import shutil
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import tiny
from jobs_here import jobs_here
from safetensors.torch import load_file

from i2md.cli.main import main
from i2md.data.held_out import held_out_clips
from i2md.data.store import open_clips
from i2md.errors import InputError
from i2md.evaluation.results import read_results
from i2md.experiments import selection
from i2md.experiments.job import Job
from i2md.pretraining.run import read_config
from i2md.recipes import load_recipe

ONE = [*tiny.SETTINGS, "--batch_size", "4", "--method", "moco", "--streams", "[joint]"]
ONE += ["--knn_every", "0", "--diagnostics_every", "0"]
TINY = [*ONE, "--protocol", "knn", "--seeds", "0"]
GRID = ["--select", "--grid", "objectives.temperature=0.05,0.1,0.2,0.5", "--epochs", "3", "--rungs", "1", "2"]


def _select(clips: Path, out: Path, *words: str) -> int:
    with jobs_here():
        return main(["sweep", str(clips), str(out), *TINY, *GRID, *words])


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("selected") / "out"
    clips = tiny.clips(tmp_path_factory.getbasetemp())
    assert _select(clips, out, "--json", str(out.parent / "j.json")) == 0
    return out, json.loads((out.parent / "j.json").read_text())


def _runs(out: Path, epochs: int) -> dict[float, Path]:
    """Folders of the runs of so many epochs by their temperature."""
    folders = [path.parent for path in (out / f"{epochs}-epochs").glob("*/config.yaml")]
    return {read_config(path).settings.objectives.temperature: path for path in folders}


def test_the_best_go_on_and_the_first_at_full_length_is_chosen(selected: tuple[Path, dict[str, Any]]) -> None:
    out, said = selected
    assert json.loads((out / "selection.json").read_text()) == said
    left = [0.05, 0.1, 0.2, 0.5]
    for epochs in (1, 2, 3):
        runs = _runs(out, epochs)
        assert set(runs) == set(left)
        scores = {}
        for temperature, run in runs.items():
            assert read_config(run).settings.epochs == epochs
            (result,) = read_results(run / "evaluation")
            scores[temperature] = result.overall.accuracy
        by_said = {each["combination"]["objectives.temperature"]: each["scores"] for each in said["candidates"]}
        assert {each: of[str(epochs)] for each, of in by_said.items() if str(epochs) in of} == scores
        # Of equal ones the earlier of the grid.
        left = sorted(left, key=lambda each: -scores[each])
        left = left[: 2 if epochs == 2 else max(2, ceil(len(left) / 3))]
    assert said["selected"] == {"objectives.temperature": left[0]}
    assert load_recipe(said["recipe"]).objectives.temperature == left[0]
    assert load_recipe(said["recipe"]).epochs == 3
    table = (out / "selection.md").read_text()
    assert table.splitlines()[2].startswith(f"| objectives.temperature={left[0]}")
    assert f"Selected: objectives.temperature={left[0]}." in table and "Test clips took no part." in table


def test_workers_see_training_clips_alone(
    selected: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out, said = selected
    whole, seen = open_clips(tiny.clips(tmp_path_factory.getbasetemp())), open_clips(out / "clips")
    training = whole.part("xsub", "train")
    assert sorted(seen.columns["name"]) == sorted(training.columns["name"])
    for index, name in enumerate(seen.columns["name"]):
        same = int(np.flatnonzero(training.columns["name"] == name)[0])
        np.testing.assert_array_equal(seen[index], training[same])
    assert list(seen.dataset.splits) == said["held_out"] == ["subject-0.3-seed0"]
    train, held_out = (set(seen.part(said["held_out"][0], part).columns["subject"]) for part in ("train", "test"))
    assert train and held_out and not train & held_out
    for epochs in (1, 2, 3):
        for run in _runs(out, epochs).values():
            assert read_config(run).clips["path"] == str(out / "clips")


def test_a_killed_selection_ends_with_the_same(
    selected: tuple[Path, dict[str, Any]], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(selected[0], out)
    for name in ("selection.json", "selection.md", "selected.yaml"):
        (out / name).unlink()
    # As if stopped after the first rung and one run of the second.
    shutil.rmtree(out / "3-epochs")
    shutil.rmtree(min(_runs(out, 2).items())[1])
    executed: list[str] = []
    whole = Job.execute
    monkeypatch.setattr(Job, "execute", lambda job: executed.append(Path(job.run).parent.name) or whole(job))
    assert _select(clips, out) == 0
    assert executed == ["2-epochs", "3-epochs", "3-epochs"]
    for name in ("selection.json", "selection.md"):
        said = (out / name).read_text().replace(str(out), str(selected[0]))
        assert said == (selected[0] / name).read_text()
    assert (out / "selected.yaml").read_text() == (selected[0] / "selected.yaml").read_text()


def test_a_run_that_is_continued_has_the_weights_of_a_long_one(
    selected: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """The schedule is the step schedule, so the runs of a rung begin with the weights of the last one."""
    out, said = selected
    temperature, run = min(_runs(out, 3).items())
    assert any((out / "2-epochs").iterdir())
    words = [*ONE, "--seed", "0", "--epochs", "3"]
    words += ["--objectives.temperature", str(temperature), "--split", said["held_out"][0]]
    assert main(["pretrain", str(out / "clips"), str(tmp_path / "run"), *words]) == 0
    own, long = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "run"))
    assert own.keys() == long.keys() and all((own[name] == long[name]).all() for name in own)


def test_a_candidate_that_fails_is_named_and_out(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "--select", "--grid", "method=moco,cmd", "--epochs", "2", "--rungs", "1"]
    with jobs_here():
        assert main(["sweep", str(clips), str(tmp_path / "out"), *words]) == 2
    said = json.loads((tmp_path / "out" / "selection.json").read_text())
    assert said["selected"] == {"method": "moco"} and said["order_kept"] is None
    (moco, cmd) = said["candidates"]
    assert "needs at least two streams" in cmd["failed"]["reason"] and not cmd["scores"]
    assert moco["scores"]["1"] == fmean(moco["runs"]["1"].values())
    assert "needs at least two streams" in capsys.readouterr().err


def test_folds_hold_out_other_subjects_and_a_folder_of_other_clips_is_refused(clips: Path, tmp_path: Path) -> None:
    opened = open_clips(clips)
    made = held_out_clips(opened, "xsub", tmp_path / "held", folds=2)
    assert list(made.dataset.splits) == ["subject-0.3-seed0", "subject-0.3-seed1"]
    again = held_out_clips(opened, "xsub", tmp_path / "held", folds=2)
    assert again.dataset == made.dataset
    with pytest.raises(InputError, match="holds the training clips of other clips or folds"):
        held_out_clips(opened, "xsub", tmp_path / "held", folds=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "batch_size=4"], "chooses among the values of --grid"),
        (["--grid", "epochs=4,5"], "--select decides epochs itself; leave it out of --grid"),
        (["--grid", "batch_size=4,8", "--rungs", "5", "3"], "--rungs 5 3: give increasing numbers of epochs below"),
        (["--grid", "batch_size=4,8", "--verify", "0"], "--verify 0, --folds 1: give at least 1"),
        (["--vary", "batch_size=4,8"], "--select takes --grid and one --split"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], message: str, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", str(clips), str(tmp_path / "out"), "--select", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_order_is_compared_between_the_last_rung_and_full_length() -> None:
    better, worse = (selection.Candidate({}, {1: score}) for score in (0.9, 0.8))
    assert selection._order_kept([better, worse], 1) is True
    assert selection._order_kept([worse, better], 1) is False
