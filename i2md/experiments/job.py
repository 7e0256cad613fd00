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
from i2md.evaluation.diagnostics import diagnostics_monitor
from i2md.evaluation.evaluate import evaluate_run
from i2md.evaluation.monitor import knn_monitor
from i2md.evaluation.protocols import PROTOCOLS
from i2md.evaluation.results import UNTRAINED, Result, Variant, read_results
from i2md.evaluation.settings import EvaluationSettings
from i2md.experiments.grid import plain
from i2md.pretraining.pretrain import pretrain_run
from i2md.pretraining.run import MODEL, settings_from_dict
from i2md.runtime.device import choose_device, fast_cpu_matmul, keep_freed_memory
from i2md.runtime.exit_codes import exit_code
from i2md.runtime.settings import checked_settings

# Settings that give a protocol several results, which do not depend on one another.
_VARIANT_SETTINGS = ("k", "label_fractions", "labels", "draws")


@dataclass(frozen=True)
class Evaluation:
    """Protocols by which a run is evaluated on one split of a data set.

    Attributes:
        clips: Folder of the clips.
        dataset: Name of the data set.
        split: Split to train classifiers on and to test.
        protocols: Names of the protocols.
        baseline: Name of the baseline to evaluate in place of the pretrained encoders. The protocol "supervised" starts
            from randomly initialised encoders in any case.
        settings: Evaluation settings as plain data.
    """

    clips: str
    dataset: str
    split: str
    protocols: tuple[str, ...]
    baseline: str | None
    settings: Mapping[str, Any]

    @classmethod
    def of_clips(
        cls,
        clips: Clips,
        split: str,
        protocols: tuple[str, ...],
        baseline: str | None = None,
        settings: EvaluationSettings | None = None,
    ) -> Evaluation:
        """Return an evaluation on opened clips."""
        data = plain(asdict(settings or EvaluationSettings()))
        return cls(str(clips.path), clips.dataset.name, split, protocols, baseline, data)

    def missing(self, run: Path) -> tuple[list[str], EvaluationSettings]:
        """Find out what of this evaluation a run's folder does not have yet.

        Returns:
            The protocols of which results are missing, and the settings to compute those with: of the semi-supervised
            protocol, only the label fractions whose results are missing.
        """
        settings = checked_settings(EvaluationSettings, self.settings)
        there: dict[str, set[Variant]] = {}
        for result in read_results(run / "evaluation"):
            if self._includes(result) and has_settings(result, settings):
                there.setdefault(result.protocol, set()).add(result.variant)
        missing = {name: PROTOCOLS[name].expected(settings) - there.get(name, set()) for name in self.protocols}
        # A label fraction takes as long as another protocol, so those that are there are not evaluated again.
        left = {variant.label_fraction for variant in missing.get("semi", set())}
        if left:
            fractions = tuple(value for value in settings.semi.label_fractions if value in left)
            settings = replace(settings, semi=replace(settings.semi, label_fractions=fractions))
        return [name for name, variants in missing.items() if variants], settings

    def _includes(self, result: Result) -> bool:
        if (result.dataset, result.split) != (self.dataset, self.split) or result.protocol not in self.protocols:
            return False
        return result.baseline == (UNTRAINED if PROTOCOLS[result.protocol].from_scratch else self.baseline)


def has_settings(result: Result, settings: EvaluationSettings) -> bool:
    """Return whether an evaluation with these settings gives such a result: of this variant, and of the same settings.

    Settings that add further results, such as label fractions, need not be the same.
    """
    protocol = PROTOCOLS[result.protocol]
    if result.variant not in protocol.expected(settings):
        return False
    for section, wanted in protocol.sections(settings).items():
        own = result.settings.get(section, {})
        for name, value in plain(asdict(wanted)).items():
            if name not in _VARIANT_SETTINGS and own.get(name) != value:
                return False
    return True


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
        longer: Whether the folder may hold the run after fewer epochs, which is then continued.
    """

    run: str
    clips: str
    settings: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    device: str
    recipe: str | None = None
    longer: bool = False

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
        settings = settings_from_dict(self.settings)
        pretrain_run(
            open_clips(self.clips),
            Path(self.run),
            settings,
            device=self.device,
            recipe=self.recipe,
            monitor=knn_monitor,
            diagnostics=diagnostics_monitor,
            longer=self.longer,
        )
        for each in self.evaluations:
            self._evaluate(each)

    def _evaluate(self, evaluation: Evaluation) -> None:
        run = Path(self.run)
        missing, settings = evaluation.missing(run)
        if missing:
            keep_freed_memory()
            with fast_cpu_matmul():
                evaluate_run(
                    run,
                    open_clips(evaluation.clips),
                    tuple(missing),
                    evaluation.split,
                    choose_device(self.device),
                    baselines=(evaluation.baseline or "none",),
                    trained=evaluation.baseline is None,
                    settings=settings,
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
    return exit_code(lambda: _execute(Job.from_line(line)), resumes=True)


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
