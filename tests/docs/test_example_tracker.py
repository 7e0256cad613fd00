"""docs/examples/tracker.py, the file itself: found by its entry point, it writes what log.jsonl says."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from i2md.pretraining.log import read_log

sys.path.insert(0, str(Path(__file__).parent))
from pretraining_examples import EXAMPLES, command, load_example


def test_the_command_finds_it_through_the_entry_point(
    entry_point: Callable[..., None], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry_point("i2md.trackers", "table", "tracker:CSVTracker", EXAMPLES)
    run = tmp_path / "run"
    assert command(tmp_path_factory.getbasetemp(), run, "--trackers", "[table]", "--epochs", "2") == 0
    rows = list(csv.DictReader((run / "losses.csv").read_text().splitlines()))
    assert [(int(row["epoch"]), float(row["loss"])) for row in rows] == [
        (line["epoch"], line["loss"]) for line in read_log(run)
    ]
    assert not (run / "tensorboard").exists()


def test_epochs_after_the_checkpoint_are_written_once(tmp_path: Path) -> None:
    tracker = load_example("tracker").CSVTracker
    first = tracker(tmp_path, {}, 0)
    for epoch in (1, 2, 3):
        first.write({"loss": float(epoch)}, epoch)
    tracker(tmp_path, {}, 1).write({"loss": 20.0}, 2)
    assert (tmp_path / "losses.csv").read_text().split() == ["epoch,loss", "1,1.0", "2,20.0"]
