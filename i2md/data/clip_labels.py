"""Labels from a file for clips that are prepared already: a label a clip, or labelled intervals of whole recordings."""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2md.data.labelled import annotations_of
from i2md.data.labels import class_names_of, read_labels
from i2md.data.readers.files import BadFile, File
from i2md.data.readers.intervals import interval_of
from i2md.data.readers.labels_csv import read_labels_csv
from i2md.data.readers.limits import read_file
from i2md.data.readers.name_tables import shown
from i2md.data.recording import UNKNOWN, Recording
from i2md.data.store import Clips
from i2md.errors import InputError

_TABLES = (".csv", ".tsv")


def label_clips(clips: Clips, path: Path) -> tuple[Clips, list[str]]:
    """Replace the labels of clips by those in a file.

    Args:
        clips: Opened clips. Labelled intervals belong to whole recordings: windows are put together for them.
        path: A .csv with the columns name and label, perhaps subject, as labels.csv is for `prepare`; or labelled
            intervals of any kind that `prepare --intervals` reads.

    Returns:
        The clips, or the recordings with their intervals, in memory; and what was not used, a sentence each.

    Raises:
        InputError: The file cannot be read, or labels none of the clips.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file of labels")
    return _with_intervals(clips.recordings, path) if _is_of_intervals(path) else _with_labels(clips, path)


def _is_of_intervals(path: Path) -> bool:
    if path.is_dir() or path.suffix.lower() not in _TABLES:
        return True
    data = read_file(path)
    utf16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    first = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace").lstrip().partition("\n")[0].lower()
    return any(word in first for word in ("start", "begin", "onset"))


def _with_labels(clips: Clips, path: Path) -> tuple[Clips, list[str]]:
    names = [str(name) for name in clips.columns["name"]]
    known, unread = read_labels_csv(path.parent, [File(path.parent, path.name)], names)
    classes = tuple(sorted({each.label for each in known.values() if each.label}))
    number = {name: place for place, name in enumerate(classes)}
    found = [known.get(name) for name in names]
    labels = np.array([number.get(each.label, UNKNOWN) if each else UNKNOWN for each in found], dtype=np.int64)
    if not (labels >= 0).any():
        example = shown(next(iter(known), "nothing"))
        raise InputError(f"{path}: labels none of the {len(names)} clips, it names {example}; the clips are {names[0]}")
    subjects = clips.columns["subject"].copy()
    for place, each in enumerate(found):
        if each is not None and each.subject != UNKNOWN:
            subjects[place] = each.subject
    others = sorted(set(known) - set(names))
    notes = [f"{len(others)} lines of {path.name} name no clip, such as {shown(others[0])}"] if others else []
    notes += [f"{path.name}: {count} {what}" for what, count in unread.items()]
    columns = {**clips.columns, "label": labels, "subject": subjects}
    dataset = replace(clips.dataset, class_names=classes)
    whole = clips.recordings if clips.is_windowed else None
    return Clips(clips.path, dataset, clips.frames, columns, clips.intervals, whole), notes


def _with_intervals(recordings: Clips, path: Path) -> tuple[Clips, list[str]]:
    labels = read_labels(path)
    classes = class_names_of(labels)
    number = {name: place for place, name in enumerate(classes)}
    rows: list[tuple[int, int, int, int]] = []
    used: set[str] = set()
    outside = 0
    columns = recordings.columns
    for index, name in enumerate(columns["name"]):
        recording = Recording(
            str(name),
            np.zeros((1, int(columns["frames"][index]), 0, 0), dtype=np.float32),
            fps=float(columns["fps"][index]),
            source=str(columns["source"][index]),
        )
        key, annotations = annotations_of(recording, labels, number, path.name)
        used |= {key} if key else set()
        for annotation in annotations:
            try:
                interval = interval_of(annotation, int(columns["frames"][index]))
            except BadFile:
                outside += 1
                continue
            rows.append((index, *interval))
    if not rows:
        example = shown(next(iter(labels)))
        raise InputError(
            f"{path}: labels none of the {len(recordings)} recordings, it names {example}; they are"
            f" {columns['name'][0]}"
        )
    others = sorted(set(labels) - used)
    notes = [f"{len(others)} recordings in {path.name} are not there, such as {shown(others[0])}"] if others else []
    notes += [f"{outside} intervals of {path.name} lie outside their recordings"] if outside else []
    table = np.array(rows, dtype=np.int64).T
    intervals = dict(zip(("clip", "start", "end", "label"), table, strict=True))
    dataset = replace(recordings.dataset, class_names=classes, windows=None)
    plain = {**columns, "label": np.full(len(recordings), UNKNOWN)}
    return Clips(recordings.path, dataset, recordings.frames, plain, intervals), notes
