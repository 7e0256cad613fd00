"""Joint layouts as YAML files: those that come with the package, and a user's own.

A file holds `joints`, each with its parent, in the order of the recordings; the root's parent is null:

    joints:
      hips: null
      left knee: hips
      right knee: hips

Instead, `joints` may be a list of names and `parents` a list of names or 0-based indices, null or -1 for the root. The
other keys are optional and inferred from the names where they are left out (i2md.skeletons.inference): `mirror` (pairs,
as `{left knee: right knee}`), `centre`, `across` ([left joint, right joint]), `spine` ([lower joint, upper joint]),
`up` ([0, 1, 0]; the vertical of positions in space), and `name` (the file's). `parts` (lists of joints by the name of
the group) is empty if it is left out. Whether joints have two or three coordinates is up to the recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from i2md.errors import InputError, suggestion
from i2md.runtime.plain_data import read_yaml
from i2md.skeletons.inference import infer_across, infer_centre, infer_mirror, infer_spine
from i2md.skeletons.layout import Layout

_KEYS = ("name", "joints", "parents", "parts", "mirror", "centre", "across", "spine", "up")
_INFERRED = ("mirror", "centre", "across", "spine", "up")


class LayoutFile(NamedTuple):
    """A layout that was read from a file."""

    layout: Layout
    inferred: tuple[str, ...]
    """The keys that the file leaves out."""
    comment: str
    """The first line of the file, where it is a comment."""


def get_layout(name: str) -> Layout:
    """A layout by its name or file.

    Args:
        name: Name of a layout that comes with the package, or path of a YAML file.

    Returns:
        The layout.

    Raises:
        InputError: There is no such layout or file, or the file is not a layout.

    Example:
        >>> get_layout("kinect-v2").joints[20]
        'neck'
    """
    return layout_file(name).layout


def layout_file(name: str) -> LayoutFile:
    """A layout by its name or file, and what its file leaves out; arguments and errors as of `get_layout`."""
    if name in layout_names():
        return _bundled(name)
    if is_layout_file(name):
        return read_layout(Path(name))
    raise InputError(
        f"layout {name!r} is not known; choose one of {', '.join(layout_names())}, or give a YAML file"
        " (see i2md layouts)"
    )


def layout_path(name: str) -> Path:
    """The YAML file of a layout, given its name or file."""
    bundled = name in layout_names()
    return Path(str(files("i2md.skeletons") / "layouts" / f"{name}.yaml")) if bundled else Path(name)


def is_layout_file(name: str) -> bool:
    """Whether this is the path of a YAML file rather than the name of a layout."""
    return name not in layout_names() and (name.endswith((".yaml", ".yml")) or Path(name).is_file())


@lru_cache(maxsize=1)
def layout_names() -> tuple[str, ...]:
    """The names of the layouts that come with the package."""
    names = (entry.name for entry in (files("i2md.skeletons") / "layouts").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


@cache
def _bundled(name: str) -> LayoutFile:
    return read_layout(layout_path(name))


def read_layout(path: Path) -> LayoutFile:
    """Read a layout from a YAML file.

    Args:
        path: The file; its format is described in this module.

    Returns:
        The layout, and the keys that were inferred.

    Raises:
        InputError: The file cannot be read, or a key contradicts the others; the message names the key.
    """
    try:
        data = read_yaml(path)
        first = path.read_bytes().partition(b"\n")[0].decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a YAML file of a layout") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}; give a YAML file of a layout") from None
    comment = first.removeprefix("#").strip() if first.startswith("#") else ""
    try:
        return _layout(data, path.stem)._replace(comment=comment)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def make_layout(name: str, joints: Sequence[str], parents: Sequence[int], **stated: Any) -> Layout:
    """Make a layout from names and parents, as a hierarchy in a recording gives them.

    Args:
        name: Name of the layout.
        joints: Name of each joint.
        parents: Index of each joint's parent; the root has its own, or -1.
        **stated: What is not to be inferred from the names, by the keys of a layout file: `mirror`, `centre`,
            `across`, `spine`, `up`, `parts`.

    Returns:
        The layout, for positions in space.

    Raises:
        InputError: A key cannot be inferred or contradicts the others; the message names the key.

    Example:
        >>> names = ["Hips", "Spine", "LeftArm", "RightArm", "LeftUpLeg", "RightUpLeg"]
        >>> layout = make_layout("mocap", names, [-1, 0, 1, 1, 0, 0])
        >>> layout.across, layout.spine
        ((2, 3), (0, 1))
    """
    return _layout({"name": name, "joints": list(joints), "parents": list(parents), **stated}, name).layout


def _layout(data: Any, stem: str) -> LayoutFile:
    if not isinstance(data, dict) or "joints" not in data:
        raise InputError("joints: missing; give each joint with its parent, and the root with null")
    for key in data:
        if key == "channels":
            raise InputError("channels: a layout takes 2-D and 3-D recordings alike; remove the line")
        if key not in _KEYS:
            raise InputError(f"{key}: not a key of a layout; {suggestion(str(key), _KEYS)}")
    names, parents = _joints(data)
    index = {name: j for j, name in enumerate(names)}
    mirror = infer_mirror(names, parents, None if "mirror" not in data else _pairs(data["mirror"], index))
    layout = Layout(
        name=str(data.get("name", stem)),
        joints=names,
        parents=parents,
        mirror=mirror,
        centre=_index("centre", data["centre"], index) if "centre" in data else infer_centre(names, parents, mirror),
        across=_two("across", data["across"], index) if "across" in data else infer_across(names, mirror),
        spine=_two("spine", data["spine"], index) if "spine" in data else infer_spine(names, parents, mirror),
        up=_up(data.get("up", (0, 1, 0))),
        parts=_parts(data.get("parts", {}), index),
    )
    return LayoutFile(layout, tuple(key for key in _INFERRED if key not in data), "")


def _joints(data: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and parents, from either way of writing them."""
    given, parents = data["joints"], data.get("parents")
    joints: list[Any]
    if isinstance(given, dict) and parents is None:
        joints, parents = list(given), list(given.values())
    elif isinstance(given, list) and isinstance(parents, list):
        joints = given
    else:
        raise InputError("joints: give each joint with its parent, or a list of names here and one of parents")
    if len(parents) != len(joints):
        raise InputError(f"parents: {len(parents)} for {len(joints)} joints; give one for each")
    for name in joints:
        if not isinstance(name, str):
            raise InputError(f"joints.{name}: a name must be text; put it in quotes")
    if len(set(joints)) < len(joints):
        twice = next(name for name in joints if joints.count(name) > 1)
        raise InputError(f"joints.{twice}: given twice; give each joint a name of its own")
    index = {name: j for j, name in enumerate(joints)}
    found = tuple(
        j if parent in (None, -1) else _index(f"joints.{name}", parent, index)
        for j, (name, parent) in enumerate(zip(joints, parents, strict=True))
    )
    _require_tree(joints, found)
    return tuple(joints), found


def _require_tree(names: Sequence[str], parents: Sequence[int]) -> None:
    roots = [j for j, parent in enumerate(parents) if j == parent]
    if len(roots) > 1:
        raise InputError(f"joints.{names[roots[1]]}: a second root, after {names[roots[0]]}; give it a parent")
    for start in range(len(names)):
        path = [start]
        while parents[path[-1]] != path[-1]:
            path.append(parents[path[-1]])
            if path.count(path[-1]) > 1:
                circle = " > ".join(names[j] for j in path[path.index(path[-1]) :])
                raise InputError(f"joints.{names[path[-1]]}: its parents form a circle, {circle}; the root has null")


def _index(key: str, value: Any, index: Mapping[str, int]) -> int:
    """The index of a joint given by its name or index."""
    if isinstance(value, str) and value in index:
        return index[value]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(index):
        return value
    raise InputError(f"{key}: {value!r} is not a joint; {suggestion(str(value), index)}")


def _two(key: str, value: Any, index: Mapping[str, int]) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or value[0] == value[1]:
        raise InputError(f"{key}: {value!r} must be two different joints; write [joint, joint]")
    return _index(key, value[0], index), _index(key, value[1], index)


def _pairs(value: Any, index: Mapping[str, int]) -> dict[int, int]:
    if not isinstance(value, dict):
        raise InputError(f"mirror: {value!r} must be pairs of joints; write {{left joint: right joint}}")
    pairs: dict[int, int] = {}
    for one, other in value.items():
        a, b = _index("mirror", one, index), _index(f"mirror.{one}", other, index)
        if pairs.get(a, b) != b or pairs.get(b, a) != a:
            raise InputError(f"mirror.{one}: a joint has one counterpart, and two are given; remove one")
        pairs |= {a: b, b: a}
    return pairs


def _parts(value: Any, index: Mapping[str, int]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if not isinstance(value, dict) or not all(isinstance(joints, list) for joints in value.values()):
        raise InputError(f"parts: {str(value)[:80]!r} must be groups of joints; write {{left hand: [joint, joint]}}")
    return tuple(
        (str(part), tuple(_index(f"parts.{part}", j, index) for j in joints)) for part, joints in value.items()
    )


def _up(value: Any) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(isinstance(v, int | float) for v in value):
        raise InputError(f"up: {value!r} must be three numbers; write [0, 1, 0]")
    x, y, z = map(float, value)
    return x, y, z
