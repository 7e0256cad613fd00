"""Time two views of a batch of NTU-shaped clips, against plainer implementations, interleaved in one process.

    python benchmarks/views.py --reference CHECKOUT

Prints microseconds a clip (median and range) and how many times as long the others take: PyTorch's interpolation and
product, clip by clip; and, with CHECKOUT, a copy of the reference implementation of CMD whose `feeder` runs on
today's NumPy, its feeder alone and its feeder with the batch collated. Each call makes several batches. On a CPU the
times are processor time: of one core, in which other processes do not count.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import machine, ratios, spread, time_interleaved
from torch import Tensor

from i2md.data.packed import PackedClips, pack_arrays
from i2md.runtime.device import choose_device, keep_freed_memory
from i2md.skeletons import Layout, get_layout
from i2md.views.augment import ViewDraws, joint_matrices
from i2md.views.resize import random_crop
from i2md.views.settings import ViewSettings
from i2md.views.view import draw_view

LAYOUT = get_layout("kinect-v2")
JOINTS, CHANNELS, PERSONS = 25, 3, 2
LONGEST = 300
TWO_PERSONS = 11 / 60  # of NTU RGB+D's 60 actions, 11 are done by two


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000, help="clips that batches are drawn from")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8, help="made in each call")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--reference", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    device = choose_device(args.device)

    arrays = ntu_shaped(args.clips)
    with tempfile.TemporaryDirectory() as folder:
        implementations = our_implementations(arrays, args.batch_size, device)
        if args.reference:
            implementations |= reference_implementations(args.reference, arrays, args.batch_size, Path(folder))
        turns = {name: repeated(function, args.batches) for name, function in implementations.items()}
        spent = time_interleaved(turns, args.rounds, time.process_time if device.type == "cpu" else time.perf_counter)
    made = args.batch_size * args.batches
    results = {
        "machine": machine(device),
        "microseconds a clip": {n: spread(1e6 * s / made for s in values) for n, values in spent.items()},
        "clips a second": {n: spread(made / s for s in values) for n, values in spent.items()},
        "ours is so many times as fast": ratios(spent),
    }
    print(json.dumps(results, indent=1))


def repeated(function: Callable[[], object], times: int) -> Callable[[], None]:
    """A function that calls another several times."""

    def turn() -> None:
        for _ in range(times):
            function()

    return turn


def ntu_shaped(count: int) -> list[np.ndarray]:
    """Clips (persons, frames, joints, channels) of about 85 frames, the longest of 300, some of two persons."""
    draws = np.random.default_rng(0)
    frames = np.clip(np.exp(draws.normal(np.log(80), 0.35, count)).astype(int), 20, LONGEST)
    persons = 1 + (draws.random(count) < TWO_PERSONS)
    shapes = zip(persons, frames, strict=True)
    return [draws.normal(size=(p, t, JOINTS, CHANNELS)).astype(np.float32) for p, t in shapes]


def batches(count: int, size: int) -> Iterator[Tensor]:
    """Random clips, for ever; the same for every implementation."""
    draws = torch.Generator().manual_seed(0)
    while True:
        yield torch.randint(count, (size,), generator=draws)


def our_implementations(arrays: list[np.ndarray], size: int, device: torch.device) -> dict[str, Callable[[], object]]:
    """Two views of the next batch, by this program and by PyTorch's operations, a clip at a time."""
    clips, settings = pack_arrays(arrays, device), ViewSettings()
    numbers = torch.Generator(device).manual_seed(0)

    def plain(indices: Tensor) -> Tensor:
        draws = ViewDraws.draw(len(indices), JOINTS, CHANNELS, numbers)
        return plain_view(clips, indices, settings, LAYOUT, PERSONS, draws)

    def twice(view: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        coming = batches(len(arrays), size)

        def two_views() -> list[Tensor]:
            indices = next(coming).to(device)
            return [view(indices) for _ in range(2)]

        return two_views

    return {
        "ours": twice(lambda indices: draw_view(clips, indices, settings, LAYOUT, PERSONS, numbers)),
        "PyTorch's operations, clip by clip": twice(plain),
    }


def plain_view(
    clips: PackedClips, indices: Tensor, settings: ViewSettings, layout: Layout, persons: int, draws: ViewDraws
) -> Tensor:
    """What `make_view` makes."""
    begins, lengths = random_crop(clips, indices, settings.crop, settings.frames, draws.crop)
    matrices = joint_matrices(draws, settings)
    views = clips.rows.new_zeros(len(indices), settings.frames, *clips.rows.shape[1:], persons)
    for view, clip, begin, length, matrix in zip(
        views, indices.tolist(), begins.tolist(), lengths.tolist(), matrices, strict=True
    ):
        frames, present = int(clips.frames[clip]), int(clips.persons[clip])
        rows = clips.rows[int(clips.start[clip]) :][: present * frames].unflatten(0, (present, frames))
        crop = rows[:, begin : begin + length].flatten(2).transpose(1, 2)
        resized = F.interpolate(crop, settings.frames, mode="linear").unflatten(1, clips.rows.shape[1:])
        view[..., :present] = torch.einsum("vdc,mvct->tvdm", matrix, resized)
    return views


def reference_implementations(
    checkout: Path, arrays: list[np.ndarray], size: int, folder: Path
) -> dict[str, Callable[[], object]]:
    """The reference feeder's items of the next batch, as they come and put together as its loader does."""
    sys.path.insert(0, str(checkout))
    from feeder.feeder_pretraining_inter import Feeder  # type: ignore[import-not-found]

    padded = np.lib.format.open_memmap(
        folder / "data.npy", "w+", np.float32, (len(arrays), CHANNELS, LONGEST, JOINTS, PERSONS)
    )
    for clip, array in zip(padded, arrays, strict=True):
        clip[:, : array.shape[1], :, : len(array)] = array.transpose(3, 1, 2, 0)
    padded.flush()
    np.save(folder / "frames.npy", [array.shape[1] for array in arrays])
    with contextlib.redirect_stdout(io.StringIO()):
        feeder = Feeder(
            str(folder / "data.npy"), str(folder / "frames.npy"), [0.1, 1.0], 64, "seq-based_and_graph-based"
        )

    def items(coming: Iterator[Tensor]) -> list[Any]:
        return [feeder[index] for index in next(coming).tolist()]

    alone, together = batches(len(arrays), size), batches(len(arrays), size)
    return {
        "reference feeder": lambda: items(alone),
        "reference feeder, as a batch": lambda: torch.utils.data.default_collate(items(together)),
    }


if __name__ == "__main__":
    main()
