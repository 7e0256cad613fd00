"""`i2md cluster`: what is in a folder of clips, as clusters of their features: a table, figures and a page."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from i2md.data.store import Clips
from i2md.errors import InputError
from i2md.evaluation.clustering import (
    Clusters,
    agreement,
    cluster,
    density_clusters,
    hdbscan,
    kmeans,
    reduced,
    stability,
    unit_vectors,
)
from i2md.inference.find_clips import describe_clips
from i2md.pages.groups import Group, Grouped, viewed_clips, write_groups
from i2md.pages.images import write_images
from i2md.runtime.io import atomic_write, write_text
from i2md.runtime.progress import progress

METHODS = ("kmeans", "hdbscan")
# The largest number of clusters that is tried, at most twice the square root of the number of clips: beyond that the
# silhouette coefficient rises again, up to clusters of the same action by the same person.
MOST_CLUSTERS = 200
# The stability is measured on so many clips, spread evenly.
_COMPARED = 20_000
_SHOWN_CLASSES = 3


def find_clusters(
    clips: Clips,
    features: Mapping[str, np.ndarray],
    k: int | None = None,
    method: str = "kmeans",
    least: int | None = None,
    seeds: int = 5,
    examples: int = 5,
) -> tuple[Clusters, dict[str, Any]]:
    """Divide clips into clusters, and measure how far these can be relied on.

    Args:
        clips: The clips.
        features: Their features (clips, width) by stream; all streams count the same.
        k: Number of clusters of k-means; by default the one with the highest silhouette coefficient.
        method: kmeans or hdbscan.
        least: Number of clips of the smallest cluster of hdbscan.
        seeds: Number of fits that are compared for the stability.
        examples: Number of examples of each cluster.

    Returns:
        The clusters, and what is known of them as plain data.

    Raises:
        InputError: There are too few clips, or an argument is invalid.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}: choose one of {', '.join(METHODS)}")
    if (k is not None and method != "kmeans") or (least is not None and method != "hdbscan"):
        raise InputError("cluster: --k belongs to --method kmeans, and --least to --method hdbscan")
    if seeds < 2 or examples < 1:
        raise InputError(f"cluster: seeds {seeds} must be at least 2, and examples {examples} at least 1")
    if len(clips) < 4:
        raise InputError(f"{clips.path}: {len(clips)} clips are too few to divide; give at least 4")
    vectors = unit_vectors(features)
    if not np.isfinite(vectors).all() or (vectors == vectors[0]).all():
        raise InputError("cluster: the features are not finite or all equal: the run has diverged; give another run")
    with progress(2, "cluster", "step", show=len(clips) > 2000) as bar:
        if method == "kmeans":
            found = cluster(vectors, k, min(MOST_CLUSTERS, round(2 * len(clips) ** 0.5)), examples)
        else:
            found = density_clusters(vectors, least, examples)
        bar.update(1)
        some = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), _COMPARED)).astype(np.int64))
        if method == "kmeans":
            fit = lambda rows, seed: kmeans(rows, min(max(len(found.examples), 2), len(rows)), seed)  # noqa: E731
        else:
            smallest = max(2, min(found.sizes, default=2))
            fit = partial(_hdbscan, least=smallest if least is None else least)
        stable = stability(reduced(vectors[some]), fit, seeds)
        bar.update(1)
    return found, _described(clips, found, method, stable, seeds)


def _hdbscan(rows: np.ndarray, seed: int, least: int) -> np.ndarray:
    return hdbscan(rows, least)


def _described(clips: Clips, found: Clusters, method: str, stable: float, seeds: int) -> dict[str, Any]:
    rows = []
    for number, (size, examples) in enumerate(zip(found.sizes, found.examples, strict=True)):
        members = np.flatnonzero(found.assigned == number)
        classes = Counter(row["class"] for row in describe_clips(clips, members) if row["class"] is not None)
        names = [str(clips.columns["name"][clip]) for clip in examples]
        common = dict(classes.most_common(_SHOWN_CLASSES))
        rows.append({"cluster": number + 1, "size": size, "examples": names, "classes": common})
    labelled = clips.labels >= 0
    agrees = agreement(clips.labels[labelled], found.assigned[labelled]) if len(set(clips.labels[labelled])) > 1 else {}
    return {
        "clips": len(clips),
        "method": method,
        "number": len(rows),
        "chosen": found.chosen,
        "silhouette": round(found.silhouette, 4),
        "tried": {str(number): round(value, 4) for number, value in found.tried.items()},
        "stability": round(stable, 4),
        "fits": seeds,
        "in_none": int((found.assigned < 0).sum()),
        "labelled": int(labelled.sum()),
        **{name: round(value, 4) for name, value in agrees.items()},
        "clusters": rows,
    }


def write_clusters(
    clips: Clips, found: Clusters, data: Mapping[str, Any], out: Path, gif: bool = False
) -> dict[str, Any]:
    """Write clusters.csv, clusters.json and clusters.html into a folder, and an animation of each cluster.

    Args:
        clips: The clips.
        found: Their clusters.
        data: What is known of them.
        out: The folder.
        gif: Whether to write an animation of each cluster's examples, too.

    Returns:
        The paths of the files by what they are.
    """
    table, page = out / "clusters.csv", out / "clusters.html"
    rank = {clip: place for examples in found.examples for place, clip in enumerate(examples, 1)}
    with atomic_write(table) as partial_path, open(partial_path, "w", encoding="utf-8", newline="") as file:
        described = describe_clips(clips, np.arange(len(clips)))
        names = list(dict.fromkeys(name for row in described for name in row))
        rows = csv.writer(file)
        rows.writerow(["name", "cluster", "example", *names[1:]])
        for clip, row in enumerate(described):
            number = int(found.assigned[clip])
            rest = ["" if row.get(name) is None else row[name] for name in names[1:]]
            rows.writerow([row["name"], number + 1 if number >= 0 else "", rank.get(clip, ""), *rest])
    write_text(out / "clusters.json", json.dumps(data, indent=1) + "\n")
    shown = _page(clips, found, data)
    write_groups(shown, page)
    animations = []
    for number, group in enumerate(shown.groups[: len(found.examples)] if gif else [], 1):
        animations.append(out / f"cluster-{number:03}.gif")
        write_images(replace(shown, groups=[group]), {"gif": animations[-1]})
    paths: dict[str, Any] = {"table": str(table), "page": str(page)}
    return paths | ({"animations": [str(path) for path in animations]} if animations else {})


def _page(clips: Clips, found: Clusters, data: Mapping[str, Any]) -> Grouped:
    groups = []
    for row, examples in zip(data["clusters"], found.examples, strict=True):
        share = 100 * row["size"] / len(clips)
        common = ", ".join(f"{name} ({count})" for name, count in row["classes"].items())
        about = f"{row['size']} clips, {share:.1f} %." + (f" Most frequent classes: {common}." if common else "")
        viewed = viewed_clips(clips, examples)
        groups.append(Group(f"Cluster {row['cluster']}", viewed, [""] * len(viewed), about))
    facts = {"clusters": str(data["number"]), "method": {"kmeans": "k-means", "hdbscan": "HDBSCAN"}[data["method"]]}
    facts["silhouette"] = f"{data['silhouette']:.2f}"
    facts["stability"] = f"{data['stability']:.2f}"
    if data["in_none"]:
        facts["in no cluster"] = f"{data['in_none']} clips"
    if "NMI" in data:
        facts["agreement with labels"] = f"NMI {data['NMI']:.2f}, adjusted Rand {data['ARI']:.2f}"
    return Grouped(
        command="cluster",
        title=clips.dataset.name,
        subtitle=f"{data['number']} clusters of {len(clips)} clips",
        path=str(clips.path),
        lead="The largest cluster first; of each the clips nearest to its centre. Silhouette: near 1 where clusters"
        " are apart, near 0 where they touch. Stability: the mean adjusted Rand index of fits of other parts of the"
        " clips, 1 where all divide them in the same way.",
        layout=clips.dataset.layout,
        class_names=clips.dataset.class_names,
        groups=groups,
        facts=facts,
    )
