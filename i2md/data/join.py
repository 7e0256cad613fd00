"""Join several folders of clips into one, to pretrain on all of them together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from i2md.data.checks import clips_span, scale_difference
from i2md.data.conversion import convert_clip, mapping_for
from i2md.data.dataset import COLUMNS, Dataset
from i2md.data.fingerprint import fingerprint
from i2md.data.presets import LeftOut
from i2md.data.recording import UNKNOWN, Recording
from i2md.data.storage.remote import to_path
from i2md.data.store import Clips, ClipsWriter, open_clips
from i2md.errors import InputError
from i2md.runtime.exit_codes import stop_signals_as_interrupt
from i2md.skeletons import JointMapping, get_layout

PathLike = str | os.PathLike[str]
# Columns of numbers within a data set: joined, each one's numbers follow those of the data sets before it.
_NUMBERED = ("label", "subject")
_COPIED = [name for name in COLUMNS.names if name not in ("start", "frames", "persons")]


def join(out: PathLike, clips: Sequence[PathLike | Clips], overwrite: bool = False, layout: str | None = None) -> Clips:
    """Write all clips of several data sets into one folder, which appears when it is complete.

    Killed, interrupted or ended by a full disk, the same call resumes, as long as the data sets have not changed.
    Clips are named `DATASET/NAME`; classes and subjects of different data sets stay different. Splits are not carried
    over: pretraining takes every clip.

    Args:
        out: The folder to write, or its URL.
        clips: Two folders of clips or more, or opened clips.
        overwrite: Replace clips that are there.
        layout: Name of a layout, or its YAML file, that all clips are converted to.

    Returns:
        The joined clips, opened.

    Raises:
        InputError: Layouts, preparations or units differ, too few joints of `layout` can be had, two data sets have
            the same name, or `out` exists.
    """
    opened = [each if isinstance(each, Clips) else open_clips(each) for each in clips]
    sets = [each.recordings for each in opened]
    if len(sets) < 2:
        raise InputError("join takes two folders of clips or more; give them after the folder to write")
    first = sets[0].dataset
    wanted = None if layout is None else get_layout(layout)
    mappings = [None if wanted is None else mapping_for(x.dataset.layout, wanted, x.dataset.preparation) for x in sets]
    for each in sets[1:]:
        _require_same(sets[0], each, same_joints=wanted is None)
    if len(set(windows := [each.dataset.windows if each.is_windowed else None for each in opened])) > 1:
        raise InputError("some of the clips are other windows than the rest; divide all alike by i2md windows")
    names = [each.dataset.name for each in sets]
    if len(set(names)) < len(names):
        raise InputError(f"two of the data sets have the same name ({', '.join(names)}); give each once")
    joined = first.layout if mappings[0] is None else mappings[0].target
    target = Path(to_path(out))
    key = f"{_key(sets, target)} {layout or ''}".strip()
    with (
        stop_signals_as_interrupt(),
        ClipsWriter(target, len(joined.joints), joined.channels, overwrite, key=key) as writer,
    ):
        before, total = len(writer), sum(map(len, sets))
        found = _recordings(sets, mappings, before)
        for recording in tqdm(found, initial=before, total=total, unit="clip", desc="join"):
            writer.add(recording)
            if writer.checkpoint_is_due:
                writer.checkpoint()
        class_names = tuple(f"{each.dataset.name}: {name}" for each in sets for name in each.dataset.class_names)
        counts = {each.dataset.name: len(each) for each in sets}
        report: dict[str, Any] = {"clips": sum(counts.values()), "joined": counts}
        if by_name := {name: m.to_dict() for name, m in zip(names, mappings, strict=True) if m and not m.is_identity}:
            report["converted"] = by_name
        if warnings := list(_scale_warnings(sets)):
            report["warnings"] = warnings
        about = Dataset("+".join(names), joined, class_names, first.units, first.preparation, report=report)
        writer.finish(replace(about, windows=windows[0]))
    return open_clips(target)


def _scale_warnings(sets: Sequence[Clips]) -> Iterator[str]:
    """Data sets whose bodies differ in size from the first one's as two units of length do."""
    first, *others = [clips_span(each) for each in sets]
    for each, span in zip(sets[1:], others, strict=True):
        difference = scale_difference(first, span, each.dataset.layout.channels) if first and span else None
        if difference:
            yield (
                f"scale: in {each.dataset.name} {difference}, which it spans in {sets[0].dataset.name}; prepare both in"
                " one unit (--units)"
            )


def _require_same(first: Clips, other: Clips, same_joints: bool) -> None:
    a, b = first.dataset, other.dataset
    if same_joints and a.layout.joints != b.layout.joints:
        raise InputError(
            f"{other.path}: its joints are those of layout {b.layout.name}, in {first.path} of {a.layout.name}; convert"
            f" all by --to {a.layout.name}"
        )
    for what, one, another in (
        ("channels", a.layout.channels, b.layout.channels),
        ("preparation", a.preparation, b.preparation),
        ("units", a.units, b.units),
    ):
        if one != another:
            raise InputError(f"{other.path}: its {what} are not those of {first.path}; join clips that agree in it")


def _key(sets: Sequence[Clips], target: Path) -> str:
    """A text that changes with any file or chosen clip of the data sets."""
    chosen = [hashlib.sha256(each.columns["start"].tobytes()).hexdigest() for each in sets]
    return " ".join(
        fingerprint(each.path, target, version=version("i2md"), chosen=starts)
        for each, starts in zip(sets, chosen, strict=True)
    )


def _recordings(sets: Sequence[Clips], mappings: Sequence[JointMapping | None], first: int) -> Iterator[Recording]:
    """All clips in order but the first ones."""
    before = dict.fromkeys(_NUMBERED, 0)
    for each, mapping in zip(sets, mappings, strict=True):
        for index in range(min(first, len(each)), len(each)):
            row = {name: each.columns[name][index] for name in _COPIED}
            for name in _NUMBERED:
                row[name] = UNKNOWN if row[name] == UNKNOWN else row[name] + before[name]
            row["name"] = f"{each.dataset.name}/{row['name']}"
            intervals = tuple(at._replace(label=at.label + before["label"]) for at in each.intervals_of(index))
            yield Recording(positions=_positions(each, index, mapping), intervals=intervals, **row)
        first = max(first - len(each), 0)
        persons = int(each.columns["subject"].max(initial=-1)) + 1
        before = {"label": before["label"] + len(each.dataset.class_names), "subject": before["subject"] + persons}


def _positions(clips: Clips, index: int, mapping: JointMapping | None) -> np.ndarray:
    if mapping is None or mapping.is_identity:
        return clips.read(index)
    done = convert_clip(clips.read(index), mapping, clips.dataset.preparation)
    if isinstance(done, LeftOut):
        name = clips.columns["name"][index]
        raise InputError(f"{clips.path}: clip {name}: {done.reason} in layout {mapping.target.name}; leave it out")
    return done.positions
