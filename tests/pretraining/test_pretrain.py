"""What a pretraining returns, and what its progress and its log say."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import tiny
import torch

from i2md.data.store import Clips, open_clips
from i2md.encoders.settings import EncoderSettings
from i2md.errors import InputError
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.checks import small_run_warnings
from i2md.pretraining.log import read_log
from i2md.pretraining.pretrain import plan, pretrain_run
from i2md.pretraining.settings import OptimizerSettings, PretrainSettings
from i2md.views.settings import ViewSettings

SETTINGS = PretrainSettings(
    method="moco",
    epochs=3,
    batch_size=8,
    streams=("joint", "bone"),
    knn_every=2,
    views=ViewSettings(frames=8),
    encoder=EncoderSettings(hidden_size=4, num_layers=1),
    objectives=ObjectiveSettings(embedding_dim=4, queue_size=16, num_neighbours=4),
)


@pytest.fixture
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    return open_clips(tiny.clips(tmp_path_factory.getbasetemp()))


def test_it_returns_time_last_losses_and_last_monitored_accuracy(clips: Clips, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def monitor(all_clips: Clips, split: str, device: torch.device):
        asked.append((split, device.type))
        return lambda model: {f"knn/{name}": len(asked) / 4 for name in model.settings.streams}

    done = pretrain_run(clips, tmp_path / "run", SETTINGS, device="cpu", recipe="mine", monitor=monitor)
    log = read_log(tmp_path / "run")
    assert asked == [("xsub", "cpu")]
    assert (done.run, done.clips, done.split, done.epochs) == (tmp_path / "run", 16, "xsub", 3)
    assert done.seconds == pytest.approx(sum(line["seconds"] for line in log)) and done.seconds > 0
    assert done.losses == {name: log[-1][name] for name in ("loss", "contrast/joint", "contrast/bone")}
    assert done.losses["loss"] == pytest.approx(done.losses["contrast/joint"] + done.losses["contrast/bone"])
    assert done.knn == {"joint": 0.25, "bone": 0.25}
    assert ["knn/joint" in line for line in log] == [False, True, True]


def test_finished_run_returns_the_same_result_again(clips: Clips, tmp_path: Path) -> None:
    first, again = (pretrain_run(clips, tmp_path / "run", SETTINGS, device="cpu") for _ in range(2))
    assert asdict(first) == asdict(again)
    assert first.knn == {}


def test_progress_is_one_last_line_without_a_terminal(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain_run(clips, tmp_path / "run", SETTINGS, device="cpu")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("moco: 100%") and "6/6" in line and "epoch 3, joint/bone: contrast" in line


def test_plan_states_the_clips_and_the_configuration(clips: Clips) -> None:
    chosen, config = plan(clips, SETTINGS, "mine")
    assert len(chosen) == 16
    assert config.recipe == "mine" and config.persons == chosen.max_persons
    assert {name: config.clips[name] for name in ("split", "count")} == {"split": "xsub", "count": 16}


@pytest.mark.parametrize("queue_size, begins", [(16, 2), (24, 3), (40, 5)])
def test_log_and_result_state_the_step_at_which_each_term_begins(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str], queue_size: int, begins: int
) -> None:
    objectives = replace(SETTINGS.objectives, queue_size=queue_size)
    settings = replace(SETTINGS, method="i2md", objectives=objectives)
    done = pretrain_run(clips, tmp_path / "run", settings, device="cpu")
    assert done.begins == {"contrast": 0, "dna": begins, "cmd": begins, "imd": begins}
    log = read_log(tmp_path / "run")
    assert [line.get("begins", {}).get("cmd") for line in log] == [
        begins if n == begins // 2 else None for n in range(3)
    ]
    assert [any(name.startswith("cmd/") for name in line) for line in log] == [n >= begins // 2 for n in range(3)]
    assert done.warnings == [] and "warning" not in capsys.readouterr().err


def test_terms_that_never_begin_are_stated_before_and_after(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(SETTINGS, method="i2md", objectives=replace(SETTINGS.objectives, queue_size=48))
    done = pretrain_run(clips, tmp_path / "run", settings, device="cpu")
    (warning,) = done.warnings
    assert warning.startswith("dna, cmd, imd never begin: they wait for 6 steps, and 3 epochs of 16 clips are 6; lower")
    assert "--objectives.queue_size" in warning and "more than 3 --epochs" in warning
    assert capsys.readouterr().err.startswith(f"i2md: warning: {warning}\n")
    assert done.begins == {"contrast": 0}


def test_clips_that_fill_no_batch_are_counted() -> None:
    assert small_run_warnings(60, replace(SETTINGS, batch_size=32, objectives=ObjectiveSettings())) == [
        "each epoch leaves out 28 of 60 clips, other ones each time, which do not fill a batch of 32; choose another"
        " --batch_size to use more"
    ]
    assert small_run_warnings(640, SETTINGS) == small_run_warnings(647, SETTINGS) == []


def test_a_finished_run_trained_longer_has_the_weights_of_a_long_run(clips: Clips, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=5, method="i2md", optimizer=OptimizerSettings(milestones=(2, 4)))
    pretrain_run(clips, tmp_path / "long", settings, device="cpu")
    pretrain_run(clips, tmp_path / "run", replace(settings, epochs=3), device="cpu")
    (tmp_path / "run" / "evaluation").mkdir()
    (tmp_path / "run" / "evaluation" / "knn.json").write_text("{}")
    done = pretrain_run(clips, tmp_path / "run", settings, device="cpu", longer=True)
    assert done.epochs == 5 and [line["epoch"] for line in read_log(tmp_path / "run")] == [1, 2, 3, 4, 5]
    for name in ("model.safetensors", "training_state.safetensors", "config.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "long" / name).read_bytes()
    assert not (tmp_path / "run" / "evaluation").exists()
    assert (tmp_path / "run" / "evaluation-3-epochs" / "knn.json").exists()


@pytest.mark.parametrize(
    "schedule, epochs, longer, message",
    [
        ("cosine", 5, True, "its cosine schedule lowers the learning rate to 0 over 3 epochs.*another folder"),
        ("step", 2, True, "holds a run of 3 epochs, more than 2; name another folder"),
        ("step", 5, False, "holds a run that differs in epochs; name another folder"),
    ],
)
def test_a_run_of_other_epochs_that_cannot_continue_is_refused(
    clips: Clips, tmp_path: Path, schedule: str, epochs: int, longer: bool, message: str
) -> None:
    settings = replace(SETTINGS, optimizer=OptimizerSettings(schedule=schedule))
    pretrain_run(clips, tmp_path / "run", settings, device="cpu")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        pretrain_run(clips, tmp_path / "run", replace(settings, epochs=epochs), device="cpu", longer=longer)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
