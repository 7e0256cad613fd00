"""The grid of a sweep: settings by dotted name, the values of each, and every combination of them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import product
from typing import Any

from i2md.errors import InputError
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.settings import Settings, checked_settings

# A combination: a value for each setting of the grid.
Combination = Mapping[str, Any]
_LONGEST_NAME = 200


def parse_grid(words: Sequence[str], kinds: Sequence[type] = (PretrainSettings,)) -> dict[str, list[Any]]:
    """Values by setting out of words such as `method=cmd,i2md`, each as `i2md pretrain` would read it.

    `kinds` are the dataclasses whose settings may be named. A comma within brackets does not part values. InputError
    where a name or a value is not one.

    >>> parse_grid(["objectives.dna_num_neighbours=2,4", "streams=[joint,bone],[joint,motion]"])
    {'objectives.dna_num_neighbours': [2, 4], 'streams': [('joint', 'bone'), ('joint', 'motion')]}
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not sign or not values:
            raise InputError(f"{word!r} is no setting with values; write NAME=VALUE,VALUE")
        if name == "seed":
            raise InputError("the seed is no setting to choose values of; give --seeds 0 1 2")
        if name in grid:
            raise InputError(f"the command names {name} twice; write all its values behind one NAME=")
        kind = kind_of(name, kinds)
        grid[name] = [_read(kind, name, value) for value in re.split(r",(?![^\[]*\])", values)]
    return grid


def kind_of(name: str, kinds: Sequence[type]) -> type:
    """The kind of settings that has one of that name; InputError, naming the nearest, where none has."""
    for kind in kinds:
        if name in setting_names(kind):
            return kind
    near = difflib.get_close_matches(name, [known for kind in kinds for known in setting_names(kind)], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see i2md pretrain --help"
    raise InputError(f"unknown setting {name!r}: {hint}")


def _read(kind: type, name: str, text: str) -> Any:
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(kind, None)
    try:
        return parser.parse_args([f"--{name}={text}"])[name]
    except ArgumentError as error:
        raise InputError(f"{name}={text}: {' '.join(str(error).split())}") from None


@cache
def setting_names(kind: type = PretrainSettings) -> tuple[str, ...]:
    """The dotted name of every setting of a kind."""
    return tuple(_names(asdict(kind())))


def _names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        yield from _names(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Every combination, the last setting's values changing fastest.

    >>> combinations({"method": ["cmd", "i2md"], "batch": [8]})
    [{'method': 'cmd', 'batch': 8}, {'method': 'i2md', 'batch': 8}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def changed(base: Settings, values: Combination) -> Settings:
    """Settings of any kind with other values; InputError where they then contradict one another."""
    data = json.loads(json.dumps(asdict(base)))  # type: ignore[call-overload]
    for name, value in values.items():
        *rooms, last = name.split(".")
        place = data
        for room in rooms:
            place = place[room]
        place[last] = list(value) if isinstance(value, tuple) else value
    return checked_settings(type(base), data)


def run_names(chosen: Sequence[Combination], seeds: Sequence[int]) -> dict[str, tuple[Combination, int]]:
    """The folder's name of each run.

    >>> list(run_names([{"method": "cmd", "batch": 8}], [0, 1]))
    ['method=cmd,batch_size=8,seed=0', 'method=cmd,batch_size=8,seed=1']
    """
    names: dict[str, tuple[Combination, int]] = {}
    for seed, combination in product(seeds, chosen):
        words = {**combination, "seed": seed}
        name = folder_name(",".join(f"{key}={value_word(value)}" for key, value in words.items()))
        if name in names:
            raise InputError(f"two runs would be called {name}; name each value and each seed once")
        if len(name) > _LONGEST_NAME:
            raise InputError(f"{name}: too long for a folder's name; sweep fewer settings at once")
        names[name] = combination, seed
    return names


def folder_name(text: str) -> str:
    """A text as the name of a folder.

    >>> folder_name("positive mining,seed=0")
    'positive_mining,seed=0'
    """
    return re.sub(r"[^\w.+=,-]", "_", text)


def value_word(value: Any) -> str:
    """A value as it stands in a name."""
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
