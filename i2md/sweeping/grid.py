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
from i2md.pretraining.run import settings_from_dict
from i2md.pretraining.settings import PretrainSettings

# A combination: a value for each setting of the grid.
Combination = Mapping[str, Any]
_LONGEST_NAME = 200


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """Values by setting out of words such as `method=cmd,i2md`, each as `i2md pretrain` would read it.

    A comma within brackets does not part values. InputError where a name or a value is not one.

    >>> parse_grid(["objectives.dna_neighbours=2,4", "streams=[joint,bone],[joint,motion]"])
    {'objectives.dna_neighbours': [2, 4], 'streams': [('joint', 'bone'), ('joint', 'motion')]}
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        if not sign or not values:
            raise InputError(f"{word!r} is no setting with values; write NAME=VALUE,VALUE")
        if name == "seed":
            raise InputError("the seed is no setting of the grid; give --seeds 0 1 2")
        if name in grid:
            raise InputError(f"the grid names {name} twice; write all its values behind one NAME=")
        grid[name] = [_read(name, value) for value in re.split(r",(?![^\[]*\])", values)]
    return grid


def _read(name: str, text: str) -> Any:
    from jsonargparse import ArgumentError, ArgumentParser

    known = setting_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        raise InputError(f"unknown setting {name!r}: {f'did you mean {near[0]}?' if near else 'see i2md sweep --help'}")
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_class_arguments(PretrainSettings, None)
    try:
        return parser.parse_args([f"--{name}={text}"])[name]
    except ArgumentError as error:
        raise InputError(f"{name}={text}: {' '.join(str(error).split())}") from None


@cache
def setting_names() -> tuple[str, ...]:
    """Every setting's dotted name."""
    return tuple(_names(asdict(PretrainSettings())))


def _names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        yield from _names(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Every combination, the last setting's values changing fastest.

    >>> combinations({"method": ["cmd", "i2md"], "batch": [8]})
    [{'method': 'cmd', 'batch': 8}, {'method': 'i2md', 'batch': 8}]
    """
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def settings_of(base: PretrainSettings, combination: Combination, seed: int) -> PretrainSettings:
    """The settings of one run; InputError where they contradict one another."""
    data = json.loads(json.dumps(asdict(base)))
    for name, value in {**combination, "seed": seed}.items():
        *rooms, last = name.split(".")
        place = data
        for room in rooms:
            place = place[room]
        place[last] = list(value) if isinstance(value, tuple) else value
    return settings_from_dict(data)


def run_names(chosen: Sequence[Combination], seeds: Sequence[int]) -> dict[str, tuple[Combination, int]]:
    """The folder's name of each run.

    >>> list(run_names([{"method": "cmd", "batch": 8}], [0, 1]))
    ['method=cmd,batch=8,seed=0', 'method=cmd,batch=8,seed=1']
    """
    names: dict[str, tuple[Combination, int]] = {}
    for seed, combination in product(seeds, chosen):
        words = {**combination, "seed": seed}
        name = re.sub(r"[^\w.+=,-]", "_", ",".join(f"{key}={value_word(value)}" for key, value in words.items()))
        if name in names:
            raise InputError(f"two runs would be called {name}; name each value and each seed once")
        if len(name) > _LONGEST_NAME:
            raise InputError(f"{name}: too long for a folder's name; sweep fewer settings at once")
        names[name] = combination, seed
    return names


def value_word(value: Any) -> str:
    """A value as it stands in a name."""
    return "+".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
