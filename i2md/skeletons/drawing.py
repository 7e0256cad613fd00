"""A drawing of a layout: its joints by number in a resting pose seen from the front, for the terminal or as a PNG.

Joints of known parts of the body stand where a person has them; the person's left is on the right, as in a photograph.
Others fan out from their parents.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from i2md.skeletons.body_parts import body_parts
from i2md.skeletons.layout import Layout

# Of a standing person 1.7 m tall: metres to the left of the middle, and above the floor.
_POSE = {
    "pelvis": (0.0, 0.95),
    "lower spine": (0.0, 1.05),
    "spine": (0.0, 1.15),
    "upper spine": (0.0, 1.3),
    "neck": (0.0, 1.42),
    "upper neck": (0.0, 1.5),
    "head": (0.0, 1.62),
    "head top": (0.0, 1.74),
    "nose": (0.0, 1.56),
    "eye": (0.04, 1.64),
    "ear": (0.1, 1.6),
    "collar": (0.08, 1.4),
    "shoulder": (0.2, 1.4),
    "elbow": (0.36, 1.15),
    "wrist": (0.48, 0.9),
    "hand": (0.53, 0.8),
    "hand tip": (0.57, 0.7),
    "thumb": (0.44, 0.78),
    "hip": (0.12, 0.92),
    "knee": (0.15, 0.5),
    "ankle": (0.17, 0.1),
    "heel": (0.13, 0.03),
    "foot": (0.25, 0.0),
    "small toe": (0.32, 0.03),
}
# The landmarks of a face, larger than life: they are many.
_POSE |= {
    **{f"jaw {i + 1}": (0.16 * np.cos(i * np.pi / 16), 1.66 - 0.24 * np.sin(i * np.pi / 16)) for i in range(8)},
    **{f"eyebrow {i + 1}": (0.12 - 0.022 * i, 1.74 + 0.005 * min(i, 4 - i)) for i in range(5)},
    **{f"nose bridge {i + 1}": (0.0, 1.69 - 0.03 * i) for i in range(4)},
    "chin": (0.0, 1.42),
    "nostril 1": (0.04, 1.575),
    "nostril 2": (0.02, 1.57),
    "nose base": (0.0, 1.565),
    "outer eye corner": (0.11, 1.675),
    "outer upper eyelid": (0.085, 1.695),
    "inner upper eyelid": (0.06, 1.695),
    "inner eye corner": (0.035, 1.675),
    "inner lower eyelid": (0.06, 1.66),
    "outer lower eyelid": (0.085, 1.66),
    "mouth corner": (0.075, 1.51),
    "outer upper lip": (0.05, 1.53),
    "upper lip": (0.025, 1.54),
    "outer lower lip": (0.05, 1.485),
    "lower lip": (0.025, 1.475),
    "inner mouth corner": (0.055, 1.51),
    "inner upper lip": (0.025, 1.52),
    "inner lower lip": (0.025, 1.497),
}
# Bones of joints that are not known: metres, and the angle over which brothers and sisters fan out.
_STEP, _FAN = 0.05, np.radians(140)
_SIDES = {"left": 1.0, "right": -1.0}
# Drawn where a hand has them only if they hang from it and not from other joints of their finger.
_FINGERS = ("thumb", "hand tip")


def resting_pose(layout: Layout) -> Float[np.ndarray, "joints 2"]:
    """Where each joint is drawn: metres to the right on the page, and upwards.

    Args:
        layout: The layout.

    Example:
        >>> from i2md.skeletons import get_layout
        >>> layout = get_layout("coco-17")
        >>> resting_pose(layout)[layout.joints.index("left wrist")].tolist()
        [0.48, 0.9]
    """
    names = {joint: part for part, joint in body_parts(layout).items()}
    sides = [_SIDES.get(names.get(joint, name).split(" ")[0], 0.0) for joint, name in enumerate(layout.joints)]
    pose = np.full((len(layout.joints), 2), np.nan)
    for joint, part in names.items():
        name = part.split(" ", 1)[1] if sides[joint] else part
        above = names.get(layout.parents[joint], "").split(" ", 1)[-1]
        if name in _POSE and (name not in _FINGERS or above in _POSE):
            pose[joint] = sides[joint] * _POSE[name][0], _POSE[name][1]
    if np.isnan(pose[layout.root]).any():
        pose[layout.root] = 0.0, 1.0
    for joint in _from_the_root(layout):
        ahead = pose[joint] - pose[layout.parents[joint]]
        angle = np.arctan2(ahead[1], ahead[0]) if ahead.any() else np.pi / 2
        unknown = [child for parent, child in layout.bones if parent == joint and np.isnan(pose[child]).any()]
        for side in (0.0, 1.0, -1.0):
            fan = [child for child in unknown if sides[child] == side]
            # Joints of one side that hang from the middle go to that side, and mirror those of the other.
            towards = angle if sides[joint] == side else np.pi / 2 - side * np.pi / 3
            width = _FAN if sides[joint] == side else _FAN / 2
            turns = np.linspace(side or 1, -(side or 1), len(fan)) * width / 2 if len(fan) > 1 else np.zeros(1)
            for child, turn in zip(fan, turns, strict=False):
                pose[child] = pose[joint] + _STEP * np.array([np.cos(towards + turn), np.sin(towards + turn)])
    return pose


def _from_the_root(layout: Layout) -> Iterator[int]:
    waiting = [layout.root]
    while waiting:
        joint = waiting.pop(0)
        yield joint
        waiting += [child for parent, child in layout.bones if parent == joint]


def draw_text(layout: Layout, columns: int = 72, rows: int = 36) -> str:
    """Draw a layout with characters: joints as their numbers, bones as dots.

    Args:
        layout: The layout.
        columns: Width at most, in characters.
        rows: Height at most, in lines.

    Returns:
        The lines, joined. A number for which there is no room is left out.
    """
    pose = resting_pose(layout)
    low, size = pose.min(axis=0), np.maximum(np.ptp(pose, axis=0), 1e-6)
    # A character is about twice as high as wide.
    scale = min((columns - 4) / (2 * size[0]), (rows - 1) / size[1])
    cells = np.rint((pose - low) * scale * [2, 1]).astype(int)
    width, height = int(cells[:, 0].max()) + 4, int(cells[:, 1].max()) + 1
    grid = [[" "] * width for _ in range(height)]
    for parent, child in layout.bones:
        count = int(np.abs(cells[child] - cells[parent]).max()) + 1
        for x, y in np.rint(np.linspace(cells[parent], cells[child], count)).astype(int):
            grid[height - 1 - y][x] = "."
    taken: set[tuple[int, int]] = set()
    for joint, (x, y) in enumerate(cells):
        text = str(joint)
        for shift in (0, 1, -1, 2, -2):
            place = [(height - 1 - y, x + shift + i) for i in range(-1, len(text) + 1)]
            inner = place[1:-1]
            if all(0 <= column < width for _, column in inner) and not taken & set(place):
                for (row, column), letter in zip(inner, text, strict=True):
                    grid[row][column] = letter
                taken |= set(inner)
                break
    return "\n".join("".join(row).rstrip() for row in grid)


def draw_png(layout: Layout) -> bytes:
    """Draw a layout as a PNG: joints as numbered dots, the person's left and right side in two colours.

    Args:
        layout: The layout.

    Returns:
        The content of the file.
    """
    from matplotlib.figure import Figure

    pose = resting_pose(layout)
    size = np.ptp(pose, axis=0)
    many = len(layout.joints) > 60
    height = 14.0 if many else 8.0
    figure = Figure(figsize=(max(height * size[0] / max(size[1], 1e-6), 4.0) + 2, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(f"{layout.name}: {len(layout.joints)} joints")
    for parent, child in layout.bones:
        axes.plot(*pose[[parent, child]].T, color=_colour(layout, child), linewidth=1.0 if many else 2.5, zorder=1)
    for joint, (x, y) in enumerate(pose):
        axes.plot(x, y, "o", color=_colour(layout, joint), markersize=3 if many else 8, zorder=2)
        axes.annotate(
            str(joint), (x, y), (4, 4), textcoords="offset points", fontsize=5 if many else 9, color="black", zorder=3
        )
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()


def _colour(layout: Layout, joint: int) -> str:
    """Teal on the person's left, orange on the right, grey in the middle: told apart by colour-blind readers, too."""
    part = next((part for part, known in body_parts(layout).items() if known == joint), "")
    return {"left": "#00796b", "right": "#e65100"}.get(part.split(" ")[0], "#546e7a")
