"""The benchmark of the step: it tells its figures, and the plainer way computes the same."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from i2md.encoders.recurrent import RecurrentEncoder

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "step.py"


def test_the_plain_way_computes_the_same() -> None:
    spec = importlib.util.spec_from_file_location("step", SCRIPT)
    step = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(step)
    encoders = [RecurrentEncoder(channels=9, units=5, layers=2) for _ in range(2)]
    sequences = [torch.randn(4, 7, 9) for _ in encoders]
    ours = RecurrentEncoder.together(encoders, sequences)
    with step.plainly():
        plain = RecurrentEncoder.together(encoders, sequences)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other)


def test_it_tells_all_its_figures(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    clips = tiny.clips(tmp_path_factory.getbasetemp())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "batch: 8\nviews: {frames: 8}\nencoder: {units: 4, layers: 1}\n"
        "objectives: {embedding: 4, bank: 16, neighbours: 8}\n"
    )
    command = [sys.executable, str(SCRIPT), str(clips), "--recipe", str(recipe), "--rounds", "2", "--device", "cpu"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(told) == {
        "ours",
        "PyTorch's products",
        "PyTorch's products and GRUs",
        "times as fast as PyTorch's products",
        "times as fast as PyTorch's products and GRUs",
    }
    assert all(0 < figures["from"] <= figures["median"] <= figures["to"] for figures in told.values())
