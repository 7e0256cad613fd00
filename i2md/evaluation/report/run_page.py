"""`report.html`: what a run learnt, in one page that opens from the disk alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i2md.errors import InputError
from i2md.evaluation.report.clip_map import MappedClips, map_clips
from i2md.evaluation.report.confusion import ALL_STREAMS, best_confusion, percent
from i2md.evaluation.report.curves import term_charts
from i2md.evaluation.report.page import write_page
from i2md.evaluation.run_record import read_epochs, read_evaluations, read_settings

__all__ = ["MappedClips", "write_report"]

# What the results of the encoders before training are called.
UNTRAINED = "untrained"


def write_report(run: Path, clips: MappedClips) -> Path:
    """Write `report.html` into the run's folder, from what the run holds and the given test clips.

    Whatever the run lacks, the page says so in its place; the folder itself must exist (InputError).
    The page is whole or absent: a failed write leaves an earlier report as it was.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; give the folder of a run")
    notes: list[str] = []
    settings = read_settings(run / "config.yaml", notes)
    epochs = read_epochs(run / "log.jsonl", notes)
    evaluations = read_evaluations(run / "evaluation", notes)
    charts = term_charts(epochs)
    results = _results_table(evaluations)
    confusion = best_confusion([result for result in evaluations if result.get("method") != UNTRAINED], notes)
    clip_map = map_clips(clips)
    return write_page(
        run / "report.html",
        "report.html.j2",
        title=_title(settings, evaluations, run),
        facts=_facts(settings, epochs),
        notes=notes,
        settings=list(_flatten(settings)),
        has_log=bool(epochs),
        results=results,
        confusion=confusion,
        map_missing=clip_map if isinstance(clip_map, str) else "",
        data={
            "losses": [chart for chart in charts if chart["group"] != "knn"],
            # The section's heading says it.
            "knn": [{**chart, "title": ""} for chart in charts if chart["group"] == "knn"],
            "confusion": confusion,
            "map": None if isinstance(clip_map, str) else clip_map,
        },
    )


def _results_table(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of protocols, columns of streams; the official figure is a row of its own below its protocol."""
    named = dict.fromkeys(stream for result in evaluations for stream in result["accuracy"])
    streams = sorted(named, key=lambda stream: stream == ALL_STREAMS)
    rows = [
        {
            **{key: result.get(key) for key in ("protocol", "dataset", "split", "train_clips", "test_clips")},
            "cells": [percent(result["accuracy"].get(stream)) for stream in streams],
            "untrained": result.get("method") == UNTRAINED,
            "draws": len(result.get("draws") or ()),
            "measures": _measures(result, streams),
            "official": _official(result, streams),
        }
        for result in evaluations
    ]
    return {"streams": streams, "rows": rows}


def _measures(result: Mapping[str, Any], streams: list[str]) -> list[tuple[str, list[str]]]:
    """Further measures by name, such as top-5, and for draws their spread."""
    measures = dict(result.get("measures") or {})
    if isinstance(result.get("spread"), dict):
        measures["standard deviation over the draws"] = result["spread"]
    return [(name, [percent(figures.get(stream)) for stream in streams]) for name, figures in measures.items()]


def _official(result: Mapping[str, Any], streams: list[str]) -> list[str] | None:
    best = result.get("best_test_epoch")
    return [percent(best.get(stream)) for stream in streams] if isinstance(best, dict) else None


def _title(settings: dict[str, Any], evaluations: list[dict[str, Any]], run: Path) -> dict[str, Any]:
    first = evaluations[0] if evaluations else {}
    return {
        "method": _setting(settings, "method"),
        "dataset": first.get("dataset") or _setting(settings, "dataset"),
        "split": first.get("split") or _setting(settings, "split"),
        "run": run.resolve().name,
    }


def _facts(settings: dict[str, Any], epochs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    facts = [(key, str(_setting(settings, key))) for key in ("seed", "recipe") if _setting(settings, key) is not None]
    if epochs:
        facts.append(("last epoch", str(epochs[-1]["epoch"])))
        minutes = sum(entry.get("seconds") or 0.0 for entry in epochs) / 60
        facts.append(("training time", f"{minutes / 60:.1f} h" if minutes >= 90 else f"{minutes:.1f} min"))
        rates = [entry["clips_per_second"] for entry in epochs if entry.get("clips_per_second")]
        if rates:
            facts.append(("speed", f"{np.median(rates):.0f} clips/s"))
    return facts


def _setting(settings: Mapping[str, Any], key: str) -> Any:
    """The first plain value of that name, at whatever depth the settings keep it."""
    if key in settings and not isinstance(settings[key], (dict, list)):
        return settings[key]
    nested = (_setting(value, key) for value in settings.values() if isinstance(value, dict))
    return next((value for value in nested if value is not None), None)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
