"""benchmarks/prepare.py runs and prints all its figures, at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = {
    "data_gen/ntu_gendata.py": "import numpy as np\ndef read_xyz(path):\n    return np.ones((3, 5, 25, 2))\n",
    "data_gen/preprocess.py": "def pre_normalization(data):\n    print('progress')\n    return data * 2\n",
}


@pytest.mark.slow
def test_benchmark_prints_all_its_figures(tmp_path: Path) -> None:
    for name, text in REFERENCE.items():
        (tmp_path / "reference" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "reference" / name).write_text(text)
    script = Path(__file__).parents[2] / "benchmarks" / "prepare.py"
    sizes = ["--clips", "6", "9", "--distinct", "6", "--files", "3", "--rounds", "2", "--jobs", "2"]
    command = [sys.executable, str(script), str(tmp_path / "out"), *sizes, "--reference", str(tmp_path / "reference")]
    figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    steps = {"read", "prepare", "reference read", "reference normalise", "times as fast"}
    assert set(figures["one core"]) == steps
    assert all(figures["one core"][name]["median"] > 0 for name in ("read", "prepare"))
    for size in ("6 clips", "9 clips"):
        assert figures[size]["seconds"] > 0
        assert figures[size]["peak MB of all its processes"] >= figures[size]["peak MB of the command"] > 10
        # 56,880 clips of about a hundred frames and one or two persons, 300 bytes for each frame of a person.
        assert 0.5 < figures[size]["GB for NTU-60"] < 4
