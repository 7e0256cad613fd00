"""Recipe `auto`: sizes that fit the clips, typed options that take precedence, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import i2md
from i2md.cli.main import main
from i2md.cli.parser import parse
from i2md.data.dataset import Dataset
from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.pretraining import loop
from i2md.pretraining.checks import few_clips_warnings, small_run_warnings
from i2md.recipes import load_recipe
from i2md.recipes.auto import auto_recipe, auto_settings
from i2md.skeletons import get_layout

LAYOUT = get_layout("kinect-v1")


def clips(count: int, frames: int = 50, channels: int = 3, test: int = 0) -> Clips:
    """So many training clips of equal length, in name only."""
    both = count + test
    split = {"xsub": {"train": {"subject": (1,)}, "test": {"subject": (2,)}}} if test else {}
    dataset = Dataset("made", LAYOUT.with_channels(channels), ("a",), "m", "none", split)
    columns = {
        "name": np.array([f"c{number}" for number in range(both)]),
        "subject": np.array([1] * count + [2] * test),
        "frames": np.full(both, frames),
        "persons": np.ones(both, dtype=np.int64),
    }
    return Clips(Path("made"), dataset, np.zeros((0, 20, channels), np.float32), columns)


@settings(max_examples=20)
@given(st.integers(4, 120_000), st.integers(1, 400), st.sampled_from([2, 3]))
def test_any_number_and_length_of_clips_gives_settings_that_fit(count: int, frames: int, channels: int) -> None:
    chosen = auto_settings(clips(count, frames, channels))  # which raises where settings contradict one another
    steps = count // chosen.batch_size
    assert steps >= 1 and chosen.objectives.queue_size <= max(count, 2 * chosen.batch_size)
    assert 10 <= chosen.epochs <= 200
    # Terms that wait for the queue begin within the first tenth of the run, where it has that many steps.
    assert chosen.warmup_steps <= max(steps * chosen.epochs / 10, 30)
    assert not [text for text in small_run_warnings(count, chosen) if "never begin" in text]
    assert bool(chosen.views.rotation) == (channels == 3)
    # What it warns of is not its own choice.
    assert count % chosen.batch_size <= max(count / 8, 1)


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [
        # Batch, queue, neighbours, frames and epochs; the first two as the recipes that were searched on such sets.
        (431, 67, (64, 256, 128, 32, 30)),
        (1020, 31, (64, 512, 256, 32, 30)),
        (60, 40, (20, 40, 20, 32, 60)),
        (250, 40, (62, 124, 62, 32, 45)),
        (40_000, 80, (64, 16384, 8192, 32, 16)),
        (500, 200, (64, 256, 128, 64, 30)),
        (500, 12, (64, 256, 128, 16, 30)),
        (4, 30, (2, 2, 1, 32, 90)),
    ],
)
def test_sizes(count: int, frames: int, expected: tuple[int, ...]) -> None:
    s = auto_settings(clips(count, frames))
    o = s.objectives
    assert (s.batch_size, o.queue_size, o.num_neighbours, s.views.frames, s.epochs) == expected


def test_all_else_is_as_in_the_recipe_for_small_data() -> None:
    chosen, base = auto_settings(clips(431, 67)), load_recipe("utd-mhad")
    assert chosen == base


def test_the_training_part_of_the_split_counts() -> None:
    assert auto_recipe(clips(60, test=900)) == auto_recipe(clips(60))
    assert auto_recipe(clips(60, test=900), split="all") == auto_recipe(clips(960))
    with pytest.raises(InputError, match="3 clips to pretrain on are too few; give 4"):
        auto_recipe(clips(3, test=900))


def test_typed_options_take_precedence_and_queues_fit_a_typed_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tiny.clips(tmp_path_factory.getbasetemp()))  # 16 training clips
    command = i2md.commands.pretrain
    arguments, _ = parse(command, [folder, "run"])
    assert (arguments["recipe"], arguments["settings"]) == ("auto", auto_settings(i2md.open_clips(folder)))
    assert parse(command, [folder, "run", "--recipe", "auto"])[0] == arguments
    typed, _ = parse(command, [folder, "run", "--batch_size", "3", "--epochs", "2"])
    assert (typed["settings"].batch_size, typed["settings"].epochs) == (3, 2)
    assert typed["settings"].objectives.queue_size == 9
    other, _ = parse(command, [folder, "run", "--encoder.name", "gru", "--encoder.hidden_size", "8"])
    assert (other["settings"].encoder.options, other["settings"].objectives.projection) == ({}, "mlp")


def test_pretrain_without_a_recipe_says_what_it_chose(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tiny.clips(tmp_path_factory.getbasetemp()))
    small = ["--encoder.name", "tcn", "--encoder.options.hidden_size", "8", "--epochs", "1", "--knn_every", "0"]
    words = [folder, str(tmp_path / "run"), *small, "--diagnostics_every", "0", "--device", "cpu"]
    assert main(["pretrain", *words]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "recipe auto: 16 clips: batch_size 5, objectives.queue_size 10, num_neighbours 5, views.frames 32" in said
    assert "warning: 16 clips are few to pretrain on" in said
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["recipe"], config["settings"]["objectives"]["queue_size"]) == ("auto", 10)
    assert main(["recipes", "show", "auto"]) == 2
    assert "recipe 'auto' is chosen for the clips" in capsys.readouterr().err


def test_few_clips_are_warned_of() -> None:
    assert few_clips_warnings(300) == [] and len(few_clips_warnings(299)) == 1


def test_the_duration_is_said_once_measured(capsys: pytest.CaptureFixture[str]) -> None:
    # The clock is read before and after five steps.
    times = iter([10.0, 12.0])
    duration = loop.Duration(1000, clock=lambda: next(times))
    for _ in range(50):
        duration.step()
    assert capsys.readouterr().err == "i2md: 1000 steps of 0.4 s each: 7 minutes left\n"
    short = loop.Duration(40, clock=iter([0.0, 2.0]).__next__)
    for _ in range(40):
        short.step()
    assert capsys.readouterr().err == ""
