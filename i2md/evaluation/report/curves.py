"""The curves of a report: of one run's log, or of the logs of several runs in the same charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from i2md.evaluation.results import ENSEMBLE
from i2md.evaluation.table import ensemble_title
from i2md.pretraining.log import DIAGNOSTICS

# The entries of a log.
Epochs = Sequence[Mapping[str, Any]]
Curve = dict[int, float | None]

_NOT_CURVES = {"epoch", "step", "seconds", "clips_per_second", "begins", "left_out"}
# Colour of the ensemble's line; the streams have 0 to 2 (templates/charts.js).
_ENSEMBLE_SLOT = 3
_TITLES = {
    "loss": "Total loss",
    "contrast": "Contrast within a stream",
    "cmd": "Distillation between streams (CMD)",
    "dna": "Cluster-level contrast (DNA)",
    "imd": "Distillation between levels (IMD)",
    "knn": "kNN accuracy",
    "learning_rate": "Learning rate",
}
# Title of each diagnostic, and how to read it.
_DIAGNOSTICS = {
    "knn": (
        "kNN, held-out training subjects",
        "Share of clips whose nearest clip of other training subjects is of their class: the number to choose settings"
        " by.",
    ),
    "ridge": (
        "Ridge, held-out training subjects",
        "The same by ridge regression on the clips of other training subjects; it may rise while kNN falls.",
    ),
    "alignment": (
        "Alignment",
        "Squared distance of two views of a clip; lower is more invariant. Near 0 with uniformity near 0: collapse.",
    ),
    "uniformity": (
        "Uniformity",
        "How evenly clips spread over the sphere: about -4 is even, 0 is a single point. Falling together with kNN:"
        " clips of a class are pushed apart.",
    ),
    "effective_rank": (
        "Effective rank of the features",
        "Number of directions that the features use. A falling curve is dimensional collapse.",
    ),
    "same_class": (
        "Neighbours of the same class",
        "Share of the nearest queue entries that are of the clip's class (labels for watching only): an upper limit of"
        " what clusters of neighbours can gain.",
    ),
    "cluster_cosine": (
        "Key and its aggregate",
        "Cosine of a cluster-level key with what its neighbours made of it. Near 1: no cluster is formed.",
    ),
    "tv_levels": (
        "Total variation between levels",
        "Distance of what the two levels of a stream teach. Below that between streams, they have little to exchange.",
    ),
    "tv_streams": (
        "Total variation between streams",
        "Distance of what two streams teach: 0 the same, 1 disjoint.",
    ),
    "gradient_cosine": (
        "Gradients against the contrast's",
        "Cosine of each term's gradient with the contrast's, by the stream's encoder. Near 1: the term repeats the"
        " contrast; below 0: it works against it.",
    ),
}


def term_charts(epochs: Epochs) -> list[dict[str, Any]]:
    """Charts of one run's log: one for each part of a logged name before the slash, a line for each part after it.

    Args:
        epochs: The log's entries.

    Returns:
        Charts with "group", "title" and "lines", as JSON data.
    """
    curves = _curves(epochs)
    charts: dict[str, dict[str, Any]] = {}
    for name in _in_order(curves):
        group, of = _parts(name)
        chart = charts.setdefault(group, {"group": group, "title": _title(group), **_about(group), "lines": []})
        chart["lines"].append({"name": of, "x": list(curves[name]), "y": list(curves[name].values())})
    for chart in charts.values():
        streams = [line["name"] for line in chart["lines"] if line["name"] != ENSEMBLE]
        for line in chart["lines"]:
            if line["name"] == ENSEMBLE:
                line |= {"name": ensemble_title(streams), "slot": _ENSEMBLE_SLOT}
    return list(charts.values())


def overlaid_charts(variants: Mapping[str, Sequence[Epochs]]) -> list[dict[str, Any]]:
    """Charts of several runs' logs: one for each logged name, with a line for each variant.

    Args:
        variants: The logs of each variant's runs, by the variant's label.

    Returns:
        Charts with "group", "title" and "lines", as JSON data. A line is the mean of the variant's runs, and where
        there are several, "low" and "high" are a standard deviation to either side.
    """
    curves = {label: [_curves(epochs) for epochs in runs] for label, runs in variants.items()}
    names = dict.fromkeys(name for runs in curves.values() for run in runs for name in run)
    charts = []
    for name in _in_order(names):
        group, of = _parts(name)
        title = _title(group) if name == group else f"{_title(group)}: {of.replace('>', ' to ')}"
        lines = [
            {"name": label, "slot": slot % 8, **_averaged([run[name] for run in runs if name in run])}
            for slot, (label, runs) in enumerate(curves.items())
            if any(name in run for run in runs)
        ]
        charts.append({"group": group, "title": title, **_about(group), "lines": lines})
    return charts


def by_section(charts: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Charts by the section of a page that shows them: "knn", "diagnostics", and "losses" for the others.

    Args:
        charts: Of `term_charts` or `overlaid_charts`.
    """
    sections: dict[str, list[dict[str, Any]]] = {"losses": [], "knn": [], "diagnostics": []}
    for chart in charts:
        group = chart["group"]
        section = "diagnostics" if group.startswith(DIAGNOSTICS) else "knn" if group == "knn" else "losses"
        sections[section].append(chart)
    return sections


def _averaged(curves: Sequence[Curve]) -> dict[str, Any]:
    """Mean and band at each epoch that a run has logged; where a value is not finite, neither is the mean."""
    epochs = sorted({epoch for curve in curves for epoch in curve})
    at = [[curve[epoch] for curve in curves if epoch in curve] for epoch in epochs]
    finite = [[v for v in values if v is not None] if None not in values else [] for values in at]
    line: dict[str, Any] = {"x": epochs, "y": [_short(fmean(values)) if values else None for values in finite]}
    if len(curves) > 1:
        spread = [_deviation(values) if len(values) > 1 else 0.0 for values in finite]
        line["low"] = [_short(fmean(v) - s) if v else None for v, s in zip(finite, spread, strict=True)]
        line["high"] = [_short(fmean(v) + s) if v else None for v, s in zip(finite, spread, strict=True)]
    return line


def _deviation(values: Sequence[float]) -> float:
    # Many runs have tens of thousands of values, and statistics.stdev computes slowly, in exact fractions.
    return math.dist(values, [fmean(values)] * len(values)) / math.sqrt(len(values) - 1)


def _curves(epochs: Epochs) -> dict[str, Curve]:
    """Each logged name's values by epoch; None where a value is not finite."""
    curves: dict[str, Curve] = {}
    for entry in epochs:
        for name, value in entry.items():
            if name not in _NOT_CURVES and isinstance(value, (int, float)) and not isinstance(value, bool):
                curves.setdefault(name, {})[entry["epoch"]] = _short(value) if math.isfinite(value) else None
    return curves


def _in_order(names: Iterable[str]) -> list[str]:
    """Known terms and diagnostics first, the learning rate last, names of one term together."""
    groups = dict.fromkeys(_parts(name)[0] for name in names)
    titled = [group for group in _TITLES if group != "learning_rate"] + [DIAGNOSTICS + name for name in _DIAGNOSTICS]
    known = [group for group in titled if group in groups]
    order = [*known, *(group for group in groups if group not in known), "learning_rate"]
    return sorted(names, key=lambda name: order.index(_parts(name)[0]))


def _parts(name: str) -> tuple[str, str]:
    """The chart of a logged name, and its line there."""
    kept = DIAGNOSTICS if name.startswith(DIAGNOSTICS) else ""
    group, _, of = name.removeprefix(kept).partition("/")
    return kept + group, of or "all"


def _title(group: str) -> str:
    if group.startswith(DIAGNOSTICS):
        group = group.removeprefix(DIAGNOSTICS)
        return _DIAGNOSTICS[group][0] if group in _DIAGNOSTICS else group.replace("_", " ")
    return _TITLES.get(group, group.replace("_", " "))


def _about(group: str) -> dict[str, str]:
    """How to read a diagnostic."""
    known = _DIAGNOSTICS.get(group.removeprefix(DIAGNOSTICS)) if group.startswith(DIAGNOSTICS) else None
    return {"about": known[1]} if known else {}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
