"""Commands on what comes with the package: recipes and layouts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from i2md.errors import InputError

if TYPE_CHECKING:
    from i2md.skeletons import Layout

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


def layouts(
    *,
    action: Literal["list", "show", "draw", "check", "copy"] = "list",
    name: str | None = None,
    file: PathLike | None = None,
) -> dict[str, Any]:
    """List the joint layouts, show, draw or check one or a file of your own, or copy one to start from.

    Args:
        action: list, show, draw (joints by number), check, or copy.
        name: Layout, or a YAML file of your own; show also says what is inferred of it.
        file: YAML file to write the copy to, or PNG file to draw to instead of the terminal; it must not exist.

    Returns:
        `layouts`, one line each by name; or the `layout` with its joints and axes, by name, and the keys `inferred`
        from the names of the joints; or its `drawing`; or the `warnings` of the check; or the `file` that was written.

    Raises:
        InputError: There is no such layout, its file contradicts itself, or the target exists.
    """
    from i2md.runtime.io import atomic_write, check_target, write_text
    from i2md.skeletons import layout_file, layout_names, layout_path
    from i2md.skeletons.checks import layout_warnings
    from i2md.skeletons.drawing import draw_png, draw_text

    if action == "list":
        return {"layouts": {known: layout_file(known).comment for known in layout_names()}}
    name = _required("layouts", action, "NAME", name)
    found = layout_file(name)
    if action == "show":
        return {**describe_layout(found.layout), "inferred": list(found.inferred)}
    if action == "check":
        warnings = layout_warnings(found.layout)
        return {"layout": found.layout.name, "joints": len(found.layout.joints), "warnings": warnings}
    if action == "draw" and file is None:
        return {"layout": found.layout.name, "drawing": draw_text(found.layout), "joints": list(found.layout.joints)}
    target = Path(_required("layouts", action, "FILE", file))
    if target.exists():
        raise InputError(f"{target}: already exists; name a file that does not")
    if action == "draw":
        check_target(target, file=True)
        with atomic_write(target) as partial:
            partial.write_bytes(draw_png(found.layout))
        return {"layout": found.layout.name, "file": str(target), "drawn": True}
    write_text(target, layout_path(name).read_text(encoding="utf-8"))
    return {"layout": name, "file": str(target)}


def describe_layout(layout: Layout) -> dict[str, Any]:
    """A layout by the names of its joints, as plain data.

    Args:
        layout: Joint layout.
    """
    names = layout.joints
    sides = {names[j]: names[other] for j, other in enumerate(layout.mirror) if j < other}
    return {
        "layout": layout.name,
        "joints": {name: None if layout.parents[j] == j else names[layout.parents[j]] for j, name in enumerate(names)},
        "mirror": sides,
        "centre": names[layout.centre],
        "across": [names[j] for j in layout.across],
        "spine": [names[j] for j in layout.spine],
        "up": list(layout.up),
    }


def _required(command: str, action: str, what: str, value: Any) -> Any:
    if value is None:
        raise InputError(f"i2md {command} {action} needs {what}; see i2md {command} --help")
    return value
