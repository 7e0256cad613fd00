"""What the explorer shows: clips, their features and places on the map, and the columns that can colour them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from i2md.data.readers.limits import map_npy
from i2md.data.splits import Split, select_part
from i2md.data.store import Clips
from i2md.data.windows import ASSUMED_FPS, RECORDING
from i2md.encoders.settings import WeightlessReadout
from i2md.errors import InputError
from i2md.evaluation.clustering import MOST_CLUSTERS, cluster, reduced, unit_vectors
from i2md.evaluation.report.clip_map import project
from i2md.inference.classifier import load_classifier
from i2md.inference.feature_store import StoredFeatures, clip_hashes, stored_features
from i2md.inference.predict import predictions_of
from i2md.inference.predictions import NONE_OF_THESE
from i2md.pages.skeletons import even_steps
from i2md.runtime.io import atomic_write
from i2md.runtime.progress import progress

# Of more clips so many are shown, at even steps.
MOST_CLIPS = 200_000
# t-SNE compares so many clips; the others are placed among those that are most like them.
COMPARED = 4_000
_NEAREST = 3
_FEWEST = 4
# Clusters for the map are looked for among so many clips at most.
_CLUSTERED = 20_000
_VERSION = 1

Points = Float32[np.ndarray, "clips 2"]


class Column(NamedTuple):
    """What is known of every clip: one of some values, or a number."""

    codes: Int64[np.ndarray, " clips"]
    """Number of each clip's value, or from 0 to 255 the place of its number between the limits; -1 where unknown."""
    values: list[str]
    """What the codes mean; empty for numbers."""
    limits: tuple[float, float] = (0.0, 0.0)
    """The smallest and the largest number."""


@dataclass(frozen=True)
class Collection:
    """Clips to be explored."""

    clips: Clips
    total: int
    """Number of clips that there are; fewer may be shown."""
    stored: StoredFeatures
    features: Mapping[str, Float32[np.ndarray, "clips _"]]
    points: Points
    """From -1 to 1."""
    clusters: Int64[np.ndarray, " clips"]
    run: Path

    @property
    def names(self) -> list[str]:
        """Names of the clips."""
        return [str(name) for name in self.clips.columns["name"]]

    def columns(self) -> dict[str, Column]:
        """What is known of the clips themselves, by what it is called."""
        clips, found = self.clips, {}
        names = clips.dataset.class_names
        if (clips.labels >= 0).any():
            found["class"] = Column(clips.labels, [*names, *map(str, range(len(names), int(clips.labels.max()) + 1))])
        number = int(self.clusters.max(initial=-1)) + 1
        found["cluster"] = Column(self.clusters, [f"cluster {each + 1}" for each in range(number)])
        for name in ("subject", "camera", "setup", "trial"):
            values = clips.columns[name]
            if len(np.unique(values[values >= 0])) > 1:
                found[name] = of_values(values, values >= 0)
        for name, split in clips.dataset.splits.items():
            found[f"split {name}"] = _of_split(clips, split)
        if RECORDING in clips.columns:
            of = clips.recordings.columns["name"][clips.columns[RECORDING]]
            found["recording"] = of_values(of, np.ones(len(clips), bool))
        if clips.max_persons > 1:
            found["persons"] = of_values(clips.columns["persons"], np.ones(len(clips), bool))
        fps = np.where(clips.columns["fps"] > 0, clips.columns["fps"], ASSUMED_FPS)
        found["seconds"] = of_numbers(clips.columns["frames"] / fps)
        return found


def of_values(values: np.ndarray, known: np.ndarray) -> Column:
    """A column of values.

    Args:
        values: Of each clip.
        known: Which ones are known.
    """
    names, codes = np.unique(values[known], return_inverse=True)
    found = np.full(len(values), -1)
    found[known] = codes
    return Column(found, [str(name) for name in names])


def of_numbers(numbers: np.ndarray) -> Column:
    """A column of numbers; those that are not finite are unknown."""
    known = np.isfinite(numbers)
    if not known.any():
        return Column(np.full(len(numbers), -1), [])
    low, high = float(numbers[known].min()), float(numbers[known].max())
    codes = np.full(len(numbers), -1)
    codes[known] = np.round(255 * (numbers[known] - low) / max(high - low, 1e-12)).astype(np.int64)
    return Column(codes, [], (low, high))


def _of_split(clips: Clips, split: Split) -> Column:
    codes = np.full(len(clips), -1)
    for number, part in enumerate(split.values()):
        codes[select_part(part, clips.columns)] = number
    return Column(codes, [str(part) for part in split])


def model_columns(model: str | os.PathLike[str], clips: Clips, device: str = "auto") -> dict[str, Column]:
    """What a fitted classifier says of clips: its class, or none of these, and its confidence.

    Args:
        model: Folder that i2md fit wrote.
        clips: The clips.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: The folder holds no classifier, or the clips do not fit it.
    """
    loaded = load_classifier(model, device)
    names = [*loaded.class_names, NONE_OF_THESE]
    found = predictions_of(loaded, clips)
    codes = np.array([len(names) - 1 if each.rejected else names.index(each.label) for each in found])
    confidence = of_numbers(np.array([each.confidence for each in found]))
    return {"class by the model": Column(codes, names), "confidence of the model": confidence}


def shown_clips(clips: Clips) -> Clips:
    """All clips, or of very many MOST_CLIPS at even steps."""
    return clips if len(clips) <= MOST_CLIPS else clips.select(even_steps(len(clips), MOST_CLIPS))


def open_collection(
    run: Path, clips: Clips, index: Path | None = None, device: str = "auto", readout: WeightlessReadout | None = None
) -> Collection:
    """Compute what the explorer shows, or take it from the last time.

    Args:
        run: Folder of the run.
        clips: Clips of the run's preparation.
        index: Folder of the features; by default one in the run's folder.
        device: auto, cpu, cuda or cuda:N.
        readout: How features are read out of the encoders' states.

    Raises:
        InputError: Run and clips do not fit one another, or there are too few clips for a map.
    """
    total = len(clips)
    if total < _FEWEST:
        raise InputError(f"{clips.path}: {total} clips are too few for a map; give at least {_FEWEST}")
    # Those of all clips, so that none that were computed before count as left over.
    stored = stored_features(run, clips, index, device, readout)
    stored = replace(stored, rows=stored.rows[even_steps(total, MOST_CLIPS)])
    clips = shown_clips(clips)
    features = stored.features()
    rows = unit_vectors(features)
    if not np.isfinite(rows).all() or (rows == rows[0]).all():
        raise InputError(f"{run}: the features are not finite or all equal: the run has diverged; give another run")
    points, clusters = _placed(stored.store.folder, clips, rows)
    return Collection(clips, total, stored, features, points, clusters, run)


def _placed(folder: Path, clips: Clips, rows: Float32[np.ndarray, "clips width"]) -> tuple[Points, np.ndarray]:
    """The places of the clips on the map and their clusters, kept beside their features."""
    key = sha256(f"{_VERSION} {COMPARED}".encode() + clip_hashes(clips).tobytes()).hexdigest()[:16]
    path = folder / "map" / f"{key}.npy"
    if path.is_file():
        saved = np.array(map_npy(path))
        if saved.shape == (len(clips), 3):
            return saved[:, :2], saved[:, 2].astype(np.int64)
    points, assigned = _computed(rows)
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as partial, open(partial, "wb") as file:
        np.save(file, np.concatenate([points, assigned[:, None]], axis=1).astype(np.float32))
    return points, assigned


def _computed(rows: Float32[np.ndarray, "clips width"]) -> tuple[Points, np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    steps = 3 if len(rows) > COMPARED else 2
    with progress(steps, "map", "step", show=len(rows) > 500) as bar:
        narrow = reduced(rows).astype(np.float32)
        some = even_steps(len(rows), COMPARED)
        placed = project(narrow[some]).astype(np.float32)
        bar.update(1)
        clustered = even_steps(len(rows), _CLUSTERED)
        found = cluster(narrow[clustered], most=max(2, min(MOST_CLUSTERS, len(clustered) // 2)))
        bar.update(1)
        if len(some) == len(rows):
            return placed, found.assigned
        distances, near = NearestNeighbors(n_neighbors=_NEAREST).fit(narrow[some]).kneighbors(narrow)
        weights = 1 / np.maximum(distances, 1e-6)
        weights /= weights.sum(axis=1, keepdims=True)
        points = np.einsum("ck,ckd->cd", weights, placed[near]).astype(np.float32)
        points[some] = placed
        assigned = found.assigned
        if len(clustered) < len(rows):
            of = NearestNeighbors(n_neighbors=1).fit(narrow[clustered]).kneighbors(narrow, return_distance=False)
            assigned = found.assigned[of[:, 0]]
        bar.update(1)
    return points, assigned
