"""Time the pretraining step of a recipe beside plainer ways to take it, by turns in one process.

    python benchmarks/step.py CLIPS --recipe utd-mhad --split xsub

Prints milliseconds a step (median and range) and how many times as fast ours is: beside the same with PyTorch's own
choice of products, and beside PyTorch's GRUs, one after another, with those products.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from i2md.clips.packed import pack
from i2md.clips.store import open_clips
from i2md.encoders.recurrent import GRUPair, RecurrentEncoder
from i2md.pretraining.device import choose_device, quick_products
from i2md.pretraining.loop import Training
from i2md.pretraining.model import I2MD
from i2md.recipes import load_recipe


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--recipe", default="utd-mhad")
    parser.add_argument("--split")
    parser.add_argument("--method", default="i2md")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    step = steps(args)
    ways = {"ours": quick_products, "PyTorch's products": nullcontext, "PyTorch's products and GRUs": plainly}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(args.rounds + 1):
        for name, way in ways.items():
            with way():
                milliseconds = timed(step)
            # The first turn warms up.
            if turn:
                spent[name].append(milliseconds)
    told = {name: spread(values) for name, values in spent.items()}
    for name in list(ways)[1:]:
        ratios = [theirs / ours for ours, theirs in zip(spent["ours"], spent[name], strict=True)]
        told[f"times as fast as {name}"] = spread(ratios)
    print(json.dumps(told, indent=1))


def steps(args: argparse.Namespace) -> Callable[[], object]:
    """A function that takes the next step of a run whose banks are full."""
    device = choose_device(args.device)
    clips = open_clips(args.clips)
    clips = clips.part(args.split, "train") if args.split else clips
    settings = load_recipe(args.recipe, method=args.method)
    model = I2MD(settings, clips.dataset.layout, clips.max_people).to(device)
    training = Training(model, pack(clips, device), Path(tempfile.gettempdir()), device)
    batches = cycle([batch.to(device) for batch in torch.arange(len(clips)).split(settings.batch)[:-1]])
    for _ in range(settings.objectives.bank // settings.batch):
        training._step(next(batches))

    def step() -> None:
        training._step(next(batches))
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


@contextmanager
def plainly() -> Iterator[None]:
    """Inside, each encoder's GRUs are PyTorch's, one after another."""
    with patch.object(RecurrentEncoder, "together", classmethod(one_by_one)):
        yield


def one_by_one(cls: type, encoders: Sequence[RecurrentEncoder], sequences: Sequence[Tensor]) -> list[Tensor]:
    """What `RecurrentEncoder.together` computes."""
    features = []
    for encoder, x in zip(encoders, sequences, strict=True):
        hidden = encoder.input_norm(x.transpose(1, 2)).permute(2, 0, 1)
        for pair in encoder.layers:
            hidden = torch.cat([gru(pair, direction, hidden) for direction in range(2)], dim=2)
        features.append(hidden[-1])
    return features


def gru(pair: GRUPair, direction: int, x: Tensor) -> Tensor:
    """Hidden states of one of the pair's GRUs, by PyTorch."""
    rows = slice(3 * pair.units * direction, 3 * pair.units * (direction + 1))
    weights = [pair.weight_ih[rows], pair.weight_hh[direction], pair.bias_ih[rows], pair.bias_hh[direction]]
    start = x.new_zeros(1, x.shape[1], pair.units)
    return torch.gru(x, start, weights, True, 1, 0.0, True, False, False)[0]


def timed(step: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - began)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": round(statistics.median(values), 3), "from": round(min(values), 3), "to": round(max(values), 3)}


if __name__ == "__main__":
    main()
