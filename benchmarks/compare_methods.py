"""Pretrain and evaluate every method over several seeds, and print one table.

    python benchmarks/compare_methods.py CLIPS OUT --recipe utd-mhad --split xsub

Runs that are finished are not done again, and one that was stopped goes on; OUT/METHOD-SEED holds each run,
OUT/table.md the table. Each job has its share of the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from i2md.evaluation.table import accuracy_table


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--split", nargs="+", required=True, help="the first is pretrained on, all are evaluated")
    parser.add_argument("--methods", nargs="+", default=["moco", "cmd", "imd", "i2md"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--protocol", nargs="+", default=["knn", "linear", "linear-sweep"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args, settings = parser.parse_known_args()

    with ThreadPoolExecutor(args.jobs) as pool:
        for _ in pool.map(lambda job: run(*job, args, settings), product(args.seeds, args.methods)):
            pass
    table = accuracy_table(results(args))
    (args.out / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def run(seed: int, method: str, args: argparse.Namespace, settings: list[str]) -> None:
    """One run, from pretraining to its last evaluation."""
    folder = args.out / f"{method}-{seed}"
    i2md = [sys.executable, "-m", "i2md.cli"]
    choice = ["--recipe", args.recipe, "--method", method, "--seed", str(seed), "--split", args.split[0]]
    call([*i2md, "pretrain", str(args.clips), str(folder), *choice, *settings], args.jobs)
    for split in args.split:
        if evaluated(folder, split) < set(args.protocol):
            # The encoders before training are the same for every method of a seed.
            beside = ["--untrained"] if method == args.methods[0] else []
            words = [str(folder), str(args.clips), "--split", split, *beside, "--protocol", *args.protocol]
            call([*i2md, "evaluate", *words], args.jobs)


def call(command: list[str], jobs: int) -> None:
    """Run one command on its share of the cores."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": threads})


def evaluated(folder: Path, split: str) -> set[str]:
    """The protocols that a run has already been through."""
    return {json.loads(path.read_text())["protocol"] for path in folder.glob(f"evaluation/*-{split}.json")}


def results(args: argparse.Namespace) -> list[dict]:
    """All results of all runs: the untrained encoders of each seed, once, and then by method."""
    found = []
    for method, seed in product(args.methods, args.seeds):
        for path in (args.out / f"{method}-{seed}" / "evaluation").glob("*.json"):
            result = json.loads(path.read_text())
            if result["method"] == method or method == args.methods[0]:
                found.append(result)
    order = ["untrained", *args.methods]
    return sorted(found, key=lambda r: (args.split.index(r["split"]), order.index(r["method"]), r["protocol"]))


if __name__ == "__main__":
    main()
