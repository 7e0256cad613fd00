"""Labelled intervals of long recordings, from the files of annotation programs.

- `.csv`, `.tsv`: a row for each interval with the columns `recording`, `start`, `end` and `label`, in seconds, or
  `start_frame` and `end_frame` (the frame after the last). The exports of BORIS (tabular and aggregated events, with
  `Start (s)`, `Stop (s)` and `Behavior`) are read by their own columns.
- `.eaf`: ELAN; every tier, the value of an annotation is its label. Read by pympi-ling (extra `annotations`).
- `.boris`: a project of BORIS; state events, from each start to its stop.
- `.json`: an export of Label Studio; time-series labels, and labels on the timeline of a video.

Labels belong to the recording whose name, or whose file's name without its suffix, they state.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from i2md.data.readers.limits import read_file
from i2md.errors import InputError, require_extra, shortened, suggestion
from i2md.runtime.plain_data import NotPlainData, parse_json


class LabelledTime(NamedTuple):
    """An action as an annotation program states it."""

    start: float
    end: float
    label: str
    in_frames: bool = False
    """Whether start and end are numbers of frames; else seconds."""


Labels = dict[str, list[LabelledTime]]

# What columns are called, in lower case, without what follows in brackets.
_COLUMNS = {
    "recording": ("recording", "file", "filename", "video", "name", "media file name", "media file", "observation id"),
    "start": ("start", "begin", "onset", "start_s", "start_seconds", "start time", "begin time"),
    "end": ("end", "stop", "offset", "end_s", "end_seconds", "end time", "stop time"),
    "start_frame": ("start_frame", "first_frame", "image index start"),
    "end_frame": ("end_frame", "stop_frame", "image index stop"),
    "label": ("label", "class", "action", "behavior", "behaviour", "annotation"),
}


def read_labels(path: Path) -> Labels:
    """Read the labelled intervals of recordings.

    Args:
        path: A file, or a folder of files of these kinds.

    Returns:
        By the name of the recording its intervals, in the order of the files.

    Raises:
        InputError: There is no such file, or it is damaged; the message names the line.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _READERS and file.is_file())
    else:
        files = [path]
    if not files or not files[0].exists():
        raise InputError(
            f"{path}: no file of labelled intervals; name a {', '.join(_READERS)} file or a folder of them"
        )
    found: Labels = defaultdict(list)
    for file in files:
        reader = _READERS.get(file.suffix.lower())
        if reader is None:
            kinds = ", ".join(_READERS)
            raise InputError(f"{file}: intervals are read from {kinds} files; write them as one of these")
        try:
            for name, interval in reader(file):
                start, end, label, _ = interval
                if not math.isfinite(start + end) or end <= start or start < 0:
                    raise ValueError(f"{label!r} of {name}, from {start:g} to {end:g}, is not a stretch of time")
                if interval.label.strip():
                    found[_stem(name)].append(interval._replace(label=interval.label.strip()))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotPlainData, csv.Error) as error:
            raise InputError(f"{file}: not read as labelled intervals ({shortened(error)}); correct it") from None
    if not any(found.values()):
        raise InputError(f"{path}: holds no labelled interval; label some, or leave out --intervals")
    return dict(found)


def _stem(name: str) -> str:
    """The name of a file without folders and suffix, whatever system it is of."""
    base = PureWindowsPath(name).name if "\\" in name else PurePosixPath(name).name
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and stem and 0 < len(suffix) <= 5 and not suffix.isdigit() else base


def _of_table(path: Path) -> Iterator[tuple[str, LabelledTime]]:
    text = read_file(path).decode("utf-8-sig")
    delimiter = "\t" if path.suffix.lower() == ".tsv" or "\t" in text.partition("\n")[0] else ","
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    heads = [head.split("(")[0].strip().lower() for head in next(rows, [])]
    at = {wanted: next((heads.index(n) for n in names if n in heads), None) for wanted, names in _COLUMNS.items()}
    in_frames = at["start"] is None and at["start_frame"] is not None
    wanted = ("recording", "start_frame" if in_frames else "start", "end_frame" if in_frames else "end", "label")
    for name in wanted:
        if at[name] is None:
            hint = suggestion(name, heads, otherwise=f"its columns are {', '.join(heads[:12])}")
            raise ValueError(f"no column {name!r}: {hint}")
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            recording, start, end, label = (row[at[name]].strip() for name in wanted)  # type: ignore[index]
            yield recording, LabelledTime(float(start), float(end), label, in_frames)
        except (ValueError, IndexError):
            raise ValueError(f"line {number} has no recording, start, end and label: {','.join(row)[:60]!r}") from None


def _of_elan(path: Path) -> Iterator[tuple[str, LabelledTime]]:
    require_extra("pympi", "annotations", f"the ELAN file {path.name}")
    from pympi.Elan import Eaf

    content = read_file(path)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("it defines entities, which no program for annotations does")
    try:
        eaf = Eaf(str(path), suppress_version_warning=True)
    except Exception as error:
        # The library states no exceptions; what it raises on damaged XML differs from version to version.
        raise ValueError(shortened(error)) from None
    media = [each.get("MEDIA_URL") or each.get("RELATIVE_MEDIA_URL") or "" for each in eaf.media_descriptors]
    name = _stem(media[0]) if media and media[0] else path.stem
    for tier in eaf.get_tier_names():
        for start, end, label, *_ in eaf.get_annotation_data_for_tier(tier):
            yield name, LabelledTime(start / 1000, end / 1000, str(label))


def _of_boris(path: Path) -> Iterator[tuple[str, LabelledTime]]:
    project = parse_json(read_file(path))
    states = {each["code"] for each in project["behaviors_conf"].values() if "state" in str(each["type"]).lower()}
    for observation, content in project["observations"].items():
        files = [name for names in (content.get("file") or {}).values() for name in names]
        name = files[0] if files else observation
        begun: dict[tuple[str, str], float] = {}
        for event in sorted(content["events"], key=lambda event: float(event[0])):
            time, subject, code = float(event[0]), str(event[1]), str(event[2])
            if code not in states:
                continue
            if (subject, code) in begun:
                yield name, LabelledTime(begun.pop((subject, code)), time, code)
            else:
                begun[subject, code] = time
        if begun:
            (_, code), time = next(iter(begun.items()))
            raise ValueError(f"observation {observation!r}: {code!r} begins at {time:g} s and does not stop")


def _of_label_studio(path: Path) -> Iterator[tuple[str, LabelledTime]]:
    tasks = parse_json(read_file(path))
    if not isinstance(tasks, list):
        raise ValueError("an export of Label Studio is a list of tasks")
    for task in tasks:
        name = task.get("file_upload") or next(value for value in task["data"].values() if isinstance(value, str))
        for annotation in task.get("annotations") or task.get("completions") or []:
            for result in annotation["result"]:
                yield from _of_result(str(name), result["value"])


def _of_result(name: str, value: Mapping[str, Any]) -> Iterator[tuple[str, LabelledTime]]:
    for label in value.get("timelinelabels", ()):
        # Frames are counted from 1, the last one included.
        for each in value["ranges"]:
            yield name, LabelledTime(float(each["start"]) - 1, float(each["end"]), label, in_frames=True)
    for label in (*value.get("timeserieslabels", ()), *value.get("labels", ())):
        yield name, LabelledTime(float(value["start"]), float(value["end"]), label)


_READERS: dict[str, Callable[[Path], Iterable[tuple[str, LabelledTime]]]] = {
    ".csv": _of_table,
    ".tsv": _of_table,
    ".eaf": _of_elan,
    ".boris": _of_boris,
    ".json": _of_label_studio,
}


def class_names_of(labels: Mapping[str, Sequence[LabelledTime]]) -> tuple[str, ...]:
    """The names of the classes of labelled intervals, in alphabetical order."""
    return tuple(sorted({each.label for of_recording in labels.values() for each in of_recording}))
