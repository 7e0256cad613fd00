"""Time the extraction of features against PyTorch's own GRUs, interleaved in one process.

    python benchmarks/extraction.py --threads 1

The encoders have the published sizes (`--hidden_size` for smaller ones), one a stream; the clips are NTU-shaped. Prints
clips per second, by all three streams (median and range), how many times as long the plainer implementation takes, and
the fraction of the machine's product rate.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable

import torch
from timing import machine, product_rates, ratios, spread, time_interleaved
from torch import Tensor, nn
from views import CHANNELS, JOINTS, PERSONS, ntu_shaped

from i2md.data.packed import PackedClips, pack_arrays
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import GRUSettings
from i2md.evaluation.features import Encoders, Features, clip_features
from i2md.runtime.device import choose_device, fast_cpu_matmul
from i2md.skeletons import get_layout
from i2md.views.streams import stream
from i2md.views.view import evaluation_view

LAYOUT = get_layout("kinect-v2")
STREAMS = ("joint", "motion", "bone")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--hidden_size", type=int, default=1024)
    parser.add_argument("--num_layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--product", type=int, default=2048, help="side of the product that the rate is measured by")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)

    torch.manual_seed(0)
    features = JOINTS * CHANNELS * PERSONS
    settings = GRUSettings(hidden_size=args.hidden_size, num_layers=args.num_layers)
    encoders: Encoders = {name: GRUEncoder(LAYOUT, PERSONS, settings).to(device) for name in STREAMS}
    clips = pack_arrays(ntu_shaped(args.clips), device)
    spent = time_interleaved(implementations(encoders, clips, args.frames, args.batch_size), args.rounds)

    rates = product_rates(device=device, shape=(args.product, args.product, args.product))
    best = max(rate for name, rate in rates.items() if name.startswith("float32"))
    work = operations(features, args.hidden_size, args.num_layers) * args.frames * args.clips * len(STREAMS)
    results = {
        "machine": machine(device),
        "clips a second": {name: spread(args.clips / s for s in values) for name, values in spent.items()},
        "ours is so many times as fast": ratios(spent),
        "product rates, GFLOP/s": rates,
        "fraction of the float32 rate": {n: spread(work / s / best / 1e9 for s in v) for n, v in spent.items()},
    }
    print(json.dumps(results, indent=1))


def operations(features: int, hidden_size: int, num_layers: int) -> int:
    """Floating-point operations of one encoder's products for one frame: two GRUs a layer, three gates each."""
    below = [features] + [2 * hidden_size] * (num_layers - 1)
    return sum(2 * 2 * 3 * hidden_size * (size + hidden_size) for size in below)


def implementations(
    encoders: Encoders, clips: PackedClips, frames: int, batch_size: int
) -> dict[str, Callable[[], Features]]:
    """All features by this program, as `i2md evaluate` takes them, and by PyTorch's GRUs."""
    plain = {name: PlainEncoder(encoder).eval() for name, encoder in encoders.items()}

    def ours() -> Features:
        with fast_cpu_matmul():
            return clip_features(encoders, LAYOUT, clips, frames, PERSONS, batch_size)

    return {"ours": ours, "PyTorch's GRUs": lambda: plain_features(plain, clips, frames, batch_size)}


@torch.no_grad()
def plain_features(encoders: dict[str, PlainEncoder], clips: PackedClips, frames: int, batch_size: int) -> Features:
    """What `clip_features` computes, an encoder after another."""
    parts: dict[str, list[Tensor]] = {name: [] for name in encoders}
    for indices in torch.arange(len(clips), device=clips.rows.device).split(batch_size):
        x = evaluation_view(clips, indices, frames, PERSONS)
        for name, encoder in encoders.items():
            parts[name].append(encoder(stream(x, name, LAYOUT)))
    return {name: torch.cat(values) for name, values in parts.items()}


class PlainEncoder(nn.Module):
    """The recurrent encoder by PyTorch's GRUs, with the weights of ours."""

    def __init__(self, ours: GRUEncoder) -> None:
        super().__init__()
        self.norm = copy.deepcopy(ours.input_norm)
        self.layers = nn.ModuleList(nn.ModuleList(gru(pair, number) for number in range(2)) for pair in ours.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Of (batch, frames, joints, channels, persons), (batch, width)."""
        hidden = self.norm(x.flatten(2).transpose(1, 2)).transpose(1, 2)
        for grus in self.layers:
            hidden = torch.cat([one(hidden)[0] for one in grus], dim=2)
        return hidden[:, -1]


def gru(pair: nn.Module, number: int) -> nn.GRU:
    """One of a pair of GRUs, as PyTorch's."""
    weights = pair.state_dict()
    rows = 3 * pair.hidden_size
    plain = nn.GRU(weights["weight_ih"].shape[1], pair.hidden_size, batch_first=True)
    own = {name: weights[name][rows * number : rows * (number + 1)] for name in ("weight_ih", "bias_ih")}
    own |= {name: weights[name][number] for name in ("weight_hh", "bias_hh")}
    plain.load_state_dict({f"{name}_l0": value for name, value in own.items()})
    return plain.to(weights["weight_ih"].device)


if __name__ == "__main__":
    main()
