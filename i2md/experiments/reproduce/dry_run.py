"""Generated recordings in the publishers' formats, and the changes that make a full recipe short: all but the sizes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2md.errors import InputError
from i2md.experiments.reproduce.table import Table
from i2md.synthetic import write_ntu, write_pku

# One seed, one pass, and no warm-up: every loss takes part at once.
SEEDS = (0,)
CHANGES: dict[str, Any] = {
    "epochs": 1,
    "objectives.warmup_steps": 0,
    "linear.epochs": 1,
    "finetune.epochs": 1,
    "semi.draws": 1,
}
MEANING = "DRY RUN on generated motion, one epoch: the figures mean nothing."
# As few as leave each official split a whole batch to train on, whatever can't be read among them.
_NTU_CLIPS = 150
# Three recordings of every subject, so that the split has its validation subjects.
_PKU_RECORDINGS, _PKU_ACTIONS = 39, 3


def generated_recordings(table: Table, folder: Path) -> tuple[Path, Path | None]:
    """Folders of recordings for a table, and for its target if it has one, written where they are not there yet."""
    spec = table.specification
    edition = "ntu120" if spec.recipe == "ntu120" else "ntu60"
    writers: dict[str, Callable[[Path], Any]] = {
        "ntu-rgbd": lambda path: write_ntu(path, _NTU_CLIPS, edition, progress=True),
        "pku-mmd": lambda path: write_pku(path, _PKU_RECORDINGS, phase=2, actions=_PKU_ACTIONS, progress=True),
    }
    if spec.format not in writers:
        raise InputError(f"{table.name}: --dry_run is for NTU RGB+D and PKU-MMD; try this table with --epochs 1")
    source = _written(folder / "recordings", writers[spec.format])
    return source, _written(folder / "target-recordings", writers[spec.target]) if spec.target else None


def _written(folder: Path, write: Callable[[Path], Any]) -> Path:
    """The folder, whole or not there."""
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        write(partial)
        os.replace(partial, folder)
    return folder
