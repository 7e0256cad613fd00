"""The benchmark of preparation, at a size at which its figures mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OFFICIAL = {
    "data_gen/ntu_gendata.py": "import numpy as np\ndef read_xyz(path):\n    return np.ones((3, 5, 25, 2))\n",
    "data_gen/preprocess.py": "def pre_normalization(data):\n    print('told')\n    return data * 2\n",
}


def test_it_runs_and_tells_all_its_figures(tmp_path: Path) -> None:
    for name, text in OFFICIAL.items():
        (tmp_path / "official" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "official" / name).write_text(text)
    script = Path(__file__).parents[2] / "benchmarks" / "prepare.py"
    sizes = ["--clips", "6", "9", "--distinct", "6", "--files", "3", "--rounds", "2", "--jobs", "2"]
    command = [sys.executable, str(script), str(tmp_path / "out"), *sizes, "--official", str(tmp_path / "official")]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    steps = {"read", "prepare", "published read", "published normalise", "times as fast"}
    assert set(told["one core"]) == steps
    assert all(told["one core"][name]["median"] > 0 for name in ("read", "prepare"))
    for size in ("6 clips", "9 clips"):
        assert told[size]["seconds"] > 0
        assert told[size]["peak MB of all its processes"] >= told[size]["peak MB of the command"] > 10
        # 56,880 clips of about a hundred frames and one or two people, 300 bytes a frame.
        assert 0.5 < told[size]["GB for NTU-60"] < 4
