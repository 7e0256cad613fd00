"""The benchmark of nearest neighbours, at a small size."""

from __future__ import annotations

import json
import subprocess
import sys

import knn
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("streams", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_it_prints_all_results(streams: int) -> None:
    sizes = {"train": 90, "test": 40, "width": 16, "streams": streams, "rounds": 2, "threads": 1, "product": 64}
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, knn.__file__, *words, "--device", "cpu", "--scikit-learn"]
    results = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(results["seconds"]) == {"ours", "all pairs at once", "scikit-learn"}
    assert results["other neighbours than ours"] == dict.fromkeys(results["seconds"], 0)
    assert set(results["ours is so many times as fast"]) == {"all pairs at once", "scikit-learn"}
    assert results["fraction of the float32 rate"]["median"] > 0
    assert results["peak MB, features included"] > 50
    assert results["MB of features"] == 0
