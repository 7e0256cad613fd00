"""The benchmark of the recurrence on a GPU: its implementations compute the same, and without a GPU it says so."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2md.encoders.gru.encoder import triton_is_recent

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recurrence_gpu.py"


def started(*typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *typed], capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_prints_an_error() -> None:
    done = started()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "recurrence_gpu: no GPU; it compares what runs on one\n"


@pytest.mark.parametrize("name", ["frame by frame", "Triton"])
def test_all_implementations_compute_the_same(name: str) -> None:
    if not triton_is_recent():
        pytest.skip("Triton is not installed in a version that the kernels are used with")
    spec = importlib.util.spec_from_file_location("recurrence_gpu", SCRIPT)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    tensors = benchmark.random_tensors(4, 2, 7, 10, 3, "cuda" if torch.cuda.is_available() else "cpu")
    expected = benchmark.step(benchmark.cudnn, *tensors)
    for actual, other in zip(benchmark.step(benchmark.implementations("fp32")[name], *tensors), expected, strict=True):
        torch.testing.assert_close(actual, other, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_it_prints_all_results() -> None:
    sizes = [
        "--grus",
        "2",
        "--hidden_size",
        "64",
        "--channels",
        "32",
        "--batch_size",
        "16",
        "--frames",
        "4",
        "--rounds",
        "2",
    ]
    done = started(*sizes)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert {"cuDNN", "frame by frame", "Triton", "Triton, in a graph"} <= set(results)
