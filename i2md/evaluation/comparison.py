"""Runs beside one another: those of one configuration are one variant, called by what sets it apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from i2md.evaluation.report.run_page import UNTRAINED
from i2md.evaluation.run_record import read_epochs, read_evaluations
from i2md.pretraining.run import LOG, RunConfig, read_config

# What may differ between runs of one configuration: it changes no figure, or is told apart as the seed.
_DECIDES_NOTHING = {
    *("settings.seed", "settings.split", "settings.checkpoint_minutes", "settings.checkpoint_epochs"),
    *("settings.knn_every", "clips.path", "clips.frames", "recipe"),
}
# What the encoders before training may depend on; objectives.embedding_dim by way of the random numbers drawn.
_DECIDES_UNTRAINED = (
    "encoder.",
    "streams",
    "views.frames",
    "objectives.embedding_dim",
    "layout",
    "preparation",
    "persons",
)
_KEPT = (
    *("method", "protocol", "dataset", "split", "seed", "epochs", "train_clips", "test_clips", "accuracy"),
    *("best_test_epoch", "learning_rate", "validation", "measures", "spread", "pretrained_on"),
)


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder tells of it: `settings` are all that decide its figures but the seed, by dotted name."""

    path: Path
    seed: int
    method: str
    settings: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Runs in the order given, none of the settings and seed of another; and what was to be said about them."""

    runs: Sequence[RunRecord]
    notes: Sequence[str]
    called: Mapping[Path, str] = field(default_factory=dict)
    """What runs are called, by their paths, where it is not told by all that sets them apart."""

    @cached_property
    def differing(self) -> list[str]:
        """Names of the settings that are not the same in all runs."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        return [n for n in names if any(run.settings.get(n) != self.runs[0].settings.get(n) for run in self.runs)]

    @cached_property
    def variants(self) -> dict[str, list[RunRecord]]:
        """The runs of each configuration, a seed each, by what the configuration is called."""
        found: dict[str, list[RunRecord]] = {}
        for run in self.runs:
            found.setdefault(self.called.get(run.path) or self.label(run, self.differing), []).append(run)
        return found

    def label(self, run: RunRecord, names: Sequence[str]) -> str:
        """What the run is called among those that differ in `names`: the method bare, other settings by name."""
        others = [name for name in names if name != "method"]
        words = [f"{short}={_word(run.settings.get(name))}" for name, short in short_names(others).items()]
        return ", ".join([run.method] * ("method" in names or not words) + words)

    def results(self) -> list[dict[str, Any]]:
        """Every result of every variant, without its predictions: the encoders before training first, each once."""
        found: dict[tuple, dict[str, Any]] = {}
        for label, runs in self.variants.items():
            for run, result in ((each, result) for each in runs for result in each.results):
                called = label
                if result["method"] == UNTRAINED:
                    called = self._untrained_label(run)
                where = (f"{result['dataset']} {result['split']}", result["method"] != UNTRAINED)
                kept = {name: result[name] for name in _KEPT if name in result}
                if result.get("draws"):
                    kept["draws"] = [{"accuracy": draw["accuracy"]} for draw in result["draws"]]
                key = (*where, called, result["protocol"], result["seed"])
                found.setdefault(key, {"settings": called, "run": str(run.path), **kept})
        places = {place: number for number, place in enumerate(dict.fromkeys(key[0] for key in found))}
        return [found[key] for key in sorted(found, key=lambda key: (places[key[0]], key[1]))]

    def _untrained_label(self, run: RunRecord) -> str:
        """What a run's encoders before training are called: where runs have names, after the first that begins so."""
        names = [name for name in self.differing if decides_untrained(name)]
        if not names:
            return UNTRAINED
        alike = (r for r in self.runs if all(r.settings.get(n) == run.settings.get(n) for n in names))
        return f"{UNTRAINED}, {self.called.get(next(alike).path) or self.label(run, names)}"


def decides_untrained(name: str) -> bool:
    """Whether the encoders before training may depend on the setting of that dotted name."""
    return name.startswith(_DECIDES_UNTRAINED)


def compare_runs(paths: Sequence[Path], called: Mapping[Path, str] | None = None) -> Comparison:
    """Read what the runs' folders hold; InputError where one of them is no run.

    `called` is what runs are called; others are called by all that sets them apart.
    """
    runs: list[RunRecord] = []
    notes: list[str] = []
    for path in paths:
        run = _read(path, notes)
        twin = next((other for other in runs if (other.settings, other.seed) == (run.settings, run.seed)), None)
        if twin is None:
            runs.append(run)
        else:
            notes.append(f"{path} has the settings and the seed of {twin.path}; it is left out.")
    return Comparison(runs, notes, called or {})


def _read(path: Path, notes: list[str]) -> RunRecord:
    config = read_config(path)
    own: list[str] = []
    epochs = read_epochs(path / LOG, own)
    results = [result for result in read_evaluations(path / "evaluation", own) if _is_whole(result)]
    if not results:
        own.append("not evaluated; i2md evaluate does it.")
    notes += [f"{path}: {note}" for note in own]
    s = config.settings
    return RunRecord(path, s.seed, s.method, dict(_deciding(config)), epochs, results)


def _is_whole(result: Mapping[str, Any]) -> bool:
    return all(name in result for name in ("method", "protocol", "dataset", "split", "seed"))


def _deciding(config: RunConfig) -> Iterator[tuple[str, Any]]:
    data = json.loads(json.dumps(asdict(config)))
    data = {**data, "layout": config.layout.name, "versions": None}
    for name, value in flat(data):
        if name not in _DECIDES_NOTHING and value is not None:
            yield name.removeprefix("settings."), value


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by dotted name."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last part of each dotted name, or all of it where that is another's too.

    >>> short_names(["objectives.queue_size", "encoder.name", "optimizer.name"])
    {'objectives.queue_size': 'queue', 'encoder.name': 'encoder.name', 'optimizer.name': 'optimizer.name'}
    """
    tails = [name.rpartition(".")[2] for name in names]
    return {name: tail if tails.count(tail) == 1 else name for name, tail in zip(names, tails, strict=True)}


def _word(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
