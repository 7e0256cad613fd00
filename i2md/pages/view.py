"""The page of `i2md view`: clips and recordings to look at before anything is computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from i2md.data.outcomes import MAX_LISTED, PreparedClip, Report, SkippedRecording
from i2md.data.presets import LeftOut, prepare_positions
from i2md.data.recorded import Recorded, recorded
from i2md.data.recording import Divisible, Recording, Source, Unreadable
from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS, BEGIN, LONG, RECORDING
from i2md.pages.choice import choose_clips, named_clips
from i2md.pages.gallery import ViewedClip, gallery, timelines
from i2md.pages.render import write_page
from i2md.pages.skeletons import even_steps
from i2md.skeletons import Layout

# Long recordings that have a timeline.
MOST_RECORDINGS = 6
# Of the names of what was left out, the page lists so many.
_LISTED = 200


@dataclass(frozen=True)
class Viewed:
    """What a page shows: clips, whole recordings, and what is known of all of them together."""

    title: str
    path: str
    layout: Layout
    class_names: tuple[str, ...]
    total: int
    """Number of clips that there are."""
    how: str
    """How those shown were chosen, a phrase."""
    clips: list[ViewedClip]
    recordings: list[ViewedClip]
    total_recordings: int
    """Number of long recordings that there are."""
    facts: dict[str, str]
    notes: list[str]
    report: Mapping[str, Any]
    command: str = "view"
    """The command that writes the page."""


def view_clips(clips: Clips, patterns: Iterable[str] | None, most: int, notes: Iterable[str] = ()) -> Viewed:
    """Choose what to show of a folder of clips.

    Args:
        clips: Opened clips.
        patterns: Names of the clips to show, with * and ?; by default some of each class.
        most: How many clips to show at most.
        notes: Sentences to show above.

    Raises:
        InputError: No clip matches a name.
    """
    wanted = list(patterns or [])
    if wanted:
        chosen, how = named_clips(clips, wanted, most), "chosen by name"
    else:
        chosen, how = choose_clips(clips, most)
    raw = _recorded(clips, chosen)
    shown = [_of_clips(clips, int(index), raw.positions.get(int(index))) for index in chosen]
    whole = clips.untrimmed or clips.recordings
    long = _long(whole)
    whole_shown = [_of_clips(whole, int(long[place])) for place in even_steps(len(long), MOST_RECORDINGS)]
    return Viewed(
        title=clips.dataset.name,
        path=str(clips.path),
        layout=clips.dataset.layout,
        class_names=clips.dataset.class_names,
        total=len(clips),
        how=how,
        clips=shown,
        recordings=whole_shown,
        total_recordings=len(long),
        facts=_facts(clips),
        notes=[*notes, *([raw.note] if raw.note and len(shown) else [])],
        report=clips.dataset.report,
    )


def view_source(source: Source, preset: str, path: Path, most: int) -> Viewed:
    """Read and prepare some of a source's recordings, without writing clips.

    Args:
        source: Opened recordings.
        preset: Their preparation.
        path: Where they are.
        most: How many units of the source (files, rows) to read at most, at even steps.
    """
    report, shown, whole = Report(), [], []
    for recording in _some(source, most):
        if isinstance(recording, Unreadable):
            report.add([SkippedRecording(recording.source, recording.reason, unreadable=True)])
            continue
        prepared = prepare_positions(
            recording.positions, source.layout, preset, recording.actors, max_gap=source.max_gap
        )
        if isinstance(prepared, LeftOut):
            report.add([SkippedRecording(recording.source or recording.name, prepared.reason, unreadable=False)])
            continue
        report.add([PreparedClip(recording, *prepared[1:])])
        clip = _of_recording(recording, prepared.positions, recording.positions)
        shown.append(clip)
        if clip.seconds > LONG or clip.intervals:
            whole.append(clip)
    if source.untrimmed is not None:
        found = (each for each in _some(source.untrimmed, MOST_RECORDINGS) if isinstance(each, Recording))
        whole = [_of_recording(each, each.positions) for each in found]
    total = source.count or (len(source.read) if isinstance(source.read, Divisible) else len(shown))
    facts = {
        "classes": str(len(source.class_names)) if source.class_names else "no labels",
        "layout": f"{source.layout.name}, {len(source.layout.joints)} joints, {source.layout.channels}-D",
        "persons": _persons(max((len(clip.prepared) for clip in shown), default=1)),
        **_durations(np.array([clip.prepared.shape[1] for clip in shown]), np.array([clip.fps for clip in shown])),
        "units": source.units,
        "preparation": preset,
    }
    return Viewed(
        title=source.name,
        path=str(path),
        layout=source.layout,
        class_names=source.class_names,
        total=max(total, len(shown)),
        how="at even steps",
        clips=shown[:most],
        recordings=[whole[place] for place in even_steps(len(whole), MOST_RECORDINGS)],
        total_recordings=max(len(whole), (source.untrimmed.count or 0) if source.untrimmed else 0),
        facts=facts,
        notes=[],
        report={**report.to_dict(), "not_read": dict(source.left_out)},
    )


def write_view(viewed: Viewed, out: Path) -> Path:
    """Write the page.

    Args:
        viewed: What it shows.
        out: The file. It is written as a whole or not at all.

    Returns:
        Its path.
    """
    report = viewed.report
    names = [str(each) for each in report.get("left_out_files", [])]
    return write_page(
        out,
        "i2md.pages",
        "view.html.j2",
        viewed=viewed,
        shown=len(viewed.clips),
        raw=sum(clip.raw is not None for clip in viewed.clips),
        changed=_changed(report),
        left_out=_left_out(report),
        left_out_names=names[:_LISTED],
        left_out_total=int(report.get("left_out", len(names)) or 0),
        most_listed=MAX_LISTED,
        converted=dict(report.get("converted", {})),
        data={
            "gallery": gallery(viewed.clips, viewed.layout, viewed.class_names),
            "timelines": timelines(viewed.recordings, viewed.layout, viewed.class_names),
        },
    )


def _recorded(clips: Clips, chosen: Int64[np.ndarray, " chosen"]) -> Recorded:
    """The recordings of clips, of windows the same frames where preparation has cut none."""
    if not clips.is_windowed:
        return recorded(clips, chosen.tolist())
    whole, of_window = clips.recordings, clips.columns[RECORDING]
    found = recorded(whole, np.unique(of_window[chosen]).tolist())
    pieces = {}
    for index in chosen.tolist():
        raw, recording = found.positions.get(int(of_window[index])), int(of_window[index])
        if raw is not None and raw.shape[1] == whole.columns["frames"][recording]:
            begin = int(clips.columns[BEGIN][index])
            pieces[index] = raw[:, begin : begin + int(clips.columns["frames"][index])]
    return Recorded(pieces, found.note)


def _of_clips(clips: Clips, index: int, raw: np.ndarray | None = None) -> ViewedClip:
    return ViewedClip(
        name=str(clips.columns["name"][index]),
        prepared=clips.read(index),
        raw=raw,
        label=int(clips.labels[index]),
        fps=float(clips.columns["fps"][index]),
        intervals=clips.intervals_of(index),
    )


def _of_recording(recording: Recording, positions: np.ndarray, raw: np.ndarray | None = None) -> ViewedClip:
    return ViewedClip(
        recording.name, np.nan_to_num(positions), raw, recording.label, recording.fps, recording.intervals
    )


def _long(clips: Clips) -> np.ndarray:
    """The recordings that have a timeline: long ones, and those with labelled intervals."""
    fps = clips.columns["fps"]
    long = clips.columns["frames"] / np.where(fps > 0, fps, ASSUMED_FPS) > LONG
    if clips.intervals is not None:
        long[np.unique(clips.intervals["clip"])] = True
    return np.flatnonzero(long)


def _some(source: Source, most: int) -> Iterator[Recording | Unreadable]:
    read = source.read
    if isinstance(read, Divisible):
        for unit in even_steps(len(read), most).tolist():
            yield from read.part(unit, unit + 1)()
    else:
        yield from islice(read(), most)


def _facts(clips: Clips) -> dict[str, str]:
    dataset, columns = clips.dataset, clips.columns
    labelled = int((clips.labels >= 0).sum())
    return {
        "classes": f"{len(np.unique(clips.labels[clips.labels >= 0]))}" if labelled else "no labels",
        "layout": f"{dataset.layout.name}, {len(dataset.layout.joints)} joints, {clips.frames.shape[2]}-D",
        "persons": _persons(clips.max_persons),
        **_durations(columns["frames"], columns["fps"]),
        "units": dataset.units,
        "preparation": dataset.preparation,
        "splits": ", ".join(dataset.splits) or "none",
        **({"windows": f"{dataset.windows}, of {len(clips.recordings)} recordings"} if clips.is_windowed else {}),
    }


def _persons(most: int) -> str:
    return f"up to {most}" if most > 1 else "1"


def _durations(frames: np.ndarray, fps: np.ndarray) -> dict[str, str]:
    """How long clips are, and their frames a second."""
    if not len(frames):
        return {}
    known = fps[fps > 0]
    rate = f"{known.min():.4g}" if len(known) else f"unknown, {ASSUMED_FPS:g} assumed"
    rate += f" to {known.max():.4g}" if len(known) and known.max() > known.min() else ""
    low, middle, high = np.percentile(frames / np.where(fps > 0, fps, ASSUMED_FPS), [0, 50, 100])
    length = f"{low:.1f} to {high:.1f}, median {middle:.1f}" if high > low else f"{middle:.1f}"
    return {"seconds": length, "frames a second": rate}


_CHANGED = {
    "joints_interpolated": "joint positions without a value, interpolated in time",
    "joints_missing": "joint positions that are still missing: zeros in the clips",
    "frames_cut": "frames cut, without anybody",
    "frames_filled": "person-frames filled by preparation",
    "persons_absent": "persons left out, who are never seen or do not act",
}


def _changed(report: Mapping[str, Any]) -> list[tuple[int, str]]:
    counts = [(int(report[name]), text) for name, text in _CHANGED.items() if report.get(name)]
    counts += [
        (int(count), name.replace("_", " "))
        for name, count in report.items()
        if isinstance(count, int) and count and name not in _CHANGED and name not in ("left_out", "clips")
    ]
    return counts + [(int(count), why) for why, count in dict(report.get("cut", {})).items()]


def _left_out(report: Mapping[str, Any]) -> list[tuple[int, str]]:
    counts = [(int(count), why) for why, count in dict(report.get("left_out_reasons", {})).items()]
    return counts + [
        (int(count), f"not read: {why}") for why, count in dict(report.get("not_read", {})).items() if count
    ]
