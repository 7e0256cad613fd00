"""Mutate valid files of every reader and loader: `make fuzz`.

python -m fuzzing                              1,000 mutations of every target
python -m fuzzing "ntu-rgbd" --first 417 --count 1    one mutation again
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzzing.campaign import Finding, Outcome, Target, attack, mutation
from fuzzing.targets import targets


def main() -> int:
    """Run the command; 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help="targets whose name contains one of these texts")
    parser.add_argument("--count", type=int, default=1000, help="mutations of each target")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--keep", type=Path, help="write the changed files of the findings into this folder")
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.count)
    found = 0
    with tempfile.TemporaryDirectory(prefix="i2md-fuzz-") as base:
        makers = targets(Path(base))
        for name in makers:
            if not given.names or any(text in name for text in given.names):
                outcome = _in_a_process(makers[name], name, numbers, given.keep)
                _print(name, outcome)
                found += len(outcome.findings)
    print(f"{found} findings")
    return int(found > 0)


def _in_a_process(make: Callable[[], Target], name: str, numbers: range, keep: Path | None) -> Outcome:
    """A target that ends its process is found too."""
    context = multiprocessing.get_context("fork")
    current = context.Value("q", numbers.start)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(make, numbers, current, sender, keep))
    process.start()
    sender.close()
    try:
        outcome: Outcome = receiver.recv()
    except EOFError:
        outcome = Outcome()
    process.join()
    if process.exitcode:
        outcome.findings.append(Finding(name, current.value, f"the process ended with {process.exitcode}"))
    return outcome


def _child(make: Callable[[], Target], numbers: range, current: Any, sender: Any, keep: Path | None) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        target = make()
        outcome = attack(target, numbers, lambda number: setattr(current, "value", number))
        for finding in outcome.findings if keep else ():
            _write(target, finding.number, keep)
        sender.send(outcome)
    except BaseException:
        traceback.print_exc()
        raise


def _print(name: str, outcome: Outcome) -> None:
    print(f"{name:34} {', '.join(f'{count} {end}' for end, count in sorted(outcome.ends.items()))}", flush=True)
    kinds: dict[str, list[Finding]] = {}
    for finding in outcome.findings:
        kinds.setdefault(finding.what.rpartition("(")[2] or finding.what, []).append(finding)
    for same in kinds.values():
        first = same[0]
        print(f"  {len(same)} x {first.what[:400]}")
        print(f'    python -m fuzzing "{name}" --first {first.number} --count 1', flush=True)


def _write(target: Target, number: int, folder: Path) -> None:
    name, data = mutation(target, number)
    path = folder / target.name.replace(" ", "_") / f"{number}-{name.replace('/', '_')}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
