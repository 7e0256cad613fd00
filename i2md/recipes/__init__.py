"""Recipes: YAML files of settings, one a published result or data set; nothing else holds a hyper-parameter."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from i2md.errors import InputError
from i2md.pretraining.run import settings_from_dict
from i2md.pretraining.settings import PretrainSettings


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def recipe_path(name: str) -> Path:
    """The YAML file of a recipe, given its name or a path of one's own."""
    if name in recipe_names():
        return Path(str(files(__name__) / f"{name}.yaml"))
    if Path(name).is_file():
        return Path(name)
    raise InputError(f"recipe {name!r} is neither a file nor one of {', '.join(recipe_names())}")


def describe_recipe(name: str) -> str:
    """The first sentence of a recipe's comment, below the command that uses it.

    >>> describe_recipe("synthetic")
    'Synthetic recordings (432 clips), some minutes on two CPU cores'
    """
    lines = recipe_path(name).read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines[1:])
    return " ".join(line.removeprefix("#").strip() for line in comment).split(". ")[0].removesuffix(".")


def load_recipe(name: str, **changes: Any) -> PretrainSettings:
    """The settings of a recipe, with changes: `load_recipe("utd-mhad", seed=1, method="cmd")`.

    A nested setting is changed by a mapping: `objectives={"queue": 512}`.
    """
    data = yaml.safe_load(recipe_path(name).read_text(encoding="utf-8")) or {}
    return settings_from_dict(_merge(data, changes))


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if inner else value
    return merged
