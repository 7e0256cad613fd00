"""The benchmark of encoders: plain formulations compute the same, and it prints all results."""

from __future__ import annotations

import json
import subprocess
import sys

import encoders as benchmark
import pytest
import tiny
import torch


@pytest.mark.parametrize("name", benchmark.PLAIN)
def test_plain_formulations_compute_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setitem(tiny.ENCODERS, "graph", {"encoder.options.widths": "[4, 6]"})
    encoder = tiny.encoder(name, "openni-15", 2)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    clips = torch.randn(4, 7, 15, 3, 2)
    plain = benchmark.plainly(benchmark.PLAIN[name], lambda: encoder(clips))
    assert isinstance(plain, torch.Tensor)
    torch.testing.assert_close(encoder(clips), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_prints_all_results() -> None:
    chosen = json.dumps({"gru": {"hidden_size": 4, "num_layers": 1}, "graph": {"widths": [4]}})
    sizes = {"batch_size": 4, "frames": 5, "queue_size": 8, "rounds": 2, "threads": 1}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, benchmark.__file__, "--encoders", chosen, *words]
    results = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(results["parameters"]) == set(results["width"]) == {"gru", "graph"}
    assert set(results["milliseconds a step"]) == {"gru", "graph", "gru, plain", "graph, plain"}
    assert set(results["times as long as ours"]) == {"gru", "graph"}
    assert set(results["times as long as gru"]) == {"graph"}
