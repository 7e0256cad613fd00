"""A demonstration from recordings to a report: `make demo`, or `python -m i2md.demo [DATA]`.

Prepares recordings, pretrains on them without labels, evaluates the encoders beside baselines that need no
pretraining, and names the report. DATA is a folder of UTD-MHAD; without one, recordings are synthetic.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from i2md.commands import evaluate, prepare, pretrain
from i2md.errors import InputError
from i2md.evaluation.baselines import BASELINES
from i2md.evaluation.table import accuracy_table
from i2md.recipes import load_recipe

FOLDER = Path("demo")


def choose_data(path: str | None) -> tuple[str, Path]:
    """The format and path of the recordings: UTD-MHAD, or synthetic ones if no path is given."""
    return ("utd-mhad", Path(path)) if path else ("synthetic", Path("synthetic"))


def main(data: str | None = None) -> None:
    """Run the demonstration in the folder demo/."""
    started = time.monotonic()
    name, source = choose_data(data)
    clips, run = FOLDER / name / "clips", FOLDER / name / "run"
    shutil.rmtree(run, ignore_errors=True)

    print(f"1. prepare: {name} recordings -> {clips}")
    prepared = prepare(format=name, source=source, clips=clips, overwrite=True)
    print(f"   {len(prepared)} clips, {len(prepared.dataset.class_names)} actions, split {prepared.default_split()}")

    print(f"2. pretrain: i2md, without labels -> {run}")
    pretrain(clips=prepared, run=run, recipe=name, settings=load_recipe(name))

    print("3. evaluate on held-out subjects: the frozen encoders, and baselines that need no pretraining")
    results = evaluate(run=run, clips=prepared, protocol=("knn", "ridge"), baselines=BASELINES)
    print(f"\n{accuracy_table(results)}\n")
    print(f"report: {run / 'report.html'}   ({time.monotonic() - started:.0f} seconds in all)")


if __name__ == "__main__":
    try:
        main(*(argument for argument in sys.argv[1:2] if argument))
    except InputError as error:
        sys.exit(f"i2md demo: {error}")
