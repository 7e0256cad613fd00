"""Killed at 20 random file operations or out of disk 10 times, every command ends with an undisturbed one's bytes.

I2MD_TEST_KILLS and I2MD_TEST_FULL_DISKS set other numbers.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import disturbed
import forked
import numpy as np
import pytest
import tiny

KILLS, FULL_DISKS = 20, 10
_REPRODUCE = "batch_size=8 views.frames=8 encoder.hidden_size=8 encoder.num_layers=1 objectives.embedding_dim=8"
_REPRODUCE += " encoder.feature_size=8 objectives.queue_size=32 objectives.num_neighbours=8 objectives.warmup_steps=2"
_REPRODUCE += " linear.epochs=2 finetune.epochs=2 semi.label_fractions=[0.25]"


@dataclass
class Command:
    """A command, and which of the files that it writes have to be the same."""

    words: Callable[[Path], list[str]]
    same: tuple[str, ...]
    """Patterns of files below its folder."""
    before: Callable[[Path], None] = field(default=lambda folder: None)


@pytest.fixture(scope="module")
def commands(clips: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Command]:
    forked.preload("sklearn.linear_model", "i2md.data.prepare", "i2md.experiments.sweep", "disturbed")
    recordings = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for number in range(24):
        np.save(recordings / f"{number:02d}.npy", rng.normal(size=(40, 25, 3)).astype(np.float32))
    saving = [*tiny.SETTINGS, "--epochs", "4", "--checkpoint_minutes", "0"]

    def with_run(folder: Path) -> None:
        folder.mkdir()
        for name in ("config.yaml", "model.safetensors"):
            (folder / name).write_bytes((run / name).read_bytes())

    evaluate = ["evaluate", "OUT", str(clips), "--protocol", "knn", "linear", "--linear.epochs", "2"]
    reproduce = [
        "reproduce",
        "utd-mhad",
        "OUT",
        "--clips",
        str(clips),
        "--seeds",
        "0",
        "--methods",
        "untrained",
        "moco",
    ]
    reproduce += ["--epochs", "2", "--device", "cpu", "--jobs", "1", "--change", *_REPRODUCE.split()]
    lines = {
        "prepare": (["prepare", "arrays", str(recordings), "OUT", "--jobs", "1"], ("*",)),
        "join": (["join", "OUT", str(clips), str(_renamed(clips, tmp_path_factory.mktemp("other") / "c"))], ("*",)),
        "pretrain": (["pretrain", str(clips), "OUT", *saving], ("model.safetensors", "config.yaml")),
        "evaluate": ([*evaluate, "--device", "cpu"], ("evaluation/*.json",)),
        "embed": (["embed", str(run), str(clips), "OUT", "--device", "cpu"], ("*.parquet", "*.json")),
        "sweep": (
            ["sweep", str(clips), "OUT", *tiny.SWEEP, "--seeds", "0", "1", "--jobs", "1"],
            ("*/model.safetensors", "*/evaluation/*.json"),
        ),
        "reproduce": (reproduce, ("*/model.safetensors", "*/evaluation/*.json")),
    }

    def command(name: str) -> Command:
        words, same = lines[name]
        made = with_run if name == "evaluate" else (lambda folder: None)
        return Command(lambda out: [str(out) if word == "OUT" else word for word in words], same, made)

    return {name: command(name) for name in lines}


def _renamed(clips: Path, target: Path) -> Path:
    """The same clips as a data set of another name."""
    target.mkdir()
    for path in clips.iterdir():
        target.joinpath(path.name).write_bytes(path.read_bytes())
    data = json.loads((target / "dataset.json").read_text())
    (target / "dataset.json").write_text(json.dumps(data | {"name": "other"}))
    return target


def _call(words: list[str], folder: Path, kill_at: int = 0, file_size: int = 0) -> tuple[int, str]:
    process = forked.Forked(disturbed.run, str(folder), kill_at, file_size, *words)
    said = process.communicate()
    assert process.returncode is not None
    return process.returncode, "".join(said)


def _contents(folder: Path, patterns: tuple[str, ...]) -> dict[str, bytes]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def _leftovers(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if path.name.endswith((".partial", ".replaced", ".lock"))]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prepare", "join", "pretrain", "evaluate", "embed", "sweep", "reproduce"])
def test_disturbed_commands_end_with_the_same_bytes(name: str, commands: dict[str, Command], tmp_path: Path) -> None:
    command, rng = commands[name], Random(name)
    kills = int(os.environ.get("I2MD_TEST_KILLS", KILLS))
    full_disks = int(os.environ.get("I2MD_TEST_FULL_DISKS", FULL_DISKS))
    (tmp_path / "a").mkdir()
    undisturbed = tmp_path / "a" / "out"
    command.before(undisturbed)
    code, said = _call(command.words(undisturbed), tmp_path / "a")
    assert code == 0, said
    expected = _contents(undisturbed, command.same)
    operations = int(said.rpartition("operations ")[2].split()[0])
    sizes = [path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()]
    assert expected and operations > 3
    killed = failed = 0
    for number in range(kills + full_disks):
        parent = tmp_path / f"b{number}"
        parent.mkdir()
        out = parent / "out"
        command.before(out)
        if number < kills:
            code, said = _call(command.words(out), parent, rng.randrange(1, operations + 1))
            killed += code == -signal.SIGKILL
        else:
            code, said = _call(command.words(out), parent, 0, rng.randrange(1, max(sizes)))
            assert code in (0, 2), said[-2000:]
            failed += code == 2
        code, said = _call(command.words(out), parent)
        # Killed when all was in place, but for the removal of the hidden folder.
        complete = code == 2 and "already exists; add --overwrite" in said
        assert code == 0 or complete, (number, said[-2000:])
        assert _contents(out, command.same) == expected, number
        assert complete or _leftovers(parent) == [], number
    assert killed >= kills // 2 and failed >= full_disks // 2
