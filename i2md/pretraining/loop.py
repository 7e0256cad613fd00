"""The pretraining loop: whole batches, losses, a resumable state, a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from i2md.data.packed import PackedClips
from i2md.distributed import collectives
from i2md.distributed.process_group import is_main_process, world_size
from i2md.errors import InputError
from i2md.pretraining.checkpoint import load_tensors, save_tensors, with_prefix
from i2md.pretraining.log import RunLog
from i2md.pretraining.masked import masked_frames
from i2md.pretraining.models import Model
from i2md.pretraining.optimizer import build_optimizer, learning_rate, optimizer_tensors, restore_optimizer
from i2md.pretraining.run import CONFIG, MODEL, STATE
from i2md.pretraining.step import CapturedStep, ComputeGradients, GraphRecorder, train_step
from i2md.runtime.plain_data import read_yaml
from i2md.runtime.progress import progress
from i2md.runtime.random import generator
from i2md.views.augment import ViewDraws
from i2md.views.settings import ViewSettings
from i2md.views.view import make_view

# Called with the model every few epochs; returns what to log, such as {"knn/joint": 0.61}.
Monitor = Callable[[Model], Mapping[str, Any]]
# Monitors, each with the number of epochs between two of its measurements; 0: never.
Monitors = Sequence[tuple[int, Monitor]]


class Duration:
    """Says once, on stderr of the first process, how long the steps that are left will take.

    Args:
        steps: Number of steps to take.
        clock: Seconds; replaced in tests.
    """

    # Steps that are not measured, in which memory is claimed and code compiled, and steps that are.
    SKIPPED, MEASURED = 3, 5
    # Shorter runs are over before it is read.
    MIN_SECONDS = 20.0

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.done, self.started, self._clock = steps, 0, 0.0, clock

    def step(self) -> None:
        """Count a step that was taken."""
        self.done += 1
        if self.done == self.SKIPPED:
            self.started = self._clock()
        elif self.done == self.SKIPPED + self.MEASURED and is_main_process():
            each = (self._clock() - self.started) / self.MEASURED
            left = each * (self.steps - self.done)
            if left >= self.MIN_SECONDS:
                text = f"i2md: {self.steps} steps of {each:.2g} s each: {_in_words(left)} left"
                tqdm.write(text, file=sys.stderr)


def _in_words(seconds: float) -> str:
    """A duration in its largest unit.

    >>> _in_words(95), _in_words(8000), _in_words(40)
    ('2 minutes', '2.2 hours', '40 seconds')
    """
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


class Training:
    """A run in progress: the model, its optimizer, and how many steps it has taken.

    Args:
        model: The model, on the device.
        clips: The clips to train on, on the device.
        run: Folder of the run, with its configuration.
        device: Where to train.
    """

    def __init__(self, model: Model, clips: PackedClips, run: Path, device: torch.device) -> None:
        self.model, self.clips, self.run, self.device = model, clips, run, device
        self.settings = model.settings
        self.optimizer = build_optimizer(model.query.parameters(), self.settings.optimizer)
        self.steps_per_epoch = len(clips) // self.settings.batch_size
        self.last_step = self.steps_per_epoch * self.settings.epochs
        self.compute = _captured(model, device)
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.begun: set[str] = set()
        self.saved_at = time.monotonic()

    def run_to_end(self, stopped: list[int], monitors: Monitors = ()) -> None:
        """Train to the last step, with checkpoints in between, and write the finished model.

        Args:
            stopped: Filled by a signal that asks to stop after the step in progress.
            monitors: Measure the model every few epochs, and after the last one.
        """
        collectives.run_on_main(self._open_log)
        try:
            self._run_to_end(stopped, monitors)
        finally:
            if is_main_process():  # not a collective, since another process may be lost
                self.log.close(finished=self.step == self.last_step)

    def _run_to_end(self, stopped: list[int], monitors: Monitors) -> None:
        s = self.settings
        duration = Duration(self.last_step - self.step)
        with progress(self.last_step, s.method, "step", initial=self.step, show=is_main_process()) as bar:
            while self.step < self.last_step:
                started = time.monotonic()
                first = self.step
                for indices in self._rest_of_epoch():
                    self._add(self._step(indices))
                    bar.update()
                    duration.step()
                    # At the end of an epoch its line in the log comes first.
                    if self.step % self.steps_per_epoch:
                        self._pause(stopped)
                seconds = time.monotonic() - started
                numbers = self._close_epoch((self.step - first) * s.batch_size / max(seconds, 1e-9), seconds)
                bar.set_postfix_str(_summary(numbers))
                numbers |= self._monitored(monitors)
                collectives.run_on_main(partial(self._write_log, numbers))
                requested = bool(s.checkpoint_epochs) and numbers["epoch"] % s.checkpoint_epochs == 0
                self._pause(stopped, save=requested)
            self.save()
            collectives.run_on_main(lambda: save_tensors(self.run / MODEL, self._finished_model()))

    def _open_log(self) -> None:
        config = read_yaml(self.run / CONFIG)
        self.log = RunLog(self.run, self.step // self.steps_per_epoch, self.settings.trackers, config)
        self.begun = self.log.begun

    def _write_log(self, numbers: Mapping[str, Any]) -> None:
        self.log.write(numbers)

    def _pause(self, stopped: list[int], save: bool = False) -> None:
        """Save a checkpoint where it is requested, due by the clock, or the last thing before stopping.

        If one process has to, all of them do, after the same step.
        """
        due = save or time.monotonic() - self.saved_at > 60 * self.settings.checkpoint_minutes
        wanted = collectives.all_reduce_max(2 if stopped else int(due))
        if wanted:
            self.save()
        if wanted == 2:
            raise KeyboardInterrupt

    def _rest_of_epoch(self) -> Iterator[Tensor]:
        """The remaining batches of the current epoch; clips that do not fill a batch are dropped."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self.clips), generator=generator(self.settings.seed, "order", epoch))
        batches = order[: self.steps_per_epoch * self.settings.batch_size].view(self.steps_per_epoch, -1)
        yield from batches[done:].to(self.device)

    def _step(self, indices: Tensor) -> dict[str, Tensor]:
        s = self.settings
        mine = collectives.local_rows(indices)
        numbers = generator(s.seed, "views", self.step, self.device)
        first = self._view(mine, s.views, numbers)
        second = self._hidden(numbers) if s.method == "masked" else self._view(mine, s.views, numbers)
        short = [self._view(mine, s.views.short, numbers) for _ in range(s.views.short_crops)]
        rate = learning_rate(s.optimizer, self.step / self.steps_per_epoch, s.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.steps = self.step
        crops = torch.cat(short) if short else None
        losses = train_step(self.model, self.optimizer, first, second, mine, self.compute, crops)
        self.step += 1
        return losses

    def _view(self, clips: Tensor, views: ViewSettings, numbers: torch.Generator) -> Tensor:
        """A view of this process's part of the batch."""
        model, own = self.model, collectives.local_range(self.settings.batch_size)
        # Drawn for the whole batch by every process, so that no view depends on how many they are.
        draws = ViewDraws.for_views(views, model.layout, self.settings.batch_size, model.persons, numbers)
        rows = draws.rows(slice(own.start, own.stop))
        return make_view(self.clips, clips, views, model.layout, model.persons, rows)

    def _hidden(self, numbers: torch.Generator) -> Tensor:
        """The frames of this process's views that masked motion prediction hides."""
        o, frames = self.settings.objectives, self.settings.views.frames
        stretches = -(-frames // o.mask_frames)
        drawn = torch.rand(self.settings.batch_size, stretches, generator=numbers, device=self.device)
        return masked_frames(collectives.local_rows(drawn), frames, o.mask_frames, o.mask_fraction)

    def _add(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.sums[f"count/{name}"] = self.sums.get(f"count/{name}", torch.zeros(())) + 1

    def _summed(self) -> list[str]:
        return [name for name in self.sums if not name.startswith("count/")]

    def _close_epoch(self, clips_per_second: float, seconds: float) -> dict[str, Any]:
        self._check_finite()
        means = {name: float(self.sums[name] / self.sums[f"count/{name}"]) for name in self._summed()}
        begins = self._begins()
        self.sums = {}
        epoch = self.step // self.steps_per_epoch
        return {
            "epoch": epoch,
            "step": self.step,
            "seconds": round(seconds, 3),
            "clips_per_second": round(clips_per_second, 1),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "loss": sum(means.values()),
            **means,
            **({"begins": begins} if begins else {}),
        }

    def _begins(self) -> dict[str, int]:
        """The terms that began in this epoch, with the number of steps before their first."""
        steps = {
            name.partition("/")[0]: self.step - int(self.sums[f"count/{name}"])
            for name in self._summed()
            if name.partition("/")[0] not in self.begun
        }
        self.begun |= steps.keys()
        return steps

    def _check_finite(self) -> None:
        # Sums may be averaged in between as well as losses one by one, which would cost every step a message.
        collectives.all_reduce_mean(self.sums[name] for name in self._summed())
        bad = [name for name, value in self.sums.items() if not torch.isfinite(value)]
        if bad:
            raise InputError(
                f"{self.run}: the loss {bad[0]} is not finite at step {self.step};"
                " lower --optimizer.learning_rate or use --precision fp32 (the last checkpoint is kept)"
            )

    def _monitored(self, monitors: Monitors) -> dict[str, Any]:
        epoch = self.step // self.steps_per_epoch
        found: dict[str, Any] = {}
        for every, monitor in monitors:
            if every and (epoch % every == 0 or epoch == self.settings.epochs):
                found |= monitor(self.model)
        return found

    def save(self) -> None:
        """Save everything that the next step depends on."""
        self._check_finite()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        tensors |= {f"progress.sums.{name}": value for name, value in self.sums.items()}
        tensors["progress.step"] = torch.tensor(self.step)
        collectives.run_on_main(lambda: save_tensors(self.run / STATE, tensors))
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Restore the state that `save` wrote.

        Raises:
            InputError: The file holds something else.
        """
        tensors = load_tensors(self.run / STATE)
        try:
            self.step = int(tensors.pop("progress.step"))
            self.sums = {k: v.to(self.device) for k, v in with_prefix(tensors, "progress.sums.").items()}
            self.model.load_state_dict(with_prefix(tensors, "model."))
            restore_optimizer(self.optimizer, tensors)
        except (KeyError, RuntimeError, ValueError):
            raise InputError(f"{self.run / STATE}: not the state of this run; remove it or restore a copy") from None

    def _finished_model(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if name.startswith("query.")}


def _captured(model: Model, device: torch.device) -> ComputeGradients | None:
    """A step replayed from a CUDA graph, on one GPU: with several, batch norm communicates within the step."""
    return CapturedStep(model, GraphRecorder(device)) if device.type == "cuda" and world_size() == 1 else None


def _summary(numbers: Mapping[str, Any]) -> str:
    """Losses as the progress bar shows them: by term, one number a stream (or student, summed over its teachers)."""
    kinds: dict[str, dict[str, float]] = {}
    for name, value in numbers.items():
        kind, _, of = name.partition("/")
        if of:
            of = of.rpartition(">")[2]
            kinds.setdefault(kind, {}).setdefault(of, 0.0)
            kinds[kind][of] += value
    words = [f"{kind} " + "/".join(f"{value:.2f}" for value in streams.values()) for kind, streams in kinds.items()]
    return f"epoch {numbers['epoch']}, {'/'.join(next(iter(kinds.values())))}: {', '.join(words)}"
