"""Time the preparation of a synthetic NTU RGB+D folder: per file, as a whole, and against the reference implementation.

    python benchmarks/prepare.py OUT --clips 2000 5000 20000 --reference CHECKOUT

OUT keeps the synthetic folders and the clips. CHECKOUT is a copy of the reference implementation of CMD, whose
`data_gen` must run on the installed NumPy; without it only this program is timed. Times of one core are of `--files`
files in `--rounds` rounds, the two programs in alternation, so that other load on the machine affects both alike.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from timing import ratios, spread, time_interleaved

from i2md.data.presets import prepare_positions
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Source
from i2md.synthetic.ntu_rgbd import NtuIrregularities, write_ntu
from i2md.synthetic.ntu_rgbd_format import available_names

NTU_60 = 56_880
REFERENCE_FRAMES = 300


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[2000, 5000, 20_000], help="sizes of whole runs")
    parser.add_argument("--distinct", type=int, default=2000, help="files written; the others are links to these")
    parser.add_argument("--jobs", type=int, default=None, help="processes of whole runs (default: all cores)")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reference", type=Path, default=None)
    args = parser.parse_args()

    folders = [skeletons(args.out, count, args.distinct) for count in args.clips]
    measured: dict[str, Any] = {"one core": one_core(folders[0], args.files, args.rounds, args.reference)}
    for count, folder in zip(args.clips, folders, strict=True):
        measured[f"{count} clips"] = whole(folder, args.out / f"clips-{count}", args.jobs)
    print(json.dumps(measured, indent=1))


def skeletons(out: Path, count: int, distinct: int) -> Path:
    """Make a synthetic folder of `count` regular files, if it does not exist.

    Args:
        out: Parent folder.
        count: Number of files.
        distinct: How many of them are written; the others are hard links to these.

    Returns:
        The folder.
    """
    folder = out / f"skeletons-{count}"
    if count <= distinct:
        if not folder.is_dir():
            write_ntu(folder, count, irregularities=NtuIrregularities.none(), progress=True)
        return folder
    if not folder.is_dir():
        files = sorted(skeletons(out, distinct, distinct).rglob("*.skeleton"))
        folder.mkdir(parents=True)
        for name, file in zip(islice(available_names("ntu60", seed=0), count), cycle(files), strict=False):
            os.link(file, folder / f"{name}.skeleton")
    return folder


def one_core(folder: Path, files: int, rounds: int, reference: Path | None) -> dict[str, Any]:
    """Measure milliseconds per file on one core of reading and preparing, for both programs.

    Args:
        folder: Folder of .skeleton files.
        files: Number of files.
        rounds: Number of rounds.
        reference: Copy of the reference implementation, if any.

    Returns:
        Median and range by step, and the ratio of the totals.
    """
    source = open_source("ntu-rgbd", folder)
    paths = [file.container / file.name for file in source.read.files[:files]]  # type: ignore[attr-defined]
    ours, theirs = steps(source, files), reference_steps(reference, paths) if reference else {}
    # Processor time, which does not depend on other processes.
    spent = time_interleaved({**ours, **theirs}, rounds, time.process_time)
    figures = {name: spread(1000 * seconds / files for seconds in values) for name, values in spent.items()}
    if theirs:
        both = {"ours": ours, "theirs": theirs}
        sums = {
            name: [sum(turn) for turn in zip(*(spent[part] for part in parts), strict=True)]
            for name, parts in both.items()
        }
        figures["times as fast"] = ratios(sums)["theirs"]
    return figures


def steps(source: Source, files: int) -> dict[str, Callable[[], None]]:
    """This program's two steps, on the first files."""
    part = source.read.part(0, files)  # type: ignore[attr-defined]
    recordings = [recording for recording in part() if isinstance(recording, Recording)]

    def prepare() -> None:
        for recording in recordings:
            prepare_positions(recording.positions, source.layout, "ntu")

    return {"read": lambda: exhaust(part()), "prepare": prepare}


def reference_steps(checkout: Path, paths: list[Path]) -> dict[str, Callable[[], None]]:
    """The reference implementation's two steps, one clip at a time in the shape of its arrays."""
    sys.path.insert(0, str(checkout))
    from data_gen.ntu_gendata import read_xyz  # type: ignore[import-not-found]
    from data_gen.preprocess import pre_normalization  # type: ignore[import-not-found]

    padded = []
    for path in paths:
        clip = read_xyz(str(path))
        padded.append(np.zeros((1, 3, REFERENCE_FRAMES, 25, 2), np.float32))
        padded[-1][0, :, : clip.shape[1]] = clip

    def normalise() -> None:
        # It prints its progress.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for clip in padded:
                pre_normalization(clip.copy())

    return {"reference read": lambda: exhaust(map(read_xyz, map(str, paths))), "reference normalise": normalise}


def whole(folder: Path, clips: Path, jobs: int | None) -> dict[str, Any]:
    """Run the command once.

    Args:
        folder: Folder of .skeleton files.
        clips: Folder of clips to write.
        jobs: Number of processes; None for the default.

    Returns:
        Seconds, files per second, peak memory, size, and the time extrapolated to NTU RGB+D 60.
    """
    words = ["prepare", "ntu-rgbd", str(folder), str(clips), "--overwrite", *(["--jobs", str(jobs)] if jobs else [])]
    began = time.perf_counter()
    command = [sys.executable, "-m", "i2md", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: dict[str, float] = {}
    while process.poll() is None:
        for number in (str(process.pid), *children(process.pid)):
            peaks[number] = max(peaks.get(number, 0.0), peak_megabytes(number))
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"i2md {' '.join(words)} ended with {process.returncode}")
    files = len(open_source("ntu-rgbd", folder).read)  # type: ignore[arg-type]
    size = sum(path.stat().st_size for path in clips.iterdir())
    return {
        "seconds": round(seconds, 2),
        "files per second": round(files / seconds),
        "peak MB of the command": round(peaks[str(process.pid)], 1),
        "peak MB of all its processes": round(sum(peaks.values()), 1),
        "MB of clips": round(size / 1e6, 1),
        "seconds for NTU-60": round(seconds / files * NTU_60),
        "GB for NTU-60": round(size / files * NTU_60 / 1e9, 2),
    }


def children(process: int) -> list[str]:
    """List the ids of the child processes of a process."""
    try:
        return Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []


def peak_megabytes(process: str) -> float:
    """Read the peak memory of a process in MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def exhaust(iterator: Iterable[Any]) -> None:
    """Consume an iterator."""
    for _ in iterator:
        pass


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
