"""Which runs a sweep consists of: every combination of a grid, or one change at a time of a base (an ablation)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from typing import Any

from i2md.errors import InputError
from i2md.evaluation.comparison import short_names
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.settings import Settings, checked_settings, flatten

# A value for each of some settings, by dotted name.
Combination = Mapping[str, Any]
# What the unchanged base of an ablation is called.
BASE_NAME = "baseline"
_MAX_NAME_LENGTH = 200


def parse_grid(words: Sequence[str], kinds: Sequence[type] = (PretrainSettings,)) -> dict[str, list[Any]]:
    """Parse words such as `method=cmd,i2md` into values by setting, each value read as `i2md pretrain` reads it.

    >>> parse_grid(["objectives.dna_num_neighbours=2,4", "streams=[joint,bone],[joint,motion]"])
    {'objectives.dna_num_neighbours': [2, 4], 'streams': [('joint', 'bone'), ('joint', 'motion')]}

    Args:
        words: `NAME=VALUE,VALUE` each; a comma within brackets does not separate values.
        kinds: Dataclasses whose settings may be named.

    Returns:
        The list of values by dotted name.

    Raises:
        InputError: A name is unknown or given twice, or a value is invalid.
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not sign or not values:
            raise InputError(f"{word!r} names no setting with values; write NAME=VALUE,VALUE")
        if name == "seed":
            raise InputError("seed cannot be swept as a setting; give --seeds 0 1 2")
        if name in grid:
            raise InputError(f"{name} is given twice; list all its values after one {name}=")
        kind = settings_kind(name, kinds)
        grid[name] = [_parse_value(kind, name, value) for value in re.split(r",(?![^\[]*\])", values)]
    return grid


def settings_kind(name: str, kinds: Sequence[type]) -> type:
    """Return the dataclass among `kinds` that has a setting of this dotted name.

    Raises:
        InputError: None has it; the message names the nearest setting.
    """
    for kind in kinds:
        if name in setting_names(kind):
            return kind
    known = [known for kind in kinds for known in setting_names(kind)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see i2md pretrain --help"
    raise InputError(f"unknown setting {name!r}: {hint}")


def _parse_value(kind: type, name: str, text: str) -> Any:
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(kind, None)
    try:
        return parser.parse_args([f"--{name}={text}"])[name]
    except ArgumentError as error:
        raise InputError(f"{name}={text}: {' '.join(str(error).split())}") from None


@cache
def setting_names(kind: type = PretrainSettings) -> tuple[str, ...]:
    """Return the dotted name of every setting of a settings dataclass."""
    return tuple(name for name, _ in flatten(asdict(kind())))


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Return every combination of a grid; the values of the last setting change fastest.

    >>> combinations({"method": ["cmd", "i2md"], "batch_size": [8]})
    [{'method': 'cmd', 'batch_size': 8}, {'method': 'i2md', 'batch_size': 8}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def with_values(base: Settings, values: Combination) -> Settings:
    """Return settings of any kind with some values replaced.

    Args:
        base: A settings dataclass, nested or not.
        values: New values by dotted name.

    Raises:
        InputError: A value is invalid, or contradicts another setting.
    """
    data = plain(asdict(base))  # type: ignore[call-overload]
    for name, value in values.items():
        *parents, last = name.split(".")
        section = data
        for parent in parents:
            section = section[parent]
        section[last] = list(value) if isinstance(value, tuple) else value
    return checked_settings(type(base), data)


def run_names(chosen: Sequence[Combination], seeds: Sequence[int]) -> dict[str, tuple[Combination, int]]:
    """Return the combination and the seed of each run by the name of its folder.

    >>> list(run_names([{"method": "cmd", "batch_size": 8}], [0, 1]))
    ['method=cmd,batch_size=8,seed=0', 'method=cmd,batch_size=8,seed=1']

    Raises:
        InputError: Two runs would have one name, or a name is too long for a folder.
    """
    names: dict[str, tuple[Combination, int]] = {}
    for seed, combination in product(seeds, chosen):
        words = {**combination, "seed": seed}
        name = folder_name(",".join(f"{key}={format_value(value)}" for key, value in words.items()))
        if name in names:
            raise InputError(f"two runs would be named {name}; give each value and each seed once")
        if len(name) > _MAX_NAME_LENGTH:
            raise InputError(f"{name}: too long for a folder name; sweep fewer settings at once")
        names[name] = combination, seed
    return names


def folder_name(text: str) -> str:
    """Return the text with every character that is unsafe in a folder name replaced by `_`.

    >>> folder_name("positive mining,seed=0")
    'positive_mining,seed=0'
    """
    return re.sub(r"[^\w.+=,-]", "_", text)


def format_value(value: Any) -> str:
    """Return a value as it is written in names and labels: lists are joined by `+`."""
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def plain(value: Any) -> Any:
    """Return settings or a value as JSON reads them back: tuples become lists."""
    return json.loads(json.dumps(value))


@dataclass(frozen=True)
class Ablation:
    """Settings that are changed one at a time.

    Attributes:
        base: The value of each varied setting in the base.
        others: The other values of each.
    """

    base: Mapping[str, Any]
    others: Mapping[str, Sequence[Any]]

    @classmethod
    def around(cls, base: PretrainSettings, vary: Mapping[str, Sequence[Any]]) -> Ablation:
        """Build the ablation of a base; a value that is the base's own is left out, as it is the base itself.

        >>> vary = {"batch_size": [32, 64], "streams": [("joint", "bone")]}
        >>> Ablation.around(PretrainSettings(), vary).combinations()
        [{}, {'batch_size': 32}, {'streams': ('joint', 'bone')}]
        """
        own = dict(flatten(plain(asdict(base))))
        others = {name: [value for value in values if plain(value) != own[name]] for name, values in vary.items()}
        return cls({name: own[name] for name in vary}, others)

    def combinations(self) -> list[Combination]:
        """Return the base, which is the empty combination, and then each change, setting by setting."""
        return [{}, *({name: value} for name, values in self.others.items() for value in values)]

    def label(self, combination: Combination) -> str:
        """Return the label of the base or of a change.

        >>> varied = Ablation.around(PretrainSettings(), {"objectives.queue_size": [8], "batch_size": [8]})
        >>> [varied.label(each) for each in varied.combinations()]
        ['baseline', 'queue_size=8', 'batch_size=8']
        """
        short = short_names(list(self.base))
        return ", ".join(f"{short[name]}={format_value(value)}" for name, value in combination.items()) or BASE_NAME

    def values(self, name: str) -> list[str]:
        """Return all values of a setting as text, the base's among them: sorted if numeric, else the base's first."""
        values = [self.base[name], *self.others[name]]
        if all(isinstance(value, (int, float)) for value in values):
            values.sort()
        return [format_value(value) for value in values]
