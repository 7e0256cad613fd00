"""The pretraining loop: whole batches, losses, a resumable state, a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from i2md.data.packed import PackedClips, pack
from i2md.data.store import Clips
from i2md.distributed import collectives as ranks
from i2md.errors import InputError, RankLost
from i2md.pretraining.capture import CapturedStep, GraphRecorder
from i2md.pretraining.checkpoint import below, load_tensors, optimizer_tensors, restore_optimizer, save_tensors
from i2md.pretraining.log import RunLog
from i2md.pretraining.model import I2MD
from i2md.pretraining.run import CONFIG, MODEL, STATE, RunConfig, read_config
from i2md.pretraining.schedule import build_optimizer, learning_rate
from i2md.pretraining.step import Learning, train_step
from i2md.runtime.io import PARTIAL, write_text
from i2md.runtime.random import derive_seed, generator
from i2md.runtime.stopping import stop_signals
from i2md.views.draws import ViewDraws
from i2md.views.view import make_view

# Called with the model now and then; returns figures to log, such as {"knn/joint": 0.61}.
Watch = Callable[[I2MD], Mapping[str, float]]


def train(clips: Clips, run: Path, config: RunConfig, device: torch.device, watch: Watch | None = None) -> I2MD:
    """Pretrain on all of `clips` into the folder `run`, going on from its saved state where there is one.

    Killed at any moment and called again, it ends with the same weights as if it had never been killed
    (CPU, same number of threads). Processes that work together share each batch out, which changes nothing but
    rounding; the first one writes. Raises InputError where the folder holds a run of other settings or a loss is
    not finite, KeyboardInterrupt after saving when interrupted, RankLost where another process has gone.
    """
    settings = config.settings
    if len(clips) < settings.batch_size:
        raise InputError(
            f"{clips.path}: {len(clips)} clips to train on are fewer than a batch of {settings.batch_size};"
            " lower --batch_size or add clips"
        )
    if settings.batch_size % ranks.world_size():
        raise InputError(
            f"batch_size {settings.batch_size} is for all processes together and must be a multiple of their number,"
            f" {ranks.world_size()}; change --batch_size or start another number of them"
        )
    torch.manual_seed(derive_seed(settings.seed, "weights"))
    model = I2MD(settings, config.layout, config.persons).to(device)
    ranks.run_on_main(lambda: _claim(run, config))
    _require_same_settings(config)
    training = Training(model, pack(clips, device), run, device)
    # Only the first process looks what is there: disks that machines share may show it to them at different times.
    if ranks.broadcast((run / STATE).is_file()):
        training.restore()
    # A kill may have come between the last state and the finished model, or something have damaged it since.
    if ranks.broadcast(training.step < training.last_step or not _is_whole(run / MODEL)):
        with stop_signals() as stopped:
            try:
                training.go(stopped, watch)
            except RankLost as lost:
                raise RankLost(f"{run}: {lost} at step {training.step}") from lost
    return model


def _is_whole(path: Path) -> bool:
    try:
        load_tensors(path)
    except InputError:
        return False
    return True


def _claim(run: Path, config: RunConfig) -> None:
    if (run / CONFIG).is_file():
        changed = read_config(run).differences(config)
        if changed:
            names = ", ".join(name.removeprefix("settings.") for name in changed)
            raise InputError(f"{run}: holds a run that differs in {names}; name another folder for this one")
        return
    if run.exists() and (not run.is_dir() or any(not path.name.endswith(PARTIAL) for path in run.iterdir())):
        raise InputError(f"{run}: exists and is not a run; name a folder that does not exist")
    write_text(run / CONFIG, config.to_yaml())


def _require_same_settings(config: RunConfig) -> None:
    differing = {name for other in ranks.all_gather_object(config) for name in config.differences(other)}
    if differing:
        names = ", ".join(name.removeprefix("settings.") for name in sorted(differing))
        raise InputError(f"the processes of this job differ in {names}; start all of them with the same command")


class Training:
    """A run in progress: the model, its optimizer, and how far it has come."""

    def __init__(self, model: I2MD, clips: PackedClips, run: Path, device: torch.device) -> None:
        self.model, self.clips, self.run, self.device = model, clips, run, device
        self.settings = model.settings
        self.optimizer = build_optimizer(model.query.parameters(), self.settings.optimizer)
        self.steps_per_epoch = len(clips) // self.settings.batch_size
        self.last_step = self.steps_per_epoch * self.settings.epochs
        self.learning = _captured(model, device)
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.saved_at = time.monotonic()

    def go(self, stopped: list[int], watch: Watch | None) -> None:
        """Train to the last step, saving now and then; the finished model is written at the end."""
        s = self.settings
        ranks.run_on_main(self._open_log)
        with tqdm(
            total=self.last_step,
            initial=self.step,
            unit="step",
            desc=s.method,
            dynamic_ncols=True,
            disable=not ranks.is_main_process(),
        ) as bar:
            while self.step < self.last_step:
                started = time.monotonic()
                first = self.step
                for indices in self._rest_of_epoch():
                    self._add(self._step(indices))
                    bar.update()
                    # At the end of an epoch its line in the log comes first.
                    if self.step % self.steps_per_epoch:
                        self._pause(stopped)
                seconds = time.monotonic() - started
                figures = self._close_epoch((self.step - first) * s.batch_size / max(seconds, 1e-9), seconds)
                bar.set_postfix_str(_summary(figures))
                figures |= self._watched(watch)
                ranks.run_on_main(partial(self._write_log, figures))
                asked_for = bool(s.checkpoint_epochs) and figures["epoch"] % s.checkpoint_epochs == 0
                self._pause(stopped, save=asked_for)
            self.save()
            ranks.run_on_main(lambda: save_tensors(self.run / MODEL, self._finished_model()))

    def _open_log(self) -> None:
        self.log = RunLog(self.run, self.step // self.steps_per_epoch)

    def _write_log(self, figures: Mapping[str, float]) -> None:
        self.log.write(figures)

    def _pause(self, stopped: list[int], save: bool = False) -> None:
        """Save where that is asked for, due by the clock, or the last thing to do before stopping.

        What one process is asked for, or finds due, all of them do, after the same step.
        """
        due = save or time.monotonic() - self.saved_at > 60 * self.settings.checkpoint_minutes
        wanted = ranks.all_reduce_max(2 if stopped else int(due))
        if wanted:
            self.save()
        if wanted == 2:
            raise KeyboardInterrupt

    def _rest_of_epoch(self) -> Iterator[Tensor]:
        """The batches of the current epoch that are still to come; what doesn't fill a batch is dropped."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self.clips), generator=generator(self.settings.seed, "order", epoch))
        batches = order[: self.steps_per_epoch * self.settings.batch_size].view(self.steps_per_epoch, -1)
        yield from batches[done:].to(self.device)

    def _step(self, indices: Tensor) -> dict[str, Tensor]:
        s = self.settings
        mine = ranks.local_rows(indices)
        query_view, key_view = (make_view(self.clips, mine, s.views, self.model.persons, d) for d in self._draws())
        rate = learning_rate(s.optimizer, self.step / self.steps_per_epoch, s.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.steps = self.step
        losses = train_step(self.model, self.optimizer, query_view, key_view, mine, self.learning)
        self.step += 1
        return losses

    def _draws(self) -> Iterator[ViewDraws]:
        """The random numbers of this process's part of the query and the key view."""
        numbers = generator(self.settings.seed, "views", self.step, self.device)
        _, joints, channels = self.clips.rows.shape
        own = ranks.local_range(self.settings.batch_size)
        for _ in ("query", "key"):
            # Drawn for the whole batch by every process, so that no view depends on how many they are.
            draws = ViewDraws.draw(self.settings.batch_size, joints, channels, numbers)
            yield draws.rows(slice(own.start, own.stop))

    def _add(self, losses: Mapping[str, Tensor]) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.sums[f"count/{name}"] = self.sums.get(f"count/{name}", torch.zeros(())) + 1

    def _summed(self) -> list[str]:
        return [name for name in self.sums if not name.startswith("count/")]

    def _close_epoch(self, clips_per_second: float, seconds: float) -> dict[str, float]:
        self._check_finite()
        means = {name: float(self.sums[name] / self.sums[f"count/{name}"]) for name in self._summed()}
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
        }

    def _check_finite(self) -> None:
        # Sums may be averaged in between as well as losses one by one, which would cost every step a message.
        ranks.all_reduce_mean(self.sums[name] for name in self._summed())
        bad = [name for name, value in self.sums.items() if not torch.isfinite(value)]
        if bad:
            raise InputError(
                f"{self.run}: the loss {bad[0]} is not finite at step {self.step};"
                " lower --optimizer.learning_rate or use --precision fp32 (the last saved state is kept)"
            )

    def _watched(self, watch: Watch | None) -> dict[str, float]:
        every = self.settings.knn_every
        epoch = self.step // self.steps_per_epoch
        if watch is None or not every or (epoch % every and epoch != self.settings.epochs):
            return {}
        return dict(watch(self.model))

    def save(self) -> None:
        """Save all that the next step depends on."""
        self._check_finite()
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer)
        tensors |= {f"progress.sums.{name}": value for name, value in self.sums.items()}
        tensors["progress.step"] = torch.tensor(self.step)
        ranks.run_on_main(lambda: save_tensors(self.run / STATE, tensors))
        self.saved_at = time.monotonic()

    def restore(self) -> None:
        """Go back to the state that `save` wrote; InputError where the file holds another."""
        tensors = load_tensors(self.run / STATE)
        try:
            self.step = int(tensors.pop("progress.step"))
            self.sums = {k: v.to(self.device) for k, v in below(tensors, "progress.sums.").items()}
            self.model.load_state_dict(below(tensors, "model."))
            restore_optimizer(self.optimizer, tensors)
        except (KeyError, RuntimeError, ValueError):
            raise InputError(f"{self.run / STATE}: not the state of this run; remove it or restore a copy") from None

    def _finished_model(self) -> dict[str, Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if name.startswith("query.")}


def _captured(model: I2MD, device: torch.device) -> Learning | None:
    """On a GPU the step is replayed from a CUDA graph; not where processes meet within it, at batch norm."""
    return CapturedStep(model, GraphRecorder(device)) if device.type == "cuda" and ranks.world_size() == 1 else None


def _summary(figures: Mapping[str, float]) -> str:
    """Losses as the progress bar shows them: by kind, a number a stream (or a student, its teachers' added up)."""
    kinds: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        kind, _, of = name.partition("/")
        if of:
            of = of.rpartition(">")[2]
            kinds.setdefault(kind, {}).setdefault(of, 0.0)
            kinds[kind][of] += value
    words = [f"{kind} " + "/".join(f"{value:.2f}" for value in streams.values()) for kind, streams in kinds.items()]
    return f"epoch {figures['epoch']}, {'/'.join(kinds['contrast'])}: {', '.join(words)}"
