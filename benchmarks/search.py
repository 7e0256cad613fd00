"""Time `i2md search` among a million clips, and count what its index finds.

    python benchmarks/search.py RUN CLIPS OUT --rows 1000000

Features are those of random views (crops, shears, rotations, as in pretraining) of real clips, by the encoders of a
run. OUT is the store; features that are there are used. Prints what building the index takes, in a process that is
killed half way and in one that resumes; milliseconds a query on one core and recall@10 against comparing all; the same
for a single stream, which the index was not built for, and where every second clip may be found; and what adding and
removing 10,000 clips takes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import machine

import i2md
from i2md.data.packed import pack
from i2md.evaluation.features import extract
from i2md.inference.feature_parts import FeatureStore
from i2md.inference.feature_store import PART_SIZE, StoredFeatures, _write_part
from i2md.inference.search import ClipSearch
from i2md.inference.vector_index import VectorIndex
from i2md.views.view import draw_view


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("clips")
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--kill_after", type=float, default=30.0, help="seconds; 0 kills no process")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    widths = write_features(args.run, args.clips, args.out, args.rows)
    queries = views(args.run, args.clips, args.queries, seed=1)

    measured: dict[str, Any] = {"rows": args.rows, "width": sum(widths.values()), **build(args.out, widths, args)}
    store = FeatureStore(args.out, widths)
    everything = StoredFeatures(store, np.arange(len(store)), 0, 0)
    half = np.arange(len(store)) % 2 == 0
    cases: dict[str, tuple[dict[str, float], np.ndarray | None]] = {
        "all streams": (dict.fromkeys(widths, 1.0), None),
        "joint alone": ({"joint": 1.0}, None),
        "every second clip": (dict.fromkeys(widths, 1.0), half),
    }
    true = nearest(store, queries, cases)
    for name, (streams, allowed) in cases.items():
        measured[name] = compare(everything, queries, streams, allowed, true[name])
        print(name, measured[name], flush=True)
    measured |= change(args, widths, queries)
    measured["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
    print(json.dumps({"machine": machine(), **measured}, indent=1))


def views(run: str, clips: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Features of random views of random clips."""
    model = i2md.load(run, "cpu")
    packed, settings = pack(i2md.open_clips(clips)), model.config.settings.views
    draws = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(packed), (count,), generator=draws)

    def draw(indices: torch.Tensor) -> torch.Tensor:
        return draw_view(packed, chosen[indices], settings, model.config.layout, model.config.persons, draws)

    features = extract(model.encoders, model.config.layout, count, draw)
    return {name: each.numpy() for name, each in features.items()}


def write_features(run: str, clips: str, out: Path, rows: int) -> dict[str, int]:
    """Fill the store up to so many rows."""
    widths = {name: encoder.width for name, encoder in i2md.load(run, "cpu").encoders.items()}
    done = len(FeatureStore(out, widths))
    while done < rows:
        count = min(PART_SIZE, rows - done)
        features = views(run, clips, count, seed=2 + done)
        vectors = np.concatenate(list(features.values()), axis=1)
        _write_part(out, vectors, np.arange(done, done + count, dtype=np.uint64))
        done += count
    return widths


def build(out: Path, widths: Mapping[str, int], args: argparse.Namespace) -> dict[str, Any]:
    """Build the index in a process that is killed, and in one that resumes."""
    context = multiprocessing.get_context("spawn")
    seconds, kept = [], []
    for limit in (args.kill_after, None):
        process = context.Process(target=update, args=(out, dict(widths)))
        started = time.perf_counter()
        process.start()
        process.join(limit)
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        seconds.append(round(time.perf_counter() - started, 1))
        kept.append(len(list((out / "index").glob("graph*"))))
    size = sum(path.stat().st_size for path in (out / "index").iterdir())
    return {"seconds before the kill and after": seconds, "graphs then": kept, "index MB": round(size / 1e6)}


def update(out: Path, widths: dict[str, int]) -> int:
    """Build what the index lacks."""
    return VectorIndex(FeatureStore(out, widths)).update()


def nearest(
    store: FeatureStore,
    queries: Mapping[str, np.ndarray],
    cases: Mapping[str, tuple[Mapping[str, float], np.ndarray | None]],
) -> dict[str, np.ndarray]:
    """The ten nearest rows of each query by comparing all, in one pass for all cases."""
    units = {name: each / np.linalg.norm(each, axis=1, keepdims=True) for name, each in queries.items()}
    best: dict[str, list[np.ndarray]] = {name: [] for name in cases}
    for first, block in store.blocks():
        rows = store.by_stream(np.asarray(block))
        similarity = {
            name: (each @ units[name].T / np.linalg.norm(each, axis=1, keepdims=True)).T for name, each in rows.items()
        }
        for name, (streams, allowed) in cases.items():
            total = sum(weight * similarity[stream] for stream, weight in streams.items())
            if allowed is not None:
                total = np.where(allowed[first : first + len(block)], total, -np.inf)
            top = np.argpartition(-total, 10, axis=1)[:, :10]
            best[name].append(np.stack([np.take_along_axis(total, top, 1), top + first], axis=2))
    found = {}
    for name, parts in best.items():
        joint = np.concatenate(parts, axis=1)
        order = np.argsort(-joint[..., 0], axis=1)[:, :10]
        found[name] = np.take_along_axis(joint[..., 1], order, 1).astype(np.int64)
    return found


def compare(
    stored: StoredFeatures,
    queries: Mapping[str, np.ndarray],
    streams: Mapping[str, float],
    allowed: np.ndarray | None,
    true: np.ndarray,
) -> dict[str, float]:
    """Milliseconds a query (median, and 95th percentile), and recall@10 against comparing all."""
    search = ClipSearch(stored, streams, exact=False)
    spent, hits, count = [], 0, len(true)
    for number in range(count):
        query = {name: each[number : number + 1] for name, each in queries.items()}
        search.nearest(query, 10, allowed)  # reads the pages of its files, which a server has in memory
        started = time.perf_counter()
        found = search.nearest(query, 10, allowed)
        spent.append(1e3 * (time.perf_counter() - started))
        hits += len(set(found.clips.tolist()) & set(true[number].tolist()))
    return {
        "median ms": round(float(np.median(spent)), 2),
        "95 % ms": round(float(np.percentile(spent, 95)), 2),
        "recall@10": round(hits / (10 * count), 4),
    }


def change(args: argparse.Namespace, widths: Mapping[str, int], queries: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Add 10,000 rows, then leave 10,000 others out."""
    more = views(args.run, args.clips, 10_000, seed=0)
    started = time.perf_counter()
    _write_part(args.out, np.concatenate(list(more.values()), axis=1), np.arange(10_000, dtype=np.uint64))
    store = FeatureStore(args.out, dict(widths))
    ClipSearch(StoredFeatures(store, np.arange(len(store)), 10_000, 0), exact=False)
    added = time.perf_counter() - started
    started = time.perf_counter()
    left = ClipSearch(StoredFeatures(store, np.arange(10_000, len(store)), 0, 10_000), exact=False)
    found = [
        left.nearest({name: each[n : n + 1] for name, each in queries.items()}, 10).clips
        for n in range(len(queries["joint"]))
    ]
    removed = time.perf_counter() - started
    new = np.mean(np.concatenate(found) + 10_000 >= len(store) - 10_000)
    return {
        "seconds to add 10,000": round(added, 1),
        "seconds to leave 10,000 out and answer all queries": round(removed, 1),
        "share of the added among the found": round(float(new), 4),
    }


if __name__ == "__main__":
    main()
