"""`i2md suggest`: the clips to label next, as a table to fill in and a page on which they play."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.clip_labels import label_clips
from i2md.data.recording import UNKNOWN
from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.evaluation.suggestion import COVERAGE, Suggestion, suggest_clips
from i2md.inference.find_clips import describe_clips
from i2md.pages.groups import Group, Grouped, viewed_clips
from i2md.runtime.io import atomic_write

_REASONS = {
    COVERAGE: "typical of {size} clips that are like it",
    "uncertainty": "between two classes, as {size} of the clips considered",
}


def labelled_so_far(clips: Clips, path: Path) -> tuple[Clips, list[str]]:
    """The clips with the labels of a file alone; without the file, or with an empty one, none has a label.

    Args:
        clips: Opened clips.
        path: A .csv with the columns name and label.

    Returns:
        The clips, and what was not used, a sentence each.

    Raises:
        InputError: The file is of intervals, cannot be read, or labels none of the clips though it labels some.
    """
    bare = {**clips.columns, "label": np.full(len(clips), UNKNOWN)}
    if not path.exists():
        whole = clips.recordings if clips.is_windowed else None
        return Clips(clips.path, clips.dataset, clips.frames, bare, clips.intervals, whole), [
            f"{path} is not there: no clip is labelled yet"
        ]
    labelled, notes = label_clips(clips, path)
    if len(labelled) != len(clips):
        raise InputError(f"{path}: labels intervals; suggest takes a .csv with the columns name and label")
    return labelled, notes


def suggest(
    clips: Clips, features: Mapping[str, np.ndarray], count: int, seed: int = 0
) -> tuple[list[Suggestion], dict[str, Any]]:
    """Choose clips to label next.

    Args:
        clips: The clips, with the labels so far.
        features: Their features by stream.
        count: How many to choose.
        seed: Of k-means.

    Returns:
        The suggestions, and what is known of them as plain data.

    Raises:
        InputError: All clips are labelled, or count is below 1.
    """
    if count < 1:
        raise InputError(f"count is {count}; give the number of clips to suggest, 1 or more")
    known = clips.labels >= 0
    if known.all():
        raise InputError(f"{clips.path}: all {len(clips)} clips are labelled; fit a classifier to them by i2md fit")
    found = suggest_clips(features, clips.labels, count, seed)
    rows = describe_clips(clips, np.array([each.clip for each in found]))
    for row, each in zip(rows, found, strict=True):
        row.pop("class")
        row |= {"reason": each.reason, "why": _REASONS[each.reason].format(size=each.size)}
    return found, {
        "clips": len(clips),
        "labelled": int(known.sum()),
        "classes": len(np.unique(clips.labels[known])),
        "suggestions": rows,
    }


def write_table(data: Mapping[str, Any], out: Path) -> None:
    """Write a .csv with the columns name and label, the labels to be filled in.

    Args:
        data: From `suggest`.
        out: The file.
    """
    with atomic_write(out) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "label"])
        rows.writerows([row["name"], ""] for row in data["suggestions"])


def suggestions_page(data: Mapping[str, Any], found: list[Suggestion], clips: Clips) -> Grouped:
    """The page of the suggested clips.

    Args:
        data: From `suggest`.
        found: The suggestions.
        clips: The clips.
    """
    notes = [f"{rank}. {row['why']}" for rank, row in enumerate(data["suggestions"], 1)]
    viewed = viewed_clips(clips, [each.clip for each in found])
    return Grouped(
        command="suggest",
        title=clips.dataset.name,
        subtitle=f"{len(found)} clips to label next",
        path=str(clips.path),
        lead="The most useful first. Write their names and labels into the file of labels, and ask again.",
        layout=clips.dataset.layout,
        class_names=clips.dataset.class_names,
        groups=[Group(f"{len(found)} clips", viewed, notes)],
        facts={"clips": str(data["clips"]), "labelled": str(data["labelled"]), "classes": str(data["classes"])},
    )
