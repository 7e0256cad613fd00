"""Recipes: YAML files of pretraining settings, one per published result or data set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

from i2md.errors import InputError
from i2md.pretraining.run import settings_from_dict
from i2md.pretraining.settings import PretrainSettings
from i2md.runtime.plain_data import NotPlainData, read_yaml


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package, sorted."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def recipe_path(name: str) -> Path:
    """Return the YAML file of a recipe.

    Args:
        name: Name of a recipe of the package, or path of a YAML file.

    Raises:
        InputError: It is neither; the message lists the known recipes and the nearest.
    """
    if name in recipe_names():
        return Path(str(files(__name__) / f"{name}.yaml"))
    if Path(name).is_file():
        return Path(name)
    if name == "auto":
        raise InputError("recipe 'auto' is chosen for the clips at hand, by i2md pretrain; name another here")
    near = difflib.get_close_matches(name, recipe_names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"unknown recipe {name!r}: {hint}Known: {', '.join(recipe_names())}, or give a YAML file")


def describe_recipe(name: str) -> str:
    """Return the first sentence of a recipe's comment, below the command that uses it.

    >>> describe_recipe("synthetic")
    'Synthetic recordings (432 clips), a minute or two on one CPU core'
    """
    lines = recipe_path(name).read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines[1:])
    return " ".join(line.removeprefix("#").strip() for line in comment).split(". ")[0].removesuffix(".")


def load_recipe(name: str, **changes: Any) -> PretrainSettings:
    """Load the settings of a recipe, with changes.

    >>> load_recipe("utd-mhad", seed=1, objectives={"queue_size": 512}).objectives.queue_size
    512

    Args:
        name: Name of a recipe of the package, or path of a YAML file.
        changes: Settings by name; a mapping changes nested settings.

    Raises:
        InputError: There is no such recipe, or a setting is unknown or invalid.
    """
    return settings_from_dict(merged(read_recipe(recipe_path(name)), changes))


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe's file.

    Args:
        path: The YAML file.

    Returns:
        The settings that it names, nested and not yet checked.

    Raises:
        InputError: It is not YAML, or not a mapping.
    """
    try:
        data = read_yaml(path)
    except NotPlainData as error:
        raise InputError(f"{path}: {error}; give a recipe, see i2md recipes") from None
    if not isinstance(data, dict | None) or not all(isinstance(name, str) for name in data or ()):
        raise InputError(f"{path}: a recipe is a mapping from settings to their values; see i2md recipes")
    return data or {}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with changes.

    Args:
        base: Settings by name.
        changes: Settings that replace those of the same name; a mapping changes nested settings.

    Returns:
        Both together.
    """
    together = dict(base)
    for key, value in changes.items():
        inner = isinstance(value, Mapping) and isinstance(together.get(key), Mapping)
        together[key] = merged(together[key], value) if inner else value
    return together
