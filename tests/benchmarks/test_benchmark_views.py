"""The benchmark of views: it prints all results, and the plain implementation makes the same views."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import views
from timing import spread

from i2md.data.packed import pack_arrays
from i2md.views.augment import ViewDraws
from i2md.views.settings import ViewSettings
from i2md.views.view import make_view

REFERENCE = """
import numpy as np
class Feeder:
    def __init__(self, data, frames, l_ratio, input_size, input_representations):
        print("progress")
        self.data, self.frames = np.load(data, mmap_mode="r"), np.load(frames)
    def __getitem__(self, index):
        return (np.array(self.data[index, :, : self.frames[index]][:, :1]),) * 4
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_the_plain_implementation_makes_the_same_views(seed: int) -> None:
    clips = pack_arrays(views.ntu_shaped(40), torch.device("cpu"))
    assert clips.max_persons == 2
    draws = ViewDraws.draw(40, 25, 3, torch.Generator().manual_seed(seed))
    arguments = clips, torch.randperm(40), ViewSettings(), views.LAYOUT, 2, draws
    torch.testing.assert_close(views.plain_view(*arguments), make_view(*arguments), atol=1e-5, rtol=1e-5)


def test_it_prints_all_results(tmp_path: Path) -> None:
    (tmp_path / "feeder").mkdir()
    (tmp_path / "feeder" / "feeder_pretraining_inter.py").write_text(REFERENCE)
    sizes = ["--clips", "20", "--batch_size", "4", "--batches", "2", "--rounds", "2", "--device", "cpu"]
    command = [sys.executable, views.__file__, *sizes, "--reference", str(tmp_path)]
    results = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    implementations = {"ours", "PyTorch's operations, clip by clip", "reference feeder", "reference feeder, as a batch"}
    assert set(results["microseconds a clip"]) == set(results["clips a second"]) == implementations
    assert set(results["ours is so many times as fast"]) == implementations - {"ours"}
    for name, figures in results["microseconds a clip"].items():
        assert 0 < figures["from"] <= figures["median"] <= figures["to"]
        assert results["clips a second"][name]["to"] == pytest.approx(1e6 / figures["from"], rel=1e-3)
    assert set(spread([1.0])) == set(figures)
