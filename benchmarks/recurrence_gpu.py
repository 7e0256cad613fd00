"""Time one layer's recurrence on a GPU, forward and backward, by all implementations, interleaved in one process.

    python benchmarks/recurrence_gpu.py --precision bf16

Six GRUs of hidden size 1,024 over 64 frames of 64 clips by default: a layer of the published encoder for three
streams. Prints milliseconds (median and range), and the relative error of each implementation's gradients against
those of cuDNN in float32.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable

import torch
from torch import Tensor

# From (x, input weight, its bias, recurrent weight, its bias) to hidden states (frames, GRUs, hidden_size, batch).
Implementation = Callable[..., Tensor]


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {
        "grus": 6,
        "hidden_size": 1024,
        "channels": 2048,
        "batch_size": 64,
        "frames": 64,
        "rounds": 9,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="bf16")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("recurrence_gpu: no GPU; it compares what runs on one", file=sys.stderr)
        return 2

    from i2md.runtime.device import tf32_matmul

    tensors = random_tensors(args.frames, args.grus, args.channels, args.hidden_size, args.batch_size, "cuda")
    with tf32_matmul(False):
        exact = step(cudnn, *tensors)
    results = {"GPU": torch.cuda.get_device_name(), **vars(args)}
    with tf32_matmul(args.precision == "tf32"):
        works = prepared(implementations(args.precision), tensors)
        spent: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(args.rounds):
            for name, work in works.items():
                spent[name].append(timed(work))
        for name, work in works.items():
            relative_error = max(float((a - b).norm() / b.norm()) for a, b in zip(work(), exact, strict=True))
            results[name] = {**spread(spent[name]), "relative_error": f"{relative_error:.1e}"}
    print(json.dumps(results, indent=1))
    return 0


def random_tensors(
    frames: int, grus: int, channels: int, hidden_size: int, batch_size: int, device: str
) -> list[Tensor]:
    """Inputs, weights and biases, and a gradient of the hidden states."""
    draws = torch.Generator().manual_seed(0)
    shapes = [(frames, grus, channels, batch_size), (grus, 3 * hidden_size, channels), (grus, 3 * hidden_size)]
    shapes += [(grus, 3 * hidden_size, hidden_size), (grus, 3 * hidden_size), (frames, grus, hidden_size, batch_size)]
    scales = [1.0, channels**-0.5, hidden_size**-0.5, hidden_size**-0.5, hidden_size**-0.5, 1.0]
    return [(torch.randn(s, generator=draws) * by).to(device) for s, by in zip(shapes, scales, strict=True)]


def implementations(precision: str) -> dict[str, Implementation]:
    """The implementations by name, with matrix products in a precision."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32

    def under(function: Implementation) -> Implementation:
        def run(x: Tensor, *rest: Tensor) -> Tensor:
            with torch.autocast(x.device.type, kind, enabled=precision == "bf16", cache_enabled=False):
                return function(x, *rest)

        return run

    return {
        "cuDNN": under(cudnn),
        "frame by frame": under(lambda *tensors: by_frames(frame, *tensors)),
        "frame by frame, compiled": under(lambda *tensors: by_frames(compiled_frame(), *tensors)),
        "Triton": under(lambda *tensors: by_kernels(kind, "tf32" if precision == "tf32" else "ieee", *tensors)),
    }


def cudnn(x: Tensor, w_i: Tensor, b_i: Tensor, w_h: Tensor, b_h: Tensor) -> Tensor:
    """PyTorch's GRUs, cuDNN's on a GPU, one after another."""
    hidden = []
    for g in range(x.shape[1]):
        start = x.new_zeros(1, x.shape[3], w_h.shape[2])
        sequence = x[:, g].transpose(1, 2)
        weights = [w_i[g], w_h[g], b_i[g], b_h[g]]
        hidden.append(torch.gru(sequence, start, weights, True, 1, 0.0, True, False, False)[0].transpose(1, 2))
    return torch.stack(hidden, dim=1)


def by_frames(cell: Implementation, x: Tensor, w_i: Tensor, b_i: Tensor, w_h: Tensor, b_h: Tensor) -> Tensor:
    """All GRUs side by side, a few launches a frame."""
    inputs = torch.matmul(w_i, x) + b_i[:, :, None]
    state = x.new_zeros(x.shape[1], w_h.shape[2], x.shape[3])
    hidden = []
    for given in inputs.unbind():
        state = cell(given, state, w_h, b_h)
        hidden.append(state)
    return torch.stack(hidden)


def frame(given: Tensor, state: Tensor, w_h: Tensor, b_h: Tensor) -> Tensor:
    """The state after a frame."""
    i_r, i_z, i_n = given.float().chunk(3, dim=1)
    h_r, h_z, h_n = (torch.bmm(w_h, state).float() + b_h[:, :, None]).chunk(3, dim=1)
    update, new = torch.sigmoid(i_z + h_z), torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
    return new + update * (state - new)


@functools.cache
def compiled_frame() -> Implementation:
    """`frame` compiled by torch.compile."""
    return torch.compile(frame, dynamic=False)


def by_kernels(
    products: torch.dtype, precision: str, x: Tensor, w_i: Tensor, b_i: Tensor, w_h: Tensor, b_h: Tensor
) -> Tensor:
    """A kernel a frame."""
    from i2md.encoders.gru.triton_layer import recur

    return recur(torch.matmul(w_i, x) + b_i[:, :, None], w_h, b_h, products, precision)[0]


def step(function: Implementation, *tensors: Tensor) -> list[Tensor]:
    """Gradients of inputs, weights and biases by an implementation."""
    leaves = [x.detach().requires_grad_() for x in tensors[:-1]]
    hidden = function(*leaves)
    return list(torch.autograd.grad(hidden, leaves, tensors[-1].to(hidden.dtype)))


def prepared(by_name: dict[str, Implementation], tensors: list[Tensor]) -> dict[str, Callable[[], list[Tensor]]]:
    """Each implementation after a warm-up, as it is and captured in a CUDA graph."""
    works: dict[str, Callable[[], list[Tensor]]] = {}
    for name, function in by_name.items():
        works[name] = lambda function=function: step(function, *tensors)  # type: ignore[misc]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                works[name]()
        torch.cuda.current_stream().wait_stream(side)
        works[f"{name}, in a graph"] = captured(works[name])
    return works


def captured(work: Callable[[], list[Tensor]]) -> Callable[[], list[Tensor]]:
    """The work as a graph's replay."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> list[Tensor]:
        graph.replay()
        return result

    return replay


def timed(work: Callable[[], object]) -> float:
    """Milliseconds on the GPU."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    began.record()
    work()
    ended.record()
    torch.cuda.synchronize()
    return began.elapsed_time(ended)


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": round(statistics.median(values), 3), "from": round(min(values), 3), "to": round(max(values), 3)}


if __name__ == "__main__":
    sys.exit(main())
