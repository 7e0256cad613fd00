"""Commands on what comes with the package: recipes and layouts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from i2md.errors import InputError

PathLike = str | os.PathLike[str]


def recipes(
    *, action: Literal["list", "show", "copy"] = "list", name: str | None = None, file: PathLike | None = None
) -> dict[str, Any]:
    """List the recipes, show one, or copy one to a file of your own.

    Args:
        action: list, show or copy.
        name: Recipe to show or copy.
        file: YAML file to write the copy to; it must not exist.

    Returns:
        `recipes`, one line each by name; or the `recipe` with its `text`, and the `file` of the copy.

    Raises:
        InputError: There is no recipe of that name, or the file exists.
    """
    from i2md.recipes import describe_recipe, recipe_names, recipe_path
    from i2md.runtime.io import write_text

    if action == "list":
        return {"recipes": {known: describe_recipe(known) for known in recipe_names()}}
    path = recipe_path(_required("recipes", action, "NAME", name))
    text = path.read_text(encoding="utf-8")
    if action == "show":
        return {"recipe": name, "text": text}
    target = Path(_required("recipes", action, "FILE", file))
    if target.exists():
        raise InputError(f"{target}: already exists; name a file that does not")
    write_text(target, text)
    return {"recipe": name, "file": str(target)}


def _required(command: str, action: str, what: str, value: Any) -> Any:
    if value is None:
        raise InputError(f"i2md {command} {action} needs {what}; see i2md {command} --help")
    return value
