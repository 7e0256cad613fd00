"""The benchmark of extraction: it prints all results, and the plain implementation computes the same features."""

from __future__ import annotations

import json
import subprocess
import sys

import extraction
import pytest
import torch
import views

from i2md.data.packed import pack_arrays
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings


def test_the_plain_implementation_computes_the_same() -> None:
    encoders = {
        name: GRUEncoder(extraction.LAYOUT, 2, GRUSettings(hidden_size=6, num_layers=2)) for name in extraction.STREAMS
    }
    clips = pack_arrays(views.ntu_shaped(9), torch.device("cpu"))
    ours, plain = (
        function() for function in extraction.implementations(encoders, clips, frames=12, batch_size=4).values()
    )
    for name in extraction.STREAMS:
        torch.testing.assert_close(ours[name], plain[name])


def test_operations_count_multiplications_and_additions() -> None:
    """Layer by layer, gate by gate: a product of a matrix with a vector."""
    by_hand = 0
    for below in (150, 12, 12):
        for _gru, _gate in ((g, n) for g in range(2) for n in range(3)):
            by_hand += 2 * 6 * below + 2 * 6 * 6
    assert extraction.operations(150, hidden_size=6, num_layers=3) == by_hand


@pytest.mark.slow
def test_it_prints_all_results() -> None:
    sizes = {"clips": 6, "batch_size": 4, "frames": 5, "hidden_size": 4, "num_layers": 1, "rounds": 2, "product": 64}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, extraction.__file__, *words, "--device", "cpu"]
    results = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    implementations = {"ours", "PyTorch's GRUs"}
    assert set(results["clips a second"]) == set(results["fraction of the float32 rate"]) == implementations
    assert set(results["ours is so many times as fast"]) == implementations - {"ours"}
    for figures in results["clips a second"].values():
        assert 0 < figures["from"] <= figures["median"] <= figures["to"]
