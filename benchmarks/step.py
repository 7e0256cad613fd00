r"""Time a pretraining step against plainer implementations and the reference implementation's, interleaved.

    python benchmarks/step.py --hidden_size 1024 --reference CHECKOUT
    python benchmarks/step.py --hidden_size 128 --layout kinect-v1 --persons 1 --batch_size 32 --frames 32 \
        --queue_size 256

All get the same views of random numbers, and the reference implementation starts from our weights: the losses of its
first step are printed next to ours. Prints milliseconds a step (median and range), how many times as long others take
as ours of each precision, the fraction of the machine's product rate, and the times of views and objectives within a
step.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from extraction import operations
from published import published_model, published_step
from timing import machine, product_rates, ratios, spread, time_interleaved
from torch import Tensor
from views import LAYOUT, ntu_shaped

from i2md.data.packed import pack_arrays
from i2md.encoders.gru.encoder import GRUEncoder, GRUPair
from i2md.encoders.settings import EncoderSettings
from i2md.objectives.settings import ObjectiveSettings
from i2md.pretraining.model import I2MD
from i2md.pretraining.optimizer import build_optimizer
from i2md.pretraining.reference_checkpoint import rename_reference_state
from i2md.pretraining.settings import PretrainSettings
from i2md.pretraining.step import train_step
from i2md.runtime.device import choose_device, fast_cpu_matmul, keep_freed_memory, tf32_matmul
from i2md.skeletons import get_layout
from i2md.views.view import draw_view

Implementations = dict[str, Callable[[], object]]


def main() -> None:
    """Parse, measure, print."""
    args = parse()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    device = choose_device(args.device)
    torch.manual_seed(0)
    layout = get_layout(args.layout)
    shape = (args.batch_size, args.frames, len(layout.joints), layout.channels, args.persons)
    views = (torch.randn(shape, device=device), torch.randn(shape, device=device))
    models = {precision: fresh(args, precision).to(device) for precision in args.precisions}
    results: dict[str, Any] = {"machine": machine(device)}
    implementations = {f"ours, {precision}": ours(model, views) for precision, model in models.items()}
    if args.plain:
        implementations["PyTorch's GRUs and products, fp32"] = plain(fresh(args, "fp32").to(device), views)
    if args.reference:
        implementations["reference implementation"], results["losses of the first step"] = published(
            args, models, views
        )
    spent = time_interleaved(implementations, args.rounds)
    results["milliseconds a step"] = {name: spread(1e3 * s for s in values) for name, values in spent.items()}
    for precision in models:
        name = f"ours, {precision}"
        others = {other: values for other, values in spent.items() if not other.startswith("ours") or other == name}
        results[f"times as long as {name}"] = ratios(others, name)
    results["products, GFLOP a second"] = product_rates(
        device=device, shape=(2 * args.product, args.product, args.product)
    )
    results["fraction of the product rate"] = fractions(args, results)
    results |= {"milliseconds within a step": parts(args, next(iter(models.values())), device)}
    print(json.dumps(results, indent=1))


def parse() -> argparse.Namespace:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden_size", type=int, default=1024)
    parser.add_argument("--num_layers", type=int, default=3)
    parser.add_argument("--layout", default="kinect-v2")
    parser.add_argument("--persons", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--queue_size", type=int, default=16384)
    parser.add_argument("--method", default="cmd")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--reference", type=Path, help="a copy of the reference implementation that runs here")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--product", type=int, default=2048, help="side of the product that the rate is measured by")
    return parser.parse_args()


def fresh(args: argparse.Namespace, precision: str) -> I2MD:
    """A model whose distillation has begun."""
    settings = PretrainSettings(
        method=args.method,
        precision=precision,
        batch_size=args.batch_size,
        encoder=EncoderSettings(hidden_size=args.hidden_size, num_layers=args.num_layers),
        objectives=ObjectiveSettings(queue_size=args.queue_size, num_neighbours=args.queue_size // 2, warmup_steps=0),
    )
    return I2MD(settings, get_layout(args.layout), args.persons)


def ours(model: I2MD, views: Sequence[Tensor]) -> Callable[[], dict[str, Tensor]]:
    """Our step, as the training loop takes it, without CUDA graphs."""
    optimizer = build_optimizer(model.query.parameters(), model.settings.optimizer)
    clips = torch.arange(len(views[0]), device=views[0].device)

    def step() -> dict[str, Tensor]:
        with fast_cpu_matmul(), tf32_matmul(model.settings.precision == "tf32"):
            return train_step(model, optimizer, *views, clips)

    return step


def plain(model: I2MD, views: Sequence[Tensor]) -> Callable[[], dict[str, Tensor]]:
    """The same by PyTorch's GRUs, one after another, with the products that PyTorch chooses."""
    optimizer = build_optimizer(model.query.parameters(), model.settings.optimizer)
    clips = torch.arange(len(views[0]), device=views[0].device)

    def step() -> dict[str, Tensor]:
        with pytorch_grus():
            return train_step(model, optimizer, *views, clips)

    return step


def published(
    args: argparse.Namespace, models: dict[str, I2MD], views: Sequence[Tensor]
) -> tuple[Callable[[], object], dict[str, Any]]:
    """The reference implementation's step with our first model's weights, and the losses of both at the first step."""
    model = next(iter(models.values()))
    theirs = published_model(args.reference, model)
    state = rename_reference_state(theirs.state_dict())
    for own in models.values():
        own.load_state_dict(state)
    step = published_step(theirs, *views)
    mine = ours(model, views)()
    results = {name: float(loss) for name, loss in mine.items() if "/" in name and not name.startswith("cmd")}
    results["cmd"] = float(sum(loss for name, loss in mine.items() if name.startswith("cmd")))
    return step, {"ours": results, "published": {name: float(loss) for name, loss in step().items()}}


@contextmanager
def pytorch_grus() -> Iterator[None]:
    """Inside, each encoder's GRUs are PyTorch's, one after another."""
    with patch.object(GRUEncoder, "forward_parallel", classmethod(forward_by_pytorch)):
        yield


def forward_by_pytorch(cls: type, encoders: Sequence[GRUEncoder], clips: Sequence[Tensor]) -> list[Tensor]:
    """What `GRUEncoder.forward_parallel` computes."""
    features = []
    for encoder, x in zip(encoders, clips, strict=True):
        hidden = encoder.input_norm(x.flatten(2).transpose(1, 2)).permute(2, 0, 1)
        for pair in encoder.layers:
            hidden = torch.cat([gru(pair, direction, hidden) for direction in range(2)], dim=2)
        features.append(hidden[-1])
    return features


def gru(pair: GRUPair, direction: int, x: Tensor) -> Tensor:
    """Hidden states of one of the pair's GRUs, by PyTorch."""
    rows = slice(3 * pair.hidden_size * direction, 3 * pair.hidden_size * (direction + 1))
    weights = [pair.weight_ih[rows], pair.weight_hh[direction], pair.bias_ih[rows], pair.bias_hh[direction]]
    start = x.new_zeros(1, x.shape[1], pair.hidden_size)
    return torch.gru(x, start, weights, True, 1, 0.0, True, False, False)[0]


def fractions(args: argparse.Namespace, results: dict[str, Any]) -> dict[str, float]:
    """The rate of a step's encoder products (forward twice, backward twice as much) as a fraction of the machine's."""
    layout = get_layout(args.layout)
    forward = operations(len(layout.joints) * layout.channels * args.persons, args.hidden_size, args.num_layers)
    work = 4 * 3 * forward * args.frames * args.batch_size
    rates = results["products, GFLOP a second"]
    best = {"fp32": max(rates["float32"], rates["float32, oneDNN"]), "bf16": rates["bfloat16"]}
    return {
        name: round(work / (1e6 * times["median"]) / best["bf16" if name.endswith("bf16") else "fp32"], 3)
        for name, times in results["milliseconds a step"].items()
    }


def parts(args: argparse.Namespace, model: I2MD, device: torch.device) -> dict[str, dict[str, float]]:
    """What the views of a batch of NTU-shaped clips, and the objectives with their gradients, take of a step."""
    clips = pack_arrays(ntu_shaped(args.batch_size), device)
    indices, draws = torch.arange(args.batch_size, device=device), torch.Generator(device)
    streams = len(model.settings.streams)
    embeddings = F.normalize(
        torch.randn(streams, 4, args.batch_size, model.settings.objectives.embedding_dim, device=device), dim=3
    )

    def make_views() -> None:
        for _ in ("query", "key"):
            draw_view(clips, indices, model.settings.views, LAYOUT, 2, draws)

    def objectives() -> None:
        query = embeddings[:, :2].clone().requires_grad_()
        with fast_cpu_matmul():
            losses, _ = model.compare([tuple(x) for x in query], [tuple(x) for x in embeddings[:, 2:]], indices)
            torch.stack(list(losses.values())).sum().backward()

    spent = time_interleaved({"views": make_views, "objectives": objectives}, 3 * args.rounds)
    return {name: spread(1e3 * s for s in values) for name, values in spent.items()}


if __name__ == "__main__":
    main()
