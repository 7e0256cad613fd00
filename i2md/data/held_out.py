"""Training clips alone, with subjects of theirs held out: what settings are chosen on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from i2md.data.dataset import COLUMNS
from i2md.data.fingerprint import fingerprint
from i2md.data.recording import Recording
from i2md.data.split_by import SplitBy, draw_split
from i2md.data.store import Clips, open_clips
from i2md.data.writer import ClipsWriter
from i2md.errors import InputError
from i2md.runtime.exit_codes import stop_signals_as_interrupt

_COPIED = [name for name in COLUMNS.names if name not in ("start", "frames", "persons")]


def held_out_clips(clips: Clips, split: str, target: Path, folds: int, test_share: float = 0.3) -> Clips:
    """Write the training clips of a split into a folder of their own, with splits that hold some of them out.

    The folder holds no other clips. Subjects are held out; recordings where the clips are of a single subject or none
    is known. The folder appears when it is complete; one that is there is opened, if it is of the same clips.

    Args:
        clips: Local clips.
        split: Name of the split whose training clips are taken.
        target: The folder to write.
        folds: Number of splits, each drawn by its own seed: "subject-0.3-seed0", "subject-0.3-seed1", ...
        test_share: Share of the clips that each holds out.

    Returns:
        The clips, opened; their splits are the folds, and no others.

    Raises:
        InputError: There are no two subjects or recordings to tell apart, or the folder is of other clips.
    """
    training = clips.part(split, "train")
    known = np.unique(training.columns["subject"][training.columns["subject"] >= 0])
    by = "subject" if len(known) > 1 else "recording"
    splits = {}
    for seed in range(folds):
        how = SplitBy(by, test_share, seed)
        try:
            splits[how.name] = draw_split(training.columns, how).split
        except InputError as error:
            raise InputError(f"{clips.path}: training clips of split {split!r}: {error}") from None
    key = fingerprint(clips.path, target, version=version("i2md"), split=split)
    dataset = clips.dataset
    report = {"clips": len(training), "training_clips_of": split, "source": key}
    wanted = replace(dataset, splits=splits, report=report)
    if target.exists():
        found = open_clips(target)
        if found.dataset.report.get("source") != key or dict(found.dataset.splits) != _plain(splits):
            raise InputError(
                f"{target}: holds the training clips of other clips or folds; remove it or name another --out"
            )
        return found
    layout = dataset.layout
    with stop_signals_as_interrupt(), ClipsWriter(target, len(layout.joints), layout.channels, key=key) as writer:
        for recording in _recordings(training, len(writer)):
            writer.add(recording)
            if writer.checkpoint_is_due:
                writer.checkpoint()
        writer.finish(wanted)
    return open_clips(target)


def _recordings(clips: Clips, first: int) -> Iterator[Recording]:
    for index in range(first, len(clips)):
        row = {name: clips.columns[name][index] for name in _COPIED}
        yield Recording(positions=clips.read(index), **row)


def _plain(splits: dict) -> dict:
    """Splits as dataset.json gives them back: tuples become lists."""
    return {
        name: {part: {column: list(values) for column, values in of_part.items()} for part, of_part in split.items()}
        for name, split in splits.items()
    }
