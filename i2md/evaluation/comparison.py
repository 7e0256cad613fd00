"""Comparison of runs: runs of one configuration are a variant, labelled by the settings in which it differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from i2md.evaluation.baselines import POSITIONS
from i2md.evaluation.results import UNTRAINED, Result, average_draws, read_results
from i2md.evaluation.robustness import read_robustness
from i2md.pretraining.log import read_log
from i2md.pretraining.run import RunConfig, read_config
from i2md.runtime.settings import flatten

# What may differ between runs of one variant: it does not influence the results, or is the seed.
_NOT_COMPARED = {
    *("settings.seed", "settings.split", "settings.checkpoint_minutes", "settings.checkpoint_epochs"),
    *("settings.knn_every", "settings.diagnostics_every", "clips.path", "clips.frames", "recipe"),
}
# Settings that positions and MiniRocket's features depend on.
_CLIPS = ("streams", "layout", "preparation", "persons")
# Settings that the randomly initialised encoders depend on; objectives.embedding_dim by the random numbers drawn.
_INITIALISATION = (*_CLIPS, "encoder.", "views.frames", "objectives.embedding_dim")


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder holds."""

    path: Path
    seed: int
    method: str
    settings: Mapping[str, Any]
    """All settings that the results depend on but the seed, by dotted name."""
    epochs: Sequence[Mapping[str, Any]]
    """The entries of its log."""
    results: Sequence[Result]
    robustness: Sequence[Result] = ()
    """Results on clean and on corrupted clips, where there are some on the latter."""


@dataclass(frozen=True)
class ComparedResult:
    """A result, and the label of the variant that it belongs to."""

    label: str
    run: Path
    """The run's folder."""
    result: Result
    """Without what it holds for each clip."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"settings": self.label, "run": str(self.run), "result": self.result.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ComparedResult:
        """What `to_dict` gave."""
        return cls(data["settings"], Path(data["run"]), Result.from_dict(data["result"]))


@dataclass(frozen=True)
class RunComparison:
    """Runs in the order given; no two of them have the same settings and seed."""

    runs: Sequence[RunRecord]
    notes: Sequence[str]
    """What was left out, or is missing."""
    labels: Mapping[Path, str] = field(default_factory=dict)
    """Labels of runs by their folders; other runs are labelled by their settings."""

    @cached_property
    def differing(self) -> list[str]:
        """Dotted names of the settings that are not the same in all runs."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        return [n for n in names if any(run.settings.get(n) != self.runs[0].settings.get(n) for run in self.runs)]

    @cached_property
    def variants(self) -> dict[str, list[RunRecord]]:
        """The runs of each configuration, one for each seed, by its label."""
        found: dict[str, list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault(self.labels.get(run.path) or self.label(run, self.differing), []).append(run)
        return found

    def label(self, run: RunRecord, names: Sequence[str]) -> str:
        """Label a run by some of its settings.

        Args:
            run: One of the runs.
            names: Dotted names of settings; "method" is shown by its value alone.
        """
        others = [name for name in names if name != "method"]
        words = [f"{short}={_value_text(run.settings.get(name))}" for name, short in short_names(others).items()]
        return ", ".join([run.method] * ("method" in names or not words) + words)

    def results(self, average: bool = False) -> list[ComparedResult]:
        """Every result of every variant; for each data set the baselines last, and each of them once.

        Args:
            average: Whether the results of several draws of the labels become one.
        """
        found: dict[tuple, ComparedResult] = {}
        for label, runs in self.variants.items():
            for run, result in ((each, result) for each in runs for result in _results_of(each, average)):
                shown = self._baseline_label(run, result.baseline) if result.baseline else label
                data = (result.dataset, result.split)
                # Positions are the same for every seed, unless it decides which clips keep their labels.
                seed = None if result.baseline == POSITIONS and result.draw is None else result.seed
                key = (data, result.baseline is not None, shown, result.protocol, result.variant, seed)
                found.setdefault(key, ComparedResult(shown, run.path, result.summary()))
        order = {data: number for number, data in enumerate(dict.fromkeys(key[0] for key in found))}
        return [found[key] for key in sorted(found, key=lambda key: (order[key[0]], key[1]))]

    def robustness(self) -> list[Result]:
        """Results on corrupted test clips, and on clean ones beside them, of all seeds.

        The method is the variant's label. Baselines are among them where there is a single variant: what they are
        depends on its settings.
        """
        several = len(self.variants) > 1
        return [
            replace(result, method=label)
            for label, runs in self.variants.items()
            for run in runs
            for result in run.robustness
            if result.baseline is None or not several
        ]

    def _baseline_label(self, run: RunRecord, baseline: str) -> str:
        """Label of a run's baseline; of several runs with the same baseline the first one's."""
        names = [name for name in self.differing if decides_baseline(name, baseline)]
        if not names:
            return baseline
        alike = (r for r in self.runs if all(r.settings.get(n) == run.settings.get(n) for n in names))
        return f"{baseline}, {self.labels.get(next(alike).path) or self.label(run, names)}"


def _results_of(run: RunRecord, average: bool) -> Sequence[Result]:
    return average_draws(run.results) if average else run.results


def decides_baseline(name: str, baseline: str) -> bool:
    """Whether a baseline may depend on the setting of this dotted name.

    Args:
        name: Dotted name of a setting: "encoder.hidden_size".
        baseline: Name of the baseline.
    """
    return name.startswith(_INITIALISATION if baseline == UNTRAINED else _CLIPS)


def baseline_key(baseline: str, settings: Iterable[tuple[str, Any]], seed: int) -> str:
    """A text that is equal for runs whose baselines have the same features.

    Args:
        baseline: Name of the baseline.
        settings: Dotted names and values of a run's settings, as plain data.
        seed: Of the run.
    """
    values = {name: value for name, value in settings if decides_baseline(name, baseline) and name != "seed"}
    return json.dumps([baseline, values, None if baseline == POSITIONS else seed])


def compare_runs(paths: Sequence[Path], labels: Mapping[Path, str] | None = None) -> RunComparison:
    """Read the folders of runs.

    Args:
        paths: The folders. A run with the settings and the seed of an earlier one is left out.
        labels: Labels of runs; other runs are labelled by the settings in which they differ.

    Raises:
        InputError: A folder is not a run.
    """
    runs: list[RunRecord] = []
    notes: list[str] = []
    for path in paths:
        run = _read_run(path, notes)
        same = next((other for other in runs if (other.settings, other.seed) == (run.settings, run.seed)), None)
        if same is None:
            runs.append(run)
        else:
            notes.append(f"{path} has the settings and the seed of {same.path}; it is left out.")
    return RunComparison(runs, notes, labels or {})


def _read_run(path: Path, notes: list[str]) -> RunRecord:
    config = read_config(path)
    own: list[str] = []
    epochs = read_log(path, own)
    results, robustness = read_results(path / "evaluation", own), read_robustness(path, own)
    if not results:
        own.append("not evaluated; evaluate it with i2md evaluate.")
    notes += [f"{path}: {note}" for note in own]
    settings = _compared_settings(config)
    return RunRecord(path, config.settings.seed, config.settings.method, settings, epochs, results, robustness)


def _compared_settings(config: RunConfig) -> dict[str, Any]:
    data = json.loads(json.dumps(asdict(config)))
    data = {**data, "layout": config.layout.name, "versions": None}
    return {
        name.removeprefix("settings."): value
        for name, value in flatten(data)
        if name not in _NOT_COMPARED and value is not None
    }


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last part of each dotted name; all of it where another name has the same last part.

    Args:
        names: Dotted names of settings.

    >>> short_names(["objectives.queue_size", "encoder.name", "optimizer.name"])
    {'objectives.queue_size': 'queue_size', 'encoder.name': 'encoder.name', 'optimizer.name': 'optimizer.name'}
    """
    tails = [name.rpartition(".")[2] for name in names]
    return {name: tail if tails.count(tail) == 1 else name for name, tail in zip(names, tails, strict=True)}


def _value_text(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
