"""`report.html`: what a run learnt, in one page that opens from the disk alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i2md.errors import InputError
from i2md.evaluation.report_confusion import ALL_STREAMS, best_confusion, percent
from i2md.evaluation.report_map import MappedClips, map_clips
from i2md.pretraining.run import written_whole

__all__ = ["MappedClips", "write_report"]

_NOT_CURVES = {"epoch", "step", "seconds", "clips_per_second"}
# What the results of the encoders before training are called.
UNTRAINED = "untrained"
_CHART_TITLES = {
    "loss": "Total loss",
    "contrast": "Contrast within a stream",
    "cmd": "Distillation between streams (CMD)",
    "dna": "Cluster-level contrast (DNA)",
    "imd": "Distillation between levels (IMD)",
    "learning_rate": "Learning rate",
}


def write_report(run: Path, clips: MappedClips) -> Path:
    """Write `report.html` into the run's folder, from what the run holds and the given test clips.

    Whatever the run lacks, the page says so in its place; the folder itself must exist (InputError).
    The page is whole or absent: a failed write leaves an earlier report as it was.
    """
    if not run.is_dir():
        raise InputError(f"{run}: no such folder; give the folder of a run")
    notes: list[str] = []
    settings = _read_settings(run / "config.yaml", notes)
    epochs = _read_log(run / "log.jsonl", notes)
    evaluations = _read_evaluations(run / "evaluation", notes)
    charts = _charts(epochs)
    results = _results_table(evaluations)
    confusion = best_confusion([result for result in evaluations if result.get("method") != UNTRAINED], notes)
    clip_map = map_clips(clips)
    page = _render(
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
            "knn": [chart for chart in charts if chart["group"] == "knn"],
            "confusion": confusion,
            "map": None if isinstance(clip_map, str) else clip_map,
        },
    )
    with written_whole(run / "report.html") as partial:
        # File names that are not valid text come as surrogates, which UTF-8 cannot hold.
        partial.write_bytes(page.encode("utf-8", errors="replace"))
    return run / "report.html"


def _read_settings(path: Path, notes: list[str]) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        notes.append("config.yaml is not YAML; its settings are left out.")
        return {}
    return settings if isinstance(settings, dict) else {}


def _read_log(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """One entry an epoch, ascending: a resumed run logs an epoch again, and the later line counts."""
    if not path.is_file():
        return []
    by_epoch: dict[int, dict[str, Any]] = {}
    torn = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        entry = _json_object(line)
        if isinstance(entry.get("epoch"), int):
            by_epoch[entry["epoch"]] = entry
        elif line.strip():
            torn += 1
    if torn:
        notes.append(f"log.jsonl: {torn} unreadable line{'s' * (torn > 1)} left out.")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def _read_evaluations(folder: Path, notes: list[str]) -> list[dict[str, Any]]:
    evaluations = []
    for path in sorted(folder.glob("*.json")):
        result = _json_object(path.read_text(encoding="utf-8", errors="replace"))
        if isinstance(result.get("accuracy"), dict):
            evaluations.append({"protocol": path.stem, **result})
        else:
            notes.append(f"evaluation/{path.name} holds no accuracies; it is left out.")
    return evaluations


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _charts(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One chart for what stands before the slash, one line for what stands after it."""
    charts: dict[str, dict[str, Any]] = {}
    for entry in epochs:
        for key, value in entry.items():
            if key in _NOT_CURVES or isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            group, _, name = key.partition("/")
            title = _CHART_TITLES.get(group, group.replace("_", " "))
            chart = charts.setdefault(group, {"group": group, "title": title, "lines": {}})
            line = chart["lines"].setdefault(name or "all", {"name": name or "all", "x": [], "y": []})
            line["x"].append(entry["epoch"])
            line["y"].append(float(f"{value:.6g}") if math.isfinite(value) else None)
    known = [group for group in _CHART_TITLES if group in charts and group != "learning_rate"]
    last = ["learning_rate"] * ("learning_rate" in charts)
    order = [*known, *(group for group in charts if group not in _CHART_TITLES), *last]
    return [{**charts[group], "lines": list(charts[group]["lines"].values())} for group in order]


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


def _render(**sections: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("i2md.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.j2").render(**sections)
