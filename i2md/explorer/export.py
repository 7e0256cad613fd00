"""The selected clips as files for others: a table, an animation, a page of one file, a folder of clips."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.recording import Recording
from i2md.data.store import ClipsWriter
from i2md.explorer.state import Explorer
from i2md.inference.find_clips import describe_clips
from i2md.pages.groups import Group, Grouped, viewed_clips, write_groups
from i2md.pages.images import MOST_CLIPS, write_images
from i2md.runtime.io import check_target

# Clips that a page for others plays at most.
MOST_PLAYED = 200
_COPIED = ("subject", "camera", "setup", "trial")


def table(explorer: Explorer, chosen: Sequence[int]) -> bytes:
    """A .csv of clips, with what is known of each: its label, remark and prediction, and the columns that it has.

    Args:
        explorer: The state of the explorer.
        chosen: Positions of the clips.
    """
    known = describe_clips(explorer.collection.clips, np.asarray(chosen, dtype=np.int64))
    rows = []
    for clip, row in zip(chosen, known, strict=True):
        mark = explorer.book.marks.get(explorer.names[clip])
        said = mark._asdict() if mark else {"label": "", "remark": ""}
        rows.append({"name": row.pop("name"), **said, "prediction": explorer.predicted(clip), **row})
    text = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns or ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def animation(explorer: Explorer, chosen: Sequence[int]) -> bytes:
    """A GIF of up to 12 of the clips.

    Args:
        explorer: The state of the explorer.
        chosen: Positions of the clips.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_images(_grouped(explorer, chosen[:MOST_CLIPS]), {"gif": Path(folder) / "clips.gif"})
        return (Path(folder) / "clips.gif").read_bytes()


def page(explorer: Explorer, chosen: Sequence[int]) -> bytes:
    """A page of one file on which the clips play, without a server; of more than MOST_PLAYED the first ones.

    Args:
        explorer: The state of the explorer.
        chosen: Positions of the clips.
    """
    with tempfile.TemporaryDirectory() as folder:
        return write_groups(_grouped(explorer, chosen[:MOST_PLAYED]), Path(folder) / "clips.html").read_bytes()


def clips_folder(explorer: Explorer, chosen: Sequence[int]) -> Path:
    """Write the clips into a folder beside the file of labels; its classes are those given here, else their own.

    Args:
        explorer: The state of the explorer.
        chosen: Positions of the clips.

    Returns:
        The folder, SELECTED-1 or the first number that is free.
    """
    clips, beside = explorer.collection.clips, explorer.book.path.parent
    number = next(each for each in range(1, 1 << 31) if not (beside / f"selected-{each}").exists())
    target = beside / f"selected-{number}"
    check_target(target)
    labels, classes = explorer.labels()
    columns = clips.columns
    with ClipsWriter(target, len(clips.dataset.layout.joints), clips.dataset.layout.channels) as writer:
        for clip in chosen:
            own = int(labels[clip]) if labels[clip] >= 0 else int(clips.labels[clip])
            about: dict[str, Any] = {name: int(columns[name][clip]) for name in _COPIED}
            fps, source = float(columns["fps"][clip]), str(columns["source"][clip])
            writer.add(Recording(explorer.names[clip], clips.read(clip), own, fps=fps, source=source, **about))
        described = {**vars(clips.dataset), "class_names": tuple(classes), "splits": {}, "report": {}, "windows": None}
        writer.finish(clips.dataset.__class__(**described))
    return target


def _grouped(explorer: Explorer, chosen: Sequence[int]) -> Grouped:
    collection = explorer.collection
    clips, marks = collection.clips, explorer.book.marks
    notes = []
    for clip in chosen:
        mark, predicted = marks.get(explorer.names[clip]), explorer.predicted(clip)
        said = mark.label or mark.remark if mark else ""
        notes.append(f"labelled {said}" if said else f"predicted {predicted}" if predicted else "")
    return Grouped(
        command="explore",
        title=clips.dataset.name,
        subtitle=f"{len(chosen)} selected clips",
        path=str(clips.path),
        lead="Open a clip to turn it and to step through it.",
        layout=clips.dataset.layout,
        class_names=clips.dataset.class_names,
        groups=[Group(f"{len(chosen)} clips", viewed_clips(clips, chosen), notes)],
    )
