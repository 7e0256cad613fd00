r"""Time a pretraining step with each built-in encoder and plain formulations, alternately, and count parameters.

    python benchmarks/encoders.py --threads 1
    python benchmarks/encoders.py --encoders '{"gru": {}, "tcn": {"hidden_size": 256, "num_blocks": 9}}'

All get the same views of random numbers. Prints parameters of an encoder, width of its features, milliseconds a step
(median and range), how many times as long each takes as the first, and how many times as long a plain formulation
takes as ours: PyTorch's GRUs one after another, attention by its equation, graph convolutions in the published order
(linear layers before neighbours). The tcn is PyTorch's convolutions as they are. On a CPU it is processor time, in
which other processes count only as far as they share caches and memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from step import forward_by_pytorch, ours
from timing import machine, ratios, spread, time_interleaved
from torch import Tensor

from i2md.encoders.graph import SETS, GraphConvolution
from i2md.encoders.gru.encoder import GRUEncoder
from i2md.encoders.settings import EncoderSettings
from i2md.encoders.two_tower import TransformerLayer
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.model import I2MD
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.device import choose_device, keep_freed_memory
from i2md.skeletons import get_layout

# What docs/pretrain.md compares: sizes for small data sets.
SMALL: dict[str, dict[str, Any]] = {
    "gru": {"hidden_size": 128, "num_layers": 3},
    "tcn": {},
    "two-tower": {},
    "graph": {},
}


def main() -> None:
    """Parse, measure, print."""
    args = parse()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    device = choose_device(args.device)
    torch.manual_seed(0)
    layout = get_layout(args.layout)
    # The batch last in memory, as that of views is.
    shape = (args.frames, len(layout.joints), layout.channels, args.persons, args.batch_size)
    views = [torch.randn(shape, device=device).permute(4, 0, 1, 2, 3) for _ in range(2)]
    models = {name: fresh(args, name, own).to(device) for name, own in args.encoders.items()}
    steps = {name: ours(model, views) for name, model in models.items()}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    plain = {name: partial(plainly, PLAIN[name], step) for name, step in steps.items() if name in PLAIN and args.plain}
    both = time_interleaved(steps | {f"{name}, plain": step for name, step in plain.items()}, args.rounds, clock)
    spent = {name: both[name] for name in steps}
    encoders = {name: next(iter(model.query.values())).encoder for name, model in models.items()}
    results = {
        "machine": machine(device),
        "parameters": {name: sum(p.numel() for p in encoder.parameters()) for name, encoder in encoders.items()},
        "width": {name: encoder.width for name, encoder in encoders.items()},
        "milliseconds a step": {name: spread(1e3 * s for s in values) for name, values in both.items()},
        "times as long as ours": {
            name: ratios({"ours": both[name], "plain": both[f"{name}, plain"]})["plain"] for name in plain
        },
        f"times as long as {next(iter(spent))}": ratios(spent, next(iter(spent))),
    }
    print(json.dumps(results, indent=1))


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", type=json.loads, default=SMALL, help="settings by encoder, as JSON")
    parser.add_argument("--layout", default="kinect-v1")
    parser.add_argument("--persons", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--queue_size", type=int, default=256)
    parser.add_argument("--method", default="cmd")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def fresh(args: argparse.Namespace, name: str, own: dict[str, Any]) -> I2MD:
    """A model with an encoder of these settings, whose distillation has begun."""
    encoder = EncoderSettings(**own) if name == "gru" else EncoderSettings(name=name, options=own)
    settings = PretrainSettings(
        method=args.method,
        precision=args.precision,
        batch_size=args.batch_size,
        encoder=encoder,
        objectives=ObjectiveSettings(queue_size=args.queue_size, num_neighbours=args.queue_size // 2, warmup_steps=0),
    )
    return I2MD(settings, get_layout(args.layout), args.persons)


def attention_by_its_equation(layer: TransformerLayer, projected: Tensor) -> Tensor:
    """What `TransformerLayer._attend` computes."""
    query, key, value = projected.unflatten(2, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
    scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
    return (torch.softmax(scores, dim=3) @ value).transpose(1, 2).flatten(2)


def linear_layers_first(layer: GraphConvolution, x: Tensor) -> Tensor:
    """What `GraphConvolution.forward` computes, in the order of ST-GCN."""
    weight = layer.pointwise.weight.unflatten(1, (SETS, -1)).transpose(0, 1).flatten(0, 1)
    of_sets = F.conv2d(x, weight).unflatten(1, (SETS, -1))
    mixed = torch.einsum("nkctv,kvw->nctw", of_sets, layer.adjacency * layer.importance)
    return mixed + layer.pointwise.bias[:, None, None]


# By encoder, what is replaced by what.
PLAIN: dict[str, tuple[type, str, Any]] = {
    "gru": (GRUEncoder, "forward_parallel", classmethod(forward_by_pytorch)),
    "two-tower": (TransformerLayer, "_attend", attention_by_its_equation),
    "graph": (GraphConvolution, "forward", linear_layers_first),
}


def plainly(replaced: tuple[type, str, Any], function: Callable[[], object]) -> object:
    """What a function returns with a plain formulation in place of ours."""
    with patch.object(*replaced):
        return function()


if __name__ == "__main__":
    main()
