"""Files that hold the hierarchy of their joints: it becomes the layout, or its joints are matched with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from i2md.data.readers.files import File, load_file
from i2md.data.readers.joint_names import match_layout
from i2md.data.readers.name_tables import shown
from i2md.data.readers.poses import first_parsed
from i2md.errors import InputError
from i2md.skeletons import Layout, get_layout, make_layout


@dataclass(frozen=True)
class Hierarchy:
    """Joints of files, and where the layout has them."""

    layout: Layout
    names: tuple[str, ...]
    """The joints of the file that are read."""
    places: tuple[int, ...]
    """For each the joint of the layout."""

    def spread(self, positions: Float64[np.ndarray, "frames read 3"]) -> Float64[np.ndarray, "frames joints 3"]:
        """The positions of all joints of the layout; NaN for those that the file does not have.

        Args:
            positions: Positions of the joints `names`.
        """
        spread = np.full((len(positions), len(self.layout.joints), 3), np.nan)
        spread[:, list(self.places)] = positions
        return spread


def match_hierarchy(
    path: Path,
    files: Sequence[File],
    parse: Callable[[bytes], tuple[tuple[str, ...], tuple[int, ...]]],
    name: str,
    layout: str | None,
) -> tuple[Hierarchy, dict[str, int]]:
    """Find the layout of files with hierarchies.

    Args:
        path: What was given, for messages.
        files: Files of hierarchies.
        parse: Reads the names and the parents (-1 for the root) of joints from a file's bytes.
        name: Name of the format, with which that of a new layout begins.
        layout: Name or file of a layout, if given.

    Returns:
        The joints of the first file that can be read, and counts of joints that are left out.

    Raises:
        InputError: If no file can be read, or its joints are no layout or none of the given one.
    """
    names, parents = first_parsed(path, files, lambda file: parse(load_file(file)))
    if layout is None:
        return Hierarchy(_own(path, name, names, parents), names, tuple(range(len(names)))), {}
    return _given(path, names, get_layout(layout))


def _own(path: Path, name: str, names: tuple[str, ...], parents: tuple[int, ...]) -> Layout:
    try:
        return make_layout(f"{name}-{len(names)}", names, parents)
    except InputError as error:
        raise InputError(f"{path}: its hierarchy is no layout ({error}); give --layout my.yaml") from None


def _given(path: Path, names: tuple[str, ...], layout: Layout) -> tuple[Hierarchy, dict[str, int]]:
    match = match_layout(names, layout)
    places = tuple(joint for joint, at in enumerate(match.order) if at >= 0)
    if not places:
        raise InputError(f"{path}: none of the joints {shown(', '.join(names))} is one of layout {layout.name}")
    left_out = {}
    if match.missing:
        left_out[f"joints of layout {layout.name} that are not there, such as {match.missing[0]}"] = len(match.missing)
    unused = [name for at, name in enumerate(names) if at not in match.order]
    if unused:
        left_out[f"joints that layout {layout.name} lacks, such as {shown(unused[0])}"] = len(unused)
    return Hierarchy(layout, tuple(names[at] for at in match.order if at >= 0), places), left_out
