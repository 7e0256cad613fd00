"""Forward kinematics: from the rotations of a hierarchy's joints to positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation


def rotations(order: str, degrees: Float64[np.ndarray, "frames angles"]) -> Float64[np.ndarray, "frames 3 3"]:
    """Rotation matrices of Euler angles about the axes of the joint itself, each after the ones before it.

    Args:
        order: The axes, such as "ZXY"; of any number, each may be there more than once.
        degrees: The angle about each.

    Returns:
        Matrices that turn column vectors; the first axis is applied last.

    Example:
        >>> rotations("Z", np.array([[90.0]]))[0].round().tolist()
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    matrices = np.broadcast_to(np.eye(3), (len(degrees), 3, 3))
    for column, axis in enumerate(order.upper()):
        matrices = matrices @ Rotation.from_euler(axis, degrees[:, column : column + 1], degrees=True).as_matrix()
    return matrices


def forward(
    parents: Sequence[int],
    offsets: Sequence[Float64[np.ndarray, "frames 3"]],
    local: Sequence[Float64[np.ndarray, "frames 3 3"]],
    own_turn: bool = False,
) -> Float64[np.ndarray, "frames joints 3"]:
    """Positions of joints.

    Args:
        parents: Index of each joint's parent, before the joint itself; -1 for the root.
        offsets: Position of each joint relative to its parent, in the parent's axes; of the root in those of the world.
        local: Rotation of each joint's axes relative to its parent's.
        own_turn: Offsets are in the joint's own axes, as those of bones that end in it.

    Returns:
        Positions in the axes of the world.
    """
    turned: list[np.ndarray] = []
    placed: list[np.ndarray] = []
    for parent, offset, turn in zip(parents, offsets, local, strict=True):
        if parent < 0:
            turned.append(turn)
            placed.append(offset)
            continue
        turned.append(turned[parent] @ turn)
        axes = turned[-1] if own_turn else turned[parent]
        placed.append(placed[parent] + np.einsum("fij,fj->fi", axes, offset))
    return np.stack(placed, axis=1)
