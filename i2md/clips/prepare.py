"""From recordings to Clips: read, prepare, write, and count what was mended or left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from i2md.clips.preparation import CHOOSING, LeftOut, prepare_positions, preset_names
from i2md.clips.readers import open_source
from i2md.clips.recording import Recording, Source, Unreadable
from i2md.clips.store import Clips, ClipsWriter, Dataset, open_clips
from i2md.errors import InputError

LISTED = 1000


@dataclass
class Report:
    """What happened to the recordings of a source."""

    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, source: str, reason: str) -> None:
        """Count a recording that yields no clip, and list it."""
        self.counts["left_out"] += 1
        if len(self.left_out) < LISTED:
            self.left_out.append(reason if source in reason else f"{source}: {reason}")

    def to_dict(self) -> dict[str, Any]:
        """As kept in dataset.json."""
        return {**self.counts, "left_out_files": self.left_out}


def prepare(
    format: str,
    source: Path,
    clips: Path,
    preset: str | None = None,
    strict: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Clips:
    """Read the recordings at `source`, prepare them and write them to the folder `clips`.

    `preset` is the preparation (by default the format's own), `options` are the reader's. A file that can't
    be read is named, counted and left out, or ends the work when `strict`. Nothing half-written stays behind.
    """
    recordings = open_source(format, source, **options)
    preset = _preset_for(recordings, preset)
    if preset in CHOOSING and recordings.read_everybody is not None:
        recordings = replace(recordings, read=recordings.read_everybody)
    report = Report()
    with ClipsWriter(clips, len(recordings.layout.joints), recordings.layout.channels, overwrite) as writer:
        for recording in tqdm(recordings.read(), total=recordings.count, unit="clip", desc=f"prepare {format}"):
            _add(writer, recording, recordings, preset, strict, report)
        if not len(writer):
            first = report.left_out[0] if report.left_out else "it holds no recordings"
            raise InputError(f"{source}: no clip could be prepared ({first}); check the format {format!r}")
        writer.finish(_describe(recordings, preset, report))
    return open_clips(clips)


def _preset_for(source: Source, asked: str | None) -> str:
    preset = asked or source.preset
    if preset not in preset_names():
        raise InputError(f"preset {preset!r} is not known; choose one of {', '.join(preset_names())}")
    if source.prepared and preset not in ("none", source.prepared):
        raise InputError(f"{source.name} has had preset {source.prepared!r} already; leave out --preset {preset}")
    return "none" if source.prepared else preset


def _add(
    writer: ClipsWriter,
    recording: Recording | Unreadable,
    source: Source,
    preset: str,
    strict: bool,
    report: Report,
) -> None:
    if isinstance(recording, Unreadable):
        if strict:
            raise InputError(f"{recording.reason}; mend or remove it, or leave out --strict")
        report.leave_out(recording.source, recording.reason)
        return
    prepared = prepare_positions(recording.positions, source.layout, preset, recording.actors)
    if isinstance(prepared, LeftOut):
        report.leave_out(recording.source, prepared.reason)
        return
    report.counts["frames_cut"] += prepared.frames_cut
    report.counts["frames_filled"] += prepared.frames_filled
    report.counts["people_absent"] += prepared.people_absent
    writer.add(replace(recording, positions=prepared.positions))


def _describe(source: Source, preset: str, report: Report) -> Dataset:
    return Dataset(
        name=source.name,
        layout=source.layout,
        class_names=source.class_names,
        units=source.units,
        preparation=source.prepared or preset,
        splits=source.splits,
        report={**report.to_dict(), "not_read": dict(source.left_out)},
    )
