"""Losses, gradients and keys of a training step replayed from a CUDA graph: one launch in place of thousands.

What a capture records must not depend on what the host reads, and reads and writes the same memory at every replay.
The momentum update, the optimizer and the queues stay outside, so the learning rate may change.
Source: PyTorch's notes "CUDA semantics", section "CUDA Graphs".
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from tqdm import tqdm

from i2md.pretraining.model import I2MD
from i2md.pretraining.step import Learnt, learn

# Libraries choose and compile their kernels in the first steps, which a capture may not.
WARM_UP = 3

Result = TypeVar("Result")


@runtime_checkable
class Recorder(Protocol):
    """What runs work as it will be recorded, and records it."""

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work now."""
        ...

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """The work's result, to be filled, and a function that fills it anew; nothing is done yet."""
        ...


class GraphRecorder:
    """Records work on a GPU in CUDA graphs, and runs it on the stream on which it is recorded."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work now, after all that was asked for before and before all that is asked for later."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = work()
        current.wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Result]) -> tuple[Result, Callable[[], None]]:
        """The work's result, in memory of the graph, and the graph's replay."""
        graph = torch.cuda.CUDAGraph()
        # The outer context goes back to the stream before even where a capture that failed does not.
        with torch.cuda.stream(self.stream), torch.cuda.graph(graph, stream=self.stream):
            result = work()
        return result, graph.replay


class CapturedStep:
    """`learn` for one model, captured after some steps and replayed from then on.

    It is captured anew when the losses change, as they do when distillation begins, or the batch's shape does.
    `model.steps` has to be up to date at each call. A step that cannot be captured goes on uncaptured.
    """

    def __init__(self, model: I2MD, recorder: Recorder) -> None:
        self.model, self.recorder = model, recorder
        self.kind: tuple[object, ...] = ()
        self.taken = 0
        self.recording: _Recording | None = None
        self.impossible = False

    def __call__(self, query_view: Tensor, key_view: Tensor, clips: Tensor) -> Learnt:
        """As `learn`; gradients and keys are good until the next call."""
        batch = (query_view, key_view, clips)
        kind = (self.model.queues_ready, *(x.shape for x in batch))
        if kind != self.kind:
            self.kind, self.taken, self.recording = kind, 0, None
        self.taken += 1
        if self.recording is None and self.taken > WARM_UP and not self.impossible:
            self._record(batch)
        if self.recording is not None:
            return self.recording(batch)
        return self.recorder.run(lambda: learn(self.model, *batch))

    def _record(self, batch: tuple[Tensor, ...]) -> None:
        try:
            self.recording = _Recording(self.model, self.recorder, batch)
        except RuntimeError as error:
            self.impossible = True
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            tqdm.write(f"i2md: the step runs without CUDA graphs, slower: {reason}", file=sys.stderr)


class _Recording:
    """A captured step, with the memory that it reads and writes."""

    def __init__(self, model: I2MD, recorder: Recorder, batch: tuple[Tensor, ...]) -> None:
        self.batch = tuple(x.clone() for x in batch)
        (self.names, self.losses, self.keys), self.replay = recorder.record(lambda: self._learn(model))

    def _learn(self, model: I2MD) -> tuple[list[str], Tensor, dict[str, tuple[Tensor, Tensor]]]:
        losses, keys = learn(model, *self.batch)
        return list(losses), torch.stack(list(losses.values())), keys

    def __call__(self, batch: tuple[Tensor, ...]) -> Learnt:
        for mine, given in zip(self.batch, batch, strict=True):
            mine.copy_(given)
        self.replay()
        # A copy: the next replay writes over these.
        return dict(zip(self.names, self.losses.clone().unbind(), strict=True)), self.keys
