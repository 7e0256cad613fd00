"""Write a folder of clips again in another joint layout."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from i2md.data.conversion import changed_joints, convert_clip, mapping_for
from i2md.data.dataset import COLUMNS, PRECISIONS, Dataset
from i2md.data.fingerprint import fingerprint
from i2md.data.presets import LeftOut
from i2md.data.recording import Recording
from i2md.data.storage.remote import to_path
from i2md.data.store import UNTRIMMED, Clips, ClipsWriter, open_clips
from i2md.errors import InputError
from i2md.runtime.exit_codes import stop_signals_as_interrupt
from i2md.runtime.progress import progress
from i2md.skeletons import JointMapping, Layout, get_layout

PathLike = str | os.PathLike[str]

_COPIED = [name for name in COLUMNS.names if name not in ("start", "frames", "persons")]


def convert(clips: PathLike | Clips, out: PathLike, layout: str, overwrite: bool = False) -> Clips:
    """Write clips in another layout, with their labels and splits, to a folder that appears when it is complete.

    Killed, interrupted or ended by a full disk, the same call resumes, as long as the clips have not changed.

    Args:
        clips: The folder of clips or its URL, or opened clips.
        out: The folder to write, or its URL.
        layout: Name of the layout wanted, or its YAML file.
        overwrite: Replace clips that are there.

    Returns:
        The clips, opened. `converted` in their report names the joints that are means of others, and those missing.

    Raises:
        InputError: There is no such layout, too few of its joints can be had, or `out` exists.
    """
    opened = (clips if isinstance(clips, Clips) else open_clips(clips)).recordings
    target, wanted = Path(to_path(out)), get_layout(layout)
    with stop_signals_as_interrupt():
        _convert(opened, target, wanted, _key(opened, target, wanted), overwrite)
    return open_clips(target)


def _convert(clips: Clips, target: Path, layout: Layout, key: str, overwrite: bool) -> None:
    mapping = mapping_for(clips.dataset.layout, layout, clips.dataset.preparation)
    untrimmed = clips.untrimmed
    precision = next(name for name, kind in PRECISIONS.items() if kind == clips.frames.dtype.str)
    joints, channels = len(mapping.target.joints), mapping.target.channels
    with ClipsWriter(target, joints, channels, overwrite, precision, key) as writer:
        counts, left_out = _fill(writer, clips, mapping)
        if not len(writer):
            raise InputError(f"{clips.path}: nothing is left of the clips in layout {layout.name}: {left_out[0]}")
        if untrimmed is not None:
            folder = writer.subfolder(UNTRIMMED)
            if not (folder / "dataset.json").exists():
                _convert(untrimmed, folder, layout, key, False)
        writer.finish(_described(clips.dataset, mapping, counts, left_out))


def _fill(writer: ClipsWriter, clips: Clips, mapping: JointMapping) -> tuple[Counter[str], list[str]]:
    """Write every clip that is not written yet; counts of joints, and the clips that were left out."""
    counts, left_out, done = Counter[str](), list[str](), 0
    for note in writer.notes():
        counts.update(note["counts"])
        left_out += note["left_out"]
        done = note["done"]
    since, lost = Counter[str](), list[str]()

    def checkpoint(after: int) -> None:
        writer.checkpoint({"done": after, "counts": dict(since), "left_out": lost})
        counts.update(since)
        left_out.extend(lost)
        since.clear()
        lost.clear()

    with progress(len(clips), "convert", "clip", initial=done) as bar:
        for index in range(done, len(clips)):
            clip = convert_clip(clips.read(index), mapping, clips.dataset.preparation)
            row: dict[str, Any] = {name: clips.columns[name][index] for name in _COPIED}
            if isinstance(clip, LeftOut):
                lost.append(f"{row['name']}: {clip.reason}")
            else:
                since.update(changed_joints(clip, mapping))
                writer.add(Recording(positions=clip.positions, intervals=clips.intervals_of(index), **row))
            bar.update(1)
            if writer.checkpoint_is_due:
                checkpoint(index + 1)
    checkpoint(len(clips))
    return counts, left_out


def _described(dataset: Dataset, mapping: JointMapping, counts: Counter[str], left_out: list[str]) -> Dataset:
    report = dict(dataset.report)
    report["converted"] = {**report.get("converted", {}), "layout": mapping.to_dict()}
    report |= {name: report.get(name, 0) + count for name, count in counts.items()}
    if left_out:
        report["left_out"] = report.get("left_out", 0) + len(left_out)
        report["left_out_files"] = [*report.get("left_out_files", []), *left_out]
    return replace(dataset, layout=mapping.target, report=report)


def _key(clips: Clips, target: Path, layout: Layout) -> str:
    """A text that changes with the clips, chosen or all, and with the layout."""
    chosen = hashlib.sha256(clips.columns["start"].tobytes()).hexdigest()
    return fingerprint(clips.path, target, version=version("i2md"), chosen=chosen, layout=layout.to_dict())
