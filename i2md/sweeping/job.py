"""One run of a sweep, from pretraining to its last evaluation: what it is, and whether it is done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from i2md.clips.store import Clips, open_clips
from i2md.commands import evaluate, pretrain
from i2md.evaluation.report import UNTRAINED
from i2md.evaluation.run_record import read_evaluations
from i2md.pretraining.run import MODEL, settings_from_dict


@dataclass(frozen=True)
class Job:
    """All that a process of its own has to be told; `splits` are evaluated on, the first of them is the run's."""

    run: str
    clips: str
    settings: Mapping[str, Any]
    protocols: tuple[str, ...]
    splits: tuple[str, ...]
    untrained: bool
    device: str

    def to_line(self) -> str:
        """The job as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """The job that `to_line` wrote."""
        return cls(**json.loads(line))

    def do(self) -> None:
        """Do what is missing of it."""
        clips = open_clips(self.clips)
        pretrain(clips, self.run, settings_from_dict(self.settings), self.device)
        for split in self.splits:
            missing = self.missing(clips, split)
            if missing:
                evaluate(self.run, clips, missing, split, self.untrained, self.device)

    def is_done(self, clips: Clips) -> bool:
        """Whether the run is there, with all its results."""
        return (Path(self.run) / MODEL).is_file() and not any(self.missing(clips, split) for split in self.splits)

    def missing(self, clips: Clips, split: str) -> list[str]:
        """The protocols that the run has not been through on that split."""
        results = read_evaluations(Path(self.run) / "evaluation", [])
        # A protocol with several numbers of labels or neighbours has a result each: semi-0.05, knn-5.
        there = {
            (re.sub(r"-[\d.]+$", "", result["protocol"]), result.get("method") == UNTRAINED)
            for result in results
            if result.get("dataset") == clips.dataset.name and result.get("split") == split
        }
        wanted = [False, True] if self.untrained else [False]
        return [protocol for protocol in self.protocols if not all((protocol, kind) in there for kind in wanted)]
