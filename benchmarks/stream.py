"""Streams and long files: what a stride costs, whether memory grows, how much faster than real time `predict` is.

    python benchmarks/stream.py MODEL CLIPS --hours 24 --stride 2s

CLIPS are recordings of any length; their frames come in over and over, as fast as they are taken, at 30 a second of the
stream's own time. A stride's cost is measured at the classifier's own stride, over two minutes of frames, and memory
with windows every `--stride` over the hours: persons change every five minutes, one frame in 200 is lost. Prints JSON:
share of a core, milliseconds of processor time a window, real time over processor time of `Classifier.timelines` on the
same two minutes, and resident memory after every hour.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
import torch
from timing import machine

import i2md
from i2md.evaluation.timeline import window_bounds

FPS, MINUTE = 30.0, 1800


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("clips")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--stride", default="2s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    classifier = i2md.load_classifier(args.model, "cpu")
    recordings = i2md.open_clips(args.clips).recordings
    frames = np.concatenate([recordings.read(i)[0] for i in range(min(len(recordings), 20))])
    found = {"machine": machine(), "windows": str(classifier.info.windows), **cost(classifier, frames)}
    print(json.dumps({**found, **memory(classifier, frames, args.hours, args.stride)}, indent=1))


def cost(classifier: i2md.Classifier, frames: np.ndarray) -> dict[str, float]:
    """Processor time of two minutes of one person: as a stream, and as windows of a file, least of three."""
    piece = np.take(frames, np.arange(2 * MINUTE), axis=0, mode="wrap")
    windows = classifier.info.windows
    assert windows is not None
    streamed, together, count = [], [], 0
    for _ in range(3):
        stream = classifier.stream(FPS)
        began = time.process_time()
        count = sum(len(stream.push(frame)) for frame in piece)
        streamed.append(time.process_time() - began)
        began = time.process_time()
        bounds = window_bounds(len(piece), FPS, windows)
        pieces = [piece[None, b : b + bounds.length] for b in bounds.begins.tolist()]
        for first in range(0, len(pieces), 64):
            classifier.windows([_prepared(classifier, each) for each in pieces[first : first + 64]])
        together.append(time.process_time() - began)
    seconds = len(piece) / FPS
    return {
        "stream, share of a core": round(min(streamed) / seconds, 4),
        "stream, ms a window": round(1e3 * min(streamed) / count, 2),
        "file, times real time": round(seconds / min(together), 1),
    }


def _prepared(classifier: i2md.Classifier, positions: np.ndarray) -> np.ndarray:
    from i2md.evaluation.timeline import prepared_window

    config = classifier.model.config
    prepared = prepared_window(positions, config.layout, config.preparation)
    assert prepared is not None
    return prepared


def memory(classifier: i2md.Classifier, frames: np.ndarray, hours: float, stride: str) -> dict[str, object]:
    """Resident megabytes after every hour of the stream."""
    windows = classifier.info.windows
    assert windows is not None
    stream = classifier.stream(FPS, window=f"{windows.length:g}s", stride=stride)
    resident, predicted, began = [], 0, time.perf_counter()
    for number in range(round(hours * 60 * MINUTE)):
        if number % 200:
            person = f"person {number // (5 * MINUTE)}"
            predicted += len(stream.push({person: frames[number % len(frames)]}, frame=number))
        if (number + 1) % (60 * MINUTE) == 0 or number == MINUTE:
            resident.append(_resident())
    return {
        "hours": hours,
        "stride for memory": stride,
        "windows predicted": predicted,
        "counts": vars(stream.counts),
        "resident MB after a minute and each hour": resident,
        "seconds it took": round(time.perf_counter() - began),
    }


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    main()
