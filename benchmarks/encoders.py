r"""Time a pretraining step with each built-in encoder, alternately in one process, and count parameters.

    python benchmarks/encoders.py --threads 1
    python benchmarks/encoders.py --encoders '{"gru": {}, "tcn": {"hidden_size": 256, "num_blocks": 9}}'

All get the same views of random numbers. Prints parameters of an encoder, width of its features, milliseconds a step
(median and range) and how many times as long each takes as the first. On a CPU it is processor time, in which other
processes count only as far as they share caches and memory.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from step import ours
from timing import machine, ratios, spread, time_interleaved

from i2md.encoders.settings import EncoderSettings
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
    spent = time_interleaved(steps, args.rounds, clock)
    encoders = {name: next(iter(model.query.values())).encoder for name, model in models.items()}
    results = {
        "machine": machine(device),
        "parameters": {name: sum(p.numel() for p in encoder.parameters()) for name, encoder in encoders.items()},
        "width": {name: encoder.width for name, encoder in encoders.items()},
        "milliseconds a step": {name: spread(1e3 * s for s in values) for name, values in spent.items()},
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


if __name__ == "__main__":
    main()
