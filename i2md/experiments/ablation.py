"""One setting at a time: a base, and the same with one change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from i2md.evaluation.comparison import flat, short_names
from i2md.experiments.grid import Combination, value_word
from i2md.pretraining.settings import PretrainSettings

# What the base is called, which nothing is changed in.
AS_IS = "as is"


@dataclass(frozen=True)
class Ablation:
    """Settings that are varied one at a time: the base's own value of each, and the others that are tried."""

    base: Mapping[str, Any]
    others: Mapping[str, Sequence[Any]]

    @classmethod
    def around(cls, base: PretrainSettings, vary: Mapping[str, Sequence[Any]]) -> Ablation:
        """Values to vary around the base; those that are the base's own are the base itself.

        >>> Ablation.around(PretrainSettings(), {"batch": [32, 64], "streams": [("joint", "bone")]}).combinations()
        [{}, {'batch': 32}, {'streams': ('joint', 'bone')}]
        """
        own = dict(flat(_plain(asdict(base))))
        others = {name: [value for value in values if _plain(value) != own[name]] for name, values in vary.items()}
        return cls({name: own[name] for name in vary}, others)

    def combinations(self) -> list[Combination]:
        """The base, which is no change, and each change by itself, setting by setting."""
        return [{}, *({name: value} for name, values in self.others.items() for value in values)]

    def called(self, combination: Combination) -> str:
        """What the base with that change is called.

        >>> varied = Ablation.around(PretrainSettings(), {"objectives.queue_size": [8], "batch": [8]})
        >>> [varied.called(each) for each in varied.combinations()]
        ['as is', 'queue_size=8', 'batch_size=8']
        """
        short = short_names(list(self.base))
        return ", ".join(f"{short[name]}={value_word(value)}" for name, value in combination.items()) or AS_IS

    def places(self, name: str) -> list[str]:
        """A setting's values as words, the base's own among them: by size where they are numbers, else that first."""
        values = [self.base[name], *self.others[name]]
        if all(isinstance(value, (int, float)) for value in values):
            values.sort()
        return [value_word(value) for value in values]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
