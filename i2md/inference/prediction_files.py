"""Predictions as files: CSV, JSON, ELAN, and pages on which clips and recordings play next to them.

The column `label` of the tables is empty where something is none of the classes; `class` names the most probable one.
Tables of intervals are read by `prepare --intervals` as they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.recorded import MADE_FROM
from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS
from i2md.errors import InputError, require_extra
from i2md.inference.classifier import Classifier
from i2md.inference.predictions import NONE_OF_THESE, Prediction, Timeline, true_intervals
from i2md.pages.choice import choose_clips
from i2md.pages.gallery import PredictedTime, ViewedClip
from i2md.pages.skeletons import even_steps
from i2md.pages.view import MOST_RECORDINGS, Viewed, write_view
from i2md.runtime.io import atomic_write, check_target, write_text

SUFFIXES = (".csv", ".json", ".eaf")

_SCORES = {"probability": "probability", "energy": "energy", "nearest": "similarity to the nearest labelled clip"}


def check_out(out: Path, timed: bool) -> None:
    """Check that predictions can be written, before they are computed.

    Args:
        out: The file.
        timed: Whether they are intervals of recordings.

    Raises:
        InputError: Its suffix is not known, it cannot hold them, or it cannot be written.
    """
    check_target(out, file=True)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out}: predictions are written to {', '.join(SUFFIXES)}; name such a file")
    if out.suffix.lower() == ".eaf":
        if not timed:
            raise InputError(f"{out}: ELAN files hold intervals; predict over time by --windows 2s, or write a .csv")
        require_extra("pympi", "annotations", f"the ELAN file {out.name}")


def write_predictions(out: Path, clips: Clips, predictions: Sequence[Prediction]) -> list[Path]:
    """Write the predictions for clips.

    Args:
        out: A .csv or .json file.
        clips: The clips.
        predictions: One for each.

    Returns:
        The files written.
    """
    names = clips.columns["name"].tolist()
    rows = [
        {"name": name, "label": "" if p.rejected else p.label, "class": p.label, "confidence": round(p.confidence, 4),
         "rejected": p.rejected, "known": round(p.known, 4)}
        for name, p in zip(names, predictions, strict=True)
    ]  # fmt: skip
    if out.suffix.lower() == ".json":
        for row, p in zip(rows, predictions, strict=True):
            row["probabilities"] = [round(each, 4) for each in p.probabilities.tolist()]
    return _write_rows(out, "clips", rows)


def write_timelines(out: Path, timelines: Sequence[Timeline]) -> list[Path]:
    """Write the predictions for recordings.

    Args:
        out: A .csv, .json or .eaf file; of several recordings there is an .eaf each, `OUT-RECORDING.eaf`.
        timelines: The predictions.

    Returns:
        The files written.
    """
    if out.suffix.lower() == ".eaf":
        paths = (
            [out] if len(timelines) == 1 else [out.with_name(f"{out.stem}-{name}.eaf") for name in _plain(timelines)]
        )
        for path, timeline in zip(paths, timelines, strict=True):
            _write_elan(path, timeline)
        return paths
    rows = [
        {"recording": t.name, "start": round(each.start / _rate(t), 3), "end": round(each.end / _rate(t), 3),
         "label": "" if each.rejected else each.label, "class": each.label, "confidence": round(each.confidence, 4),
         "rejected": each.rejected, "known": round(each.known, 4), "start_frame": each.start, "end_frame": each.end}
        for t in timelines
        for each in t.intervals
    ]  # fmt: skip
    return _write_rows(out, "intervals", rows)


def _rate(timeline: Timeline) -> float:
    return timeline.fps or ASSUMED_FPS


def _plain(timelines: Sequence[Timeline]) -> list[str]:
    """Names of recordings as parts of names of files, each its own."""
    names: list[str] = []
    for timeline in timelines:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in timeline.name)
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _write_rows(out: Path, of: str, rows: Sequence[dict[str, Any]]) -> list[Path]:
    if out.suffix.lower() == ".json":
        write_text(out, json.dumps({of: rows}, indent=1) + "\n")
        return [out]
    text = io.StringIO(newline="")
    columns = list(rows[0]) if rows else (["recording", "start", "end", "label"] if of == "intervals" else ["name"])
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({**row, "rejected": "yes" if row["rejected"] else "no"} for row in rows)
    write_text(out, text.getvalue())
    return [out]


def _write_elan(path: Path, timeline: Timeline) -> None:
    from pympi.Elan import Eaf

    eaf = Eaf(author="i2md")
    eaf.remove_tier("default")
    eaf.add_linked_file(timeline.source or timeline.name, mimetype="unknown")
    eaf.add_tier("predictions")
    for each in timeline.intervals:
        start, end = (round(1000 * frame / _rate(timeline)) for frame in (each.start, each.end))
        eaf.add_annotation("predictions", start, end, NONE_OF_THESE if each.rejected else each.label)
    with atomic_write(path) as partial:
        partial.unlink(missing_ok=True)  # the library renames a file that is there
        eaf.to_file(str(partial))


def write_clips_page(
    out: Path, clips: Clips, predictions: Sequence[Prediction], classifier: Classifier, most: int = 48
) -> Path:
    """Write a page on which clips play, some of each class that was predicted.

    Args:
        out: The page.
        clips: The clips.
        predictions: One for each.
        classifier: What predicted them.
        most: How many clips it shows at most.
    """
    names = (*classifier.class_names, NONE_OF_THESE)
    labels = np.array([len(names) - 1 if p.rejected else names.index(p.label) for p in predictions])
    predicted = Clips(clips.path, clips.dataset, clips.frames, {**clips.columns, "label": labels})
    chosen, how = choose_clips(predicted, most)
    shown = [
        ViewedClip(
            name=f"{clips.columns['name'][i]} ({100 * predictions[i].confidence:.0f} %)",
            prepared=clips.read(i),
            label=int(labels[i]),
            fps=float(clips.columns["fps"][i]),
        )
        for i in chosen.tolist()
    ]
    return write_view(_viewed(clips, classifier, names, shown, how, [], 0), out)


def write_timelines_page(out: Path, recordings: Clips, timelines: Sequence[Timeline], classifier: Classifier) -> Path:
    """Write a page on which recordings play next to their predictions, and to their labels where they have some.

    Args:
        out: The page.
        recordings: The recordings.
        timelines: The predictions for each; some at even steps are shown where there are many.
        classifier: What predicted them.
    """
    names = (*classifier.class_names, NONE_OF_THESE)
    shown = []
    for i in even_steps(len(timelines), MOST_RECORDINGS).tolist():
        predicted = tuple(
            PredictedTime(e.start, e.end, len(names) - 1 if e.rejected else names.index(e.label), e.confidence)
            for e in timelines[i].intervals
        )
        labelled = true_intervals(recordings, i, classifier.class_names)
        fps = float(recordings.columns["fps"][i])
        name = str(recordings.columns["name"][i])
        shown.append(ViewedClip(name, recordings.read(i), fps=fps, intervals=labelled, predicted=predicted))
    return write_view(_viewed(recordings, classifier, names, [], "", shown, len(timelines)), out)


def _viewed(
    clips: Clips,
    classifier: Classifier,
    names: tuple[str, ...],
    shown: list[ViewedClip],
    how: str,
    recordings: list[ViewedClip],
    total_recordings: int,
) -> Viewed:
    info = classifier.info
    accuracy = f"{100 * info.report['accuracy']:.1f} % in cross-validation" if "accuracy" in info.report else "unknown"
    facts = {
        "classifier": "+".join(info.candidate),
        "classes": str(len(info.class_names)),
        "accuracy": accuracy,
        **({"windows": str(info.windows)} if info.windows else {}),
        NONE_OF_THESE: "never predicted"
        if info.threshold is None
        else f"by {_SCORES[info.known_score]}, {100 * info.false_alarms:g} % false alarms",
    }
    return Viewed(
        title=f"Predictions for {clips.dataset.name}",
        path=str(clips.dataset.report.get(MADE_FROM, {}).get("path", clips.path)),
        layout=clips.dataset.layout,
        class_names=names,
        total=len(clips) if shown else 0,
        how=how,
        clips=shown,
        recordings=recordings,
        total_recordings=total_recordings,
        facts=facts,
        notes=[],
        report={},
        command="predict",
    )
