"""One run, from pretraining to its last evaluation: what it is, and whether it is done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from i2md.commands import evaluate, pretrain
from i2md.data.store import Clips
from i2md.evaluation.protocols import outcome_names, semi_name
from i2md.evaluation.report.run_page import UNTRAINED
from i2md.evaluation.run_record import read_evaluations
from i2md.evaluation.settings import EvaluationSettings
from i2md.pretraining.run import MODEL, settings_from_dict
from i2md.runtime.settings import checked_settings

# The settings that decide a protocol's figures, where they are not those of its own name.
_DECIDED_BY = {
    "linear-sweep": ("linear",),
    "supervised": ("finetune",),
    "semi": ("semi", "finetune"),
    "few-shot": ("few_shot", "linear"),
}
# What makes several results of one protocol; each result is called by its own.
_SEVERAL = ("k", "shares", "labels")


@dataclass(frozen=True)
class Evaluation:
    """Protocols that a run goes through on one split of some clips.

    They are applied to the run's encoders, or to the same before training if `untrained`; the protocol supervised
    always begins with the latter.
    """

    clips: str
    dataset: str
    split: str
    protocols: tuple[str, ...]
    untrained: bool
    settings: Mapping[str, Any]

    @classmethod
    def on(
        cls,
        clips: Clips,
        split: str,
        protocols: tuple[str, ...],
        untrained: bool = False,
        settings: EvaluationSettings | None = None,
    ) -> Evaluation:
        """An evaluation on opened clips."""
        plain = plain_settings(settings or EvaluationSettings())
        return cls(str(clips.path), clips.dataset.name, split, protocols, untrained, plain)

    def missing(self, run: str) -> tuple[list[str], EvaluationSettings]:
        """The protocols that the run has not been through, with the settings of what is left of them."""
        there = {
            (result["protocol"], result.get("method") == UNTRAINED)
            for result in read_evaluations(Path(run) / "evaluation", [])
            if (result.get("dataset"), result.get("split")) == (self.dataset, self.split)
            and reached_with(result, self.settings)
        }
        settings = checked_settings(EvaluationSettings, self.settings)
        done = {name for name, untrained in there if untrained == (self.untrained or name == "supervised")}
        missing = [name for name in self.protocols if not done.issuperset(outcome_names(name, settings))]
        shares = tuple(share for share in settings.semi.label_fractions if semi_name(share) not in done)
        # A share costs as much as a protocol, so those that are there are not done again.
        return missing, replace(settings, semi=replace(settings.semi, label_fractions=shares)) if shares else settings


def reached_with(result: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether a result was reached with these evaluation settings, as plain data, as far as they matter to it."""
    protocol = re.sub(r"-[\d.]+$", "", result["protocol"])
    theirs = result.get("settings", {})
    return all(
        theirs[room].get(name, value) == value
        for room in _DECIDED_BY.get(protocol, (protocol,))
        if room in theirs
        for name, value in settings[room].items()
        if name not in _SEVERAL
    )


def plain_settings(settings: EvaluationSettings) -> dict[str, Any]:
    """Settings as JSON would have them."""
    return json.loads(json.dumps(asdict(settings)))


@dataclass(frozen=True)
class Job:
    """All that a process of its own has to be told."""

    run: str
    clips: str
    settings: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    device: str
    recipe: str | None = None

    def to_line(self) -> str:
        """The job as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """The job that `to_line` wrote."""
        data = json.loads(line)
        return cls(**{**data, "evaluations": tuple(Evaluation(**each) for each in data["evaluations"])})

    def do(self) -> None:
        """Do what is missing of it."""
        pretrain(self.clips, self.run, settings_from_dict(self.settings), self.device, self.recipe)
        for each in self.evaluations:
            missing, settings = each.missing(self.run)
            if missing:
                kinds = {"untrained": each.untrained, "trained": not each.untrained}
                evaluate(self.run, each.clips, missing, each.split, device=self.device, settings=settings, **kinds)

    def is_done(self) -> bool:
        """Whether the run is there, with all its results."""
        whole = (Path(self.run) / MODEL).is_file()
        return whole and not any(each.missing(self.run)[0] for each in self.evaluations)
