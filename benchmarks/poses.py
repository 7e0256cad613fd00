"""Time `i2md prepare auto` on many files of AlphaPose's COCO format, and the memory that it takes.

    python benchmarks/poses.py OUT --files 2000 20000

Each file holds two persons in `--frames` frames, in random order. Files beyond `--distinct` are links to others. One
process prepares them; its peak memory is that of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_RUN = """
import json, resource, sys, time
from i2md.data.prepare import prepare
begin = time.process_time()
clips = prepare("auto", sys.argv[1], sys.argv[2], overwrite=True, jobs=1)
seconds = time.process_time() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"clips": len(clips), "seconds": seconds, "MB": peak}))
"""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--distinct", type=int, default=500)
    parser.add_argument("--frames", type=int, default=30)
    args = parser.parse_args()
    measured: dict[str, Any] = {}
    for count in args.files:
        folder = write(args.out / f"poses-{count}-{args.frames}", count, args.distinct, args.frames)
        begin = time.monotonic()
        command = [sys.executable, "-c", _RUN, str(folder), str(args.out / f"clips-{count}")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        measured[f"{count} files"] = {
            **found,
            "clips per CPU second": found["clips"] / found["seconds"],
            "wall seconds": time.monotonic() - begin,
        }
    print(json.dumps(measured, indent=1))


def write(folder: Path, count: int, distinct: int, frames: int) -> Path:
    """Write files of keypoints, if the folder does not exist.

    Args:
        folder: The folder.
        count: How many files.
        distinct: How many of them differ.
        frames: Frames of each.

    Returns:
        The folder.
    """
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for at in range(count):
        path = folder / f"{at:06d}.json"
        if at >= distinct:
            os.link(folder / f"{at % distinct:06d}.json", path)
            continue
        body = rng.uniform(0, 300, (1, 2, 17, 2)) + np.array([[[0, 0]], [[600, 0]]])
        moved = (body + np.cumsum(rng.normal(size=(frames, 2, 1, 2)), axis=0)).round(2)
        confidence = rng.uniform(0.2, 1, (frames, 2, 17, 1)).round(2)
        keypoints = np.concatenate([moved, confidence], axis=-1).reshape(frames, 2, -1)
        found = [
            {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": keypoints[frame, person].tolist(), "score": 2.0}
            for frame in range(frames)
            for person in rng.permutation(2)
        ]
        path.write_text(json.dumps(found))
    return folder


if __name__ == "__main__":
    main()
