"""The report's map: clips in two dimensions by t-SNE, and their skeletons, packed to be played in the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64

from i2md.evaluation.clustering import cluster, reduced
from i2md.evaluation.report.class_names import full_names, shortened_names
from i2md.pages.skeletons import even_steps, pack_skeletons
from i2md.skeletons import Layout

MOST_CLIPS = 1000
_FEWEST_CLIPS = 4  # t-SNE needs a perplexity of at least 1 and below the number of clips
_LABEL = 22  # characters of a class beside its points
_PLAYED = (1.0, 6.0)  # seconds that a clip is played, at least and at most


@dataclass(frozen=True)
class MappedClips:
    """The clips that the map shows: one entry per clip in every field.

    `labels` are indices of `class_names`, -1 where unknown; `features` are those of all streams, concatenated.
    Skeletons are prepared positions; a person who is absent from a frame is all zeros there.
    """

    names: list[str]
    labels: Int[np.ndarray, " clips"]
    predictions: Int[np.ndarray, " clips"] | None
    class_names: tuple[str, ...]
    features: Float32[np.ndarray, "clips width"]
    skeletons: list[Float32[np.ndarray, "persons frames joints channels"]]
    layout: Layout
    total: int | None = None
    """Number of clips that these were taken from at even steps; None where they are all."""
    num_clusters: int | None = None
    """Into how many clusters to divide them. By default clips without any label are divided into a number of
    clusters that is chosen, and others are not."""

    def __post_init__(self) -> None:
        sizes = {len(self.names), len(self.labels), len(self.features), len(self.skeletons)}
        if self.predictions is not None:
            sizes.add(len(self.predictions))
        if len(sizes) > 1:
            raise ValueError(f"every field needs one entry per clip, got {sorted(sizes)}")


def shown_clips(count: int) -> Int64[np.ndarray, " shown"]:
    """Indices of the clips to show of `count`: all of them, or `MOST_CLIPS` at even steps."""
    return even_steps(count, MOST_CLIPS)


def map_clips(clips: MappedClips) -> dict[str, Any] | str:
    """Make the data that the page draws and plays the map from.

    Args:
        clips: The clips; at most `MOST_CLIPS` of them are shown, spread evenly.

    Returns:
        JSON data, or a sentence that says why there is no map.

    Raises:
        InputError: The clips cannot be divided into the given number of clusters.
    """
    shown = shown_clips(len(clips.names))
    if len(shown) < _FEWEST_CLIPS:
        return f"A map needs at least {_FEWEST_CLIPS} clips; there are {len(shown)}."
    features = clips.features[shown]
    if not np.isfinite(features).all():
        return "The features are not finite: the run has diverged, and there is no map."
    if (features == features[0]).all():
        return "All features are equal: the run has collapsed, and there is no map."
    skeletons = [clips.skeletons[i] for i in shown]
    labels = clips.labels[shown]
    predictions = None if clips.predictions is None else clips.predictions[shown]
    named = [labels] if predictions is None else [labels, predictions]
    count = max(len(clips.class_names), *(int(indices.max()) + 1 for indices in named))
    classes = full_names(clips.class_names, count)
    return {
        "total": clips.total or len(clips.names),
        "names": [clips.names[i] for i in shown],
        "labels": labels.tolist(),
        "predictions": None if predictions is None else predictions.tolist(),
        "classes": classes,
        "short": shortened_names(classes, _LABEL),
        "clusters": _clusters(clips, features, labelled=bool((labels >= 0).any())),
        "points": project(features).round(4).tolist(),
        **pack_skeletons(skeletons, clips.layout, [_played(len(each[0])) for each in skeletons]),
    }


def _played(frames: int) -> float:
    low, high = _PLAYED
    return min(high, max(low, frames / 30))


def _clusters(
    clips: MappedClips, features: Float32[np.ndarray, "shown width"], labelled: bool
) -> dict[str, Any] | None:
    if labelled and clips.num_clusters is None:
        return None
    found = cluster(features, clips.num_clusters)
    return {
        "assigned": found.assigned.tolist(),
        "names": found.names,
        "sizes": np.bincount(found.assigned).tolist(),
        "examples": found.examples,
        "silhouette": round(found.silhouette, 2),
        "chosen": found.chosen,
    }


def project(features: Float32[np.ndarray, "clips width"]) -> Float64[np.ndarray, "clips 2"]:
    """Project features to two dimensions by t-SNE with a fixed seed.

    Args:
        features: Features of each clip.

    Returns:
        A point for each clip; the longer side of the map is from -1 to 1.
    """
    from sklearn.manifold import TSNE

    rows = reduced(features)
    # A random start: the PCA start divides by a spread that is zero where features differ in length alone.
    tsne = TSNE(2, perplexity=min(30.0, (len(rows) - 1) / 3), init="random", random_state=0)
    points = tsne.fit_transform(rows).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-12)
