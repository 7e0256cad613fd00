"""The benchmark of the step: it prints all results, and the plain implementation computes the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import step
import torch

from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.skeletons import get_layout


def test_the_plain_implementation_computes_the_same() -> None:
    encoders = [GRUEncoder(get_layout("openni-15"), 1, GRUSettings(hidden_size=5, num_layers=2)) for _ in range(2)]
    clips = [torch.randn(4, 7, 15, 3, 1) for _ in encoders]
    ours = GRUEncoder.forward_parallel(encoders, clips)
    with step.pytorch_grus():
        plain = GRUEncoder.forward_parallel(encoders, clips)
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_it_prints_all_results() -> None:
    sizes = {
        "hidden_size": 4,
        "num_layers": 1,
        "batch_size": 4,
        "frames": 5,
        "queue_size": 8,
        "rounds": 2,
        "product": 64,
        "threads": 1,
    }
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, step.__file__, *words, "--device", "cpu"]
    results = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    implementations = {"ours, fp32", "ours, bf16", "PyTorch's GRUs and products, fp32"}
    assert set(results["milliseconds a step"]) == set(results["fraction of the product rate"]) == implementations
    assert set(results["milliseconds within a step"]) == {"views", "objectives"}
    for precision in ("fp32", "bf16"):
        (ratio,) = results[f"times as long as ours, {precision}"].values()
        assert 0 < ratio["from"] <= ratio["median"] <= ratio["to"]
