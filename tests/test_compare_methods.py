"""The comparison of methods: every method and seed once, one table, nothing done twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tiny

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "compare_methods.py"


def compare(clips: Path, out: Path) -> str:
    choice = ["--recipe", "generated", "--split", "xsub", "--methods", "moco", "i2md", "--seeds", "0", "1"]
    command = [sys.executable, str(SCRIPT), str(clips), str(out), *choice, "--protocol", "knn", *tiny.SETTINGS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_row_a_method_over_its_seeds(tmp_path, tmp_path_factory):
    clips = tiny.clips(tmp_path_factory.getbasetemp())
    table = compare(clips, tmp_path)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [(row[1], row[2], row[-1]) for row in rows] == [(m, "knn", "2") for m in ("untrained", "moco", "i2md")]
    assert table == (tmp_path / "table.md").read_text()

    finished = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert compare(clips, tmp_path) == table
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == finished
