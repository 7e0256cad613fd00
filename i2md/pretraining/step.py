"""One training step in the published order, and its replay from a CUDA graph.

A CUDA graph launches the losses, gradients and keys of a step once in place of thousands of times. What it records must
not depend on values that the host reads, and it reads and writes the same memory at every replay. The momentum update,
the optimizer and the queues stay outside, so the learning rate may change.
Source: PyTorch's notes "CUDA semantics", section "CUDA Graphs".
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from tqdm import tqdm

from i2md.distributed import collectives
from i2md.pretraining.models import Model

# Losses of a batch by name, and by stream the keys of both levels.
LossesAndKeys = tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]
# From what the model's forward takes; gradients are left with the query's parameters.
ComputeGradients = Callable[..., LossesAndKeys]

# Steps before a capture: libraries choose and compile their kernels in the first ones.
WARM_UP = 3

Result = TypeVar("Result")


def train_step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    query_view: Tensor,
    key_view: Tensor,
    clips: Tensor,
    compute: ComputeGradients | None = None,
    crops: Tensor | None = None,
) -> dict[str, Tensor]:
    """Update the key branches, compute losses and gradients, update the weights, and then the queues.

    Nothing here makes the host wait for a GPU.

    Args:
        model: The model; `model.steps` has to be up to date.
        optimizer: Of the query branches' parameters.
        query_view: (batch, frames, joints, channels, persons), this process's rows of the batch.
        key_view: The other view of the same clips; of method masked, the frames of the first one that are hidden.
        clips: (batch,) indices of the clips in the data set.
        compute: Replaces `compute_gradients`, as a `CapturedStep` does.
        crops: Further short views, one of all clips after another.

    Returns:
        The weighted losses by name, means over this process's rows.

    Source: golden/cmd_step.npz.
    """
    model.train()
    model.update_keys()
    batch = (query_view, key_view, clips, *(() if crops is None else (crops,)))
    losses, keys = (compute or partial(compute_gradients, model))(*batch)
    collectives.all_reduce_mean(weight.grad for weight in model.query.parameters() if weight.grad is not None)
    optimizer.step()
    gathered = {name: (collectives.all_gather_rows(k), collectives.all_gather_rows(v)) for name, (k, v) in keys.items()}
    model.enqueue(gathered, collectives.all_gather_rows(clips))
    return losses


def compute_gradients(model: Model, *batch: Tensor) -> LossesAndKeys:
    """Losses and keys of a batch; gradients are left with the query's parameters.

    Args:
        model: The model.
        batch: What its forward takes: two views, (batch, frames, joints, channels, persons), and the clips' indices.

    Returns:
        The weighted losses by name, and by stream the keys of the instance and the cluster level, (batch, width) each.
    """
    # None, not zero: heads without a loss yet must not decay, and a capture's gradients stay in its memory.
    model.zero_grad(set_to_none=True)
    losses, keys = model(*batch)
    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}, keys


@runtime_checkable
class Recorder(Protocol):
    """Runs work in the way in which it will be recorded, and records it."""

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work now."""
        ...

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """Record the work without doing it: its result, still to be filled, and the function that fills it."""
        ...


class GraphRecorder:
    """Records work on a GPU in CUDA graphs, and runs it on the stream on which it is recorded."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work now, after all that was launched before and before all that is launched later."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = work()
        current.wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """Record the work: its result, in the graph's memory, and the graph's replay."""
        graph = torch.cuda.CUDAGraph()
        # The outer context returns to the stream before even where a capture failed and does not.
        with torch.cuda.stream(self.stream), torch.cuda.graph(graph, stream=self.stream):
            result = work()
        return result, graph.replay


class CapturedStep:
    """`compute_gradients` of one model, captured after some steps and replayed from then on.

    It is captured again when the losses change, as they do when distillation begins, or the batch's shape does.
    `model.steps` has to be up to date at each call. A step that cannot be captured runs without a graph.
    """

    def __init__(self, model: Model, recorder: Recorder) -> None:
        self.model, self.recorder = model, recorder
        self.kind: tuple[object, ...] = ()
        self.taken = 0
        self.recording: _Recording | None = None
        self.impossible = False

    def __call__(self, *batch: Tensor) -> LossesAndKeys:
        """As `compute_gradients`; gradients and keys are valid until the next call."""
        kind = (self.model.queues_ready, *(x.shape for x in batch))
        if kind != self.kind:
            self.kind, self.taken, self.recording = kind, 0, None
        self.taken += 1
        if self.recording is None and self.taken > WARM_UP and not self.impossible:
            self._record(batch)
        if self.recording is not None:
            return self.recording(batch)
        return self.recorder.run(lambda: compute_gradients(self.model, *batch))

    def _record(self, batch: tuple[Tensor, ...]) -> None:
        try:
            self.recording = _Recording(self.model, self.recorder, batch)
        except RuntimeError as error:
            self.impossible = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            tqdm.write(f"i2md: the step runs without CUDA graphs, slower: {reason}", file=sys.stderr)


class _Recording:
    """A captured step, with the memory that it reads and writes."""

    def __init__(self, model: Model, recorder: Recorder, batch: tuple[Tensor, ...]) -> None:
        self.batch = tuple(x.clone() for x in batch)
        (self.names, self.losses, self.keys), self.replay = recorder.record(lambda: self._compute(model))

    def _compute(self, model: Model) -> tuple[list[str], Tensor, dict[str, tuple[Tensor, Tensor]]]:
        losses, keys = compute_gradients(model, *self.batch)
        return list(losses), torch.stack(list(losses.values())), keys

    def __call__(self, batch: tuple[Tensor, ...]) -> LossesAndKeys:
        for mine, given in zip(self.batch, batch, strict=True):
            mine.copy_(given)
        self.replay()
        # A copy: the next replay writes over these.
        return dict(zip(self.names, self.losses.clone().unbind(), strict=True)), self.keys
