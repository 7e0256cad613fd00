"""One run of a sweep, from pretraining to its last evaluation, and the worker process that executes it.

A worker is `python -m i2md.experiments.job` with the job as one line of JSON on its standard input. When its standard
input ends, because the process that started it was killed, the worker stops as on Ctrl-C: no run is left behind
without a parent, and its state is saved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from i2md.data.store import Clips, open_clips
from i2md.evaluation.evaluate import evaluate_run
from i2md.evaluation.monitor import knn_monitor
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import Result, read_results
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import plain
from i2md.pretraining.pretrain import pretrain_run
from i2md.pretraining.run import MODEL, settings_from_dict
from i2md.runtime.device import choose_device, quick_products
from i2md.runtime.exit_codes import exit_status
from i2md.runtime.settings import checked_settings

# Settings that give a protocol several results, which do not depend on one another.
_VARIANTS = ("k", "label_fractions", "labels", "draws")


@dataclass(frozen=True)
class Evaluation:
    """Protocols by which a run is evaluated on one split of a data set.

    Attributes:
        clips: Folder of the clips.
        dataset: Name of the data set.
        split: Split to train classifiers on and to test.
        protocols: Names of the protocols.
        untrained: Evaluate the randomly initialised encoders in place of the pretrained ones. The protocol
            "supervised" starts from them in any case.
        settings: Evaluation settings as plain data.
    """

    clips: str
    dataset: str
    split: str
    protocols: tuple[str, ...]
    untrained: bool
    settings: Mapping[str, Any]

    @classmethod
    def of_clips(
        cls,
        clips: Clips,
        split: str,
        protocols: tuple[str, ...],
        untrained: bool = False,
        settings: EvaluationSettings | None = None,
    ) -> Evaluation:
        """Return an evaluation on opened clips."""
        data = plain(asdict(settings or EvaluationSettings()))
        return cls(str(clips.path), clips.dataset.name, split, protocols, untrained, data)

    def missing(self, run: Path) -> tuple[list[str], EvaluationSettings]:
        """Return the protocols without results in the run's folder, and the settings for evaluating what is missing."""
        settings = checked_settings(EvaluationSettings, self.settings)
        done = {
            (result.protocol, result.variant)
            for result in read_results(run / "evaluation")
            if (result.dataset, result.split) == (self.dataset, self.split)
            and result.protocol in self.protocols
            and (result.baseline is not None) == (self.untrained or PROTOCOLS[result.protocol].from_scratch)
            and has_settings(result, settings)
        }
        left = [
            (name, variant)
            for name in self.protocols
            for variant in PROTOCOLS[name].expected(settings)
            if (name, variant) not in done
        ]
        missing = list(dict.fromkeys(name for name, _ in left))
        undone = {variant.label_fraction for name, variant in left if name == "semi"}
        fractions = tuple(value for value in settings.semi.label_fractions if value in undone)
        # A label fraction takes as long as another protocol, so those that are there are not evaluated again.
        if fractions:
            settings = replace(settings, semi=replace(settings.semi, label_fractions=fractions))
        return missing, settings


def has_settings(result: Result, settings: EvaluationSettings) -> bool:
    """Return whether a result was computed with these evaluation settings, as far as they decide it."""
    return all(
        result.settings.get(section, {}).get(name, value) == value
        for section, wanted in PROTOCOLS[result.protocol].sections(settings).items()
        for name, value in plain(asdict(wanted)).items()
        if name not in _VARIANTS
    )


@dataclass(frozen=True)
class Job:
    """Everything a worker process needs to know about its run.

    Attributes:
        run: Folder of the run.
        clips: Folder of the clips to pretrain on.
        settings: Pretraining settings as plain data.
        evaluations: The evaluations, in this order.
        device: "auto", "cpu", "cuda" or "cuda:N".
        recipe: Recipe that the settings were taken from.
    """

    run: str
    clips: str
    settings: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    device: str
    recipe: str | None = None

    def to_line(self) -> str:
        """Return the job as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """Return the job that `to_line` wrote."""
        data = json.loads(line)
        return cls(**{**data, "evaluations": tuple(Evaluation(**each) for each in data["evaluations"])})

    def execute(self) -> None:
        """Pretrain and evaluate, as far as the run's folder does not have it yet."""
        run, settings = Path(self.run), settings_from_dict(self.settings)
        clips = open_clips(self.clips)
        pretrain_run(clips, run, settings, device=self.device, recipe=self.recipe, monitor=knn_monitor)
        for each in self.evaluations:
            missing, protocols = each.missing(run)
            if missing:
                with quick_products():
                    evaluate_run(
                        run,
                        open_clips(each.clips),
                        tuple(missing),
                        each.split,
                        choose_device(self.device),
                        untrained=each.untrained,
                        settings=protocols,
                        trained=not each.untrained,
                    )

    def is_done(self) -> bool:
        """Return whether the run is complete, with all its results."""
        run = Path(self.run)
        return (run / MODEL).is_file() and not any(each.missing(run)[0] for each in self.evaluations)


def main() -> int:
    """Execute the job on standard input; return the exit code of the command line."""
    line = sys.stdin.readline()
    threading.Thread(target=_stop_with_input, daemon=True).start()
    _wait_for_other_worker()
    return exit_status(lambda: _execute(Job.from_line(line)), goes_on=True)


def _execute(job: Job) -> int:
    job.execute()
    return 0


def _stop_with_input() -> None:
    # Unbuffered: the buffer may be locked when the interpreter ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_other_worker() -> None:
    """Wait for a worker that still writes to this run's folder, of a sweep that was killed or of another sweep.

    The lock is on the run's log, which is standard error; it is released when a process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(sys.stderr.fileno(), fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


if __name__ == "__main__":
    sys.exit(main())
