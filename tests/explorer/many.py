"""Serves very many synthetic windows, whose features are made up: python -m explorer.many CLIPS COUNT FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import i2md
from i2md.data.store import Clips
from i2md.explorer.collection import Collection, shown_clips
from i2md.explorer.labels import LabelBook
from i2md.explorer.server import serve
from i2md.explorer.state import Explorer
from i2md.inference.feature_store import FeatureStore, StoredFeatures

GROUPS, WIDTH = 40, 64


def collection(folder: Path, clips: Clips, count: int) -> Collection:
    """`count` windows that show the frames of a few clips, in groups on the map."""
    rng = np.random.default_rng(0)
    of = np.arange(count) % len(clips)
    columns = {name: values[of] for name, values in clips.columns.items()}
    columns["name"] = np.array([f"window {number}" for number in range(count)])
    many = shown_clips(Clips(clips.path, clips.dataset, clips.frames, columns))
    group = rng.integers(0, GROUPS, len(many))
    features = (rng.normal(size=(GROUPS, WIDTH))[group] + 0.5 * rng.normal(size=(len(many), WIDTH))).astype(np.float32)
    points = rng.uniform(-0.9, 0.9, (GROUPS, 2))[group] + 0.04 * rng.normal(size=(len(many), 2))
    folder.mkdir(parents=True)
    np.save(folder / "vectors-00000000.npy", features)
    np.save(folder / "clips-00000000.npy", np.arange(len(many), dtype=np.uint64))
    stored = StoredFeatures(FeatureStore(folder, {"joint": WIDTH}), np.arange(len(many)), 0, 0)
    return Collection(many, count, stored, {"joint": features}, points.astype(np.float32), group, folder)


if __name__ == "__main__":
    source, count, target = sys.argv[1:]
    made = collection(Path(target) / "features", i2md.open_clips(source), int(count))
    book = LabelBook(Path(target) / "labels.csv", made.names)
    serve(Explorer(made, book), 0, lambda address: print(f"open {address}\nend by Ctrl-C", flush=True))
