"""What the tests of the pretraining examples share: the example files, and tiny runs by the API and by the command."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import tiny

import i2md
from i2md.cli.main import main
from i2md.encoders.settings import EncoderSettings
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.log import read_log
from i2md.pretraining.pretrain import Pretrained
from i2md.pretraining.settings import PretrainSettings
from i2md.views.settings import ViewSettings

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TINY = PretrainSettings(
    epochs=1,
    batch_size=8,
    views=ViewSettings(frames=8),
    encoder=EncoderSettings(hidden_size=8, num_layers=1),
    objectives=ObjectiveSettings(embedding_dim=8, queue_size=32, num_neighbours=8, warmup_steps=1),
)


def load_example(name: str) -> ModuleType:
    """The module docs/examples/NAME.py, which is at most 40 lines long."""
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pretrain(base: Path, run: Path, **changes: Any) -> Pretrained:
    """A tiny run by the Python API."""
    return i2md.pretrain(clips=tiny.clips(base), run=run, settings=replace(TINY, **changes), device="cpu")


def command(base: Path, run: Path, *words: str) -> int:
    """Exit code of a tiny `i2md pretrain`."""
    short = ["--epochs", "1", "--objectives.warmup_steps", "1"]
    return main(["pretrain", str(tiny.clips(base)), str(run), *tiny.SETTINGS, *short, *words])


def last_losses(run: Path) -> set[str]:
    """Names of the losses that the run's last epoch logged."""
    return {name for name in read_log(run)[-1] if "/" in name and not name.startswith(("knn/", "diagnostics/"))}
