"""A dry run of a table: synthetic recordings in the publishers' formats, and settings that shorten the full recipe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2md.errors import InputError
from i2md.experiments.reproduce.table import Table
from i2md.synthetic import write_ntu, write_pku

# One seed, one epoch, and no warm-up, so that every loss is computed.
SEEDS = (0,)
CHANGES: dict[str, Any] = {
    "epochs": 1,
    "objectives.warmup_steps": 0,
    "linear.epochs": 1,
    "finetune.epochs": 1,
    "semi.draws": 1,
}
NOTE = "DRY RUN on synthetic motion, one epoch: the figures mean nothing."
# The fewest that leave a whole batch of readable training clips in each published split.
_NTU_CLIPS = 150
# Three recordings of every subject, so that the split has its validation subjects.
_PKU_RECORDINGS, _PKU_ACTIONS = 39, 3


def synthetic_recordings(table: Table, folder: Path) -> tuple[Path, Path | None]:
    """Write synthetic recordings for a table, and for its target data set if it has one, unless they exist.

    Args:
        table: The table.
        folder: Folder to write to.

    Returns:
        Folder of the recordings and, if the table transfers to another data set, folder of its recordings.

    Raises:
        InputError: The table is not about NTU RGB+D or PKU-MMD.
    """
    spec = table.specification
    edition = "ntu120" if spec.recipe == "ntu120" else "ntu60"
    writers: dict[str, Callable[[Path], Any]] = {
        "ntu-rgbd": lambda path: write_ntu(path, _NTU_CLIPS, edition, progress=True),
        "pku-mmd": lambda path: write_pku(path, _PKU_RECORDINGS, phase=2, actions=_PKU_ACTIONS, progress=True),
    }
    if spec.format not in writers:
        raise InputError(f"{table.name}: --dry_run is for NTU RGB+D and PKU-MMD; try this table with --epochs 1")
    source = _ensure(folder / "recordings", writers[spec.format])
    return source, _ensure(folder / "target-recordings", writers[spec.target]) if spec.target else None


def _ensure(folder: Path, write: Callable[[Path], Any]) -> Path:
    """The folder; it is complete or does not exist."""
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        write(partial)
        os.replace(partial, folder)
    return folder
