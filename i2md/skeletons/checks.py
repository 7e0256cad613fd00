"""What looks wrong with a layout that does not contradict itself: sides, bones, and names that no other layout has."""

from __future__ import annotations

from i2md.errors import InputError
from i2md.skeletons.body_parts import body_parts
from i2md.skeletons.files import get_layout
from i2md.skeletons.layout import Layout
from i2md.skeletons.mapping import map_joints

# What clips are most often converted to.
_COMMON = "kinect-v1"
_OTHER = {"left": "right", "right": "left"}


def layout_warnings(layout: Layout) -> list[str]:
    """Describe what looks wrong with a layout.

    Args:
        layout: The layout.

    Returns:
        A sentence for each finding: joints that are named left and right but are no mirror pair, mirrored bones that
        are none, `across` from right to left, and joints that cannot be converted.

    Example:
        >>> layout_warnings(get_layout("kinect-v2"))
        []
    """
    side = _sides(layout)
    names = layout.joints
    found = []
    for joint, other in enumerate(layout.mirror):
        if joint in side and side.get(other) != _OTHER[side[joint]]:
            found.append(f"mirror: {names[joint]} is {side[joint]} by its name, its counterpart {names[other]} is not")
    bones = set(layout.bones)
    uneven = [child for parent, child in layout.bones if (layout.mirror[parent], layout.mirror[child]) not in bones]
    if uneven:
        listed = ", ".join(names[joint] for joint in uneven[:5])
        found.append(f"parents: the bones to {listed} have no counterpart on the other side")
    if side.get(layout.across[0]) == "right" or side.get(layout.across[1]) == "left":
        found.append(f"across: {names[layout.across[0]]} comes first; the person's left joint does")
    try:
        missing = map_joints(layout, get_layout(_COMMON)).missing
    except InputError as error:
        found.append(f"conversion: {error}")
    else:
        if missing and layout.name != _COMMON:
            found.append(f"conversion: {', '.join(missing)} of {_COMMON} cannot be had by the names of the joints")
    return found


def _sides(layout: Layout) -> dict[int, str]:
    """The side of each joint that has one by its name."""
    words = ((joint, part.split(" ")[0]) for part, joint in body_parts(layout).items())
    return {joint: word for joint, word in words if word in _OTHER}
