"""Which joints have no value, before and after preparation: the rule of docs/my-data/missing-joints.md."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from i2md.skeletons import Layout


def missing_joints(
    positions: Float[np.ndarray, "persons frames joints channels"], layout: Layout
) -> Bool[np.ndarray, "persons frames joints"]:
    """Find the joints without a value in frames in which their person is seen.

    Args:
        positions: Positions; a coordinate that is not finite, or zeros in all of them, mean that there is no value.
        layout: Of the joints; its centre may be the origin.

    Returns:
        True where a joint is missing. A person who is not seen in a frame has no missing joints there.

    Example:
        >>> from i2md.skeletons import get_layout
        >>> body = np.ones((1, 2, 20, 3))
        >>> body[0, 1, 5] = np.nan
        >>> missing_joints(body, get_layout("kinect-v1")).sum(axis=2).tolist()
        [[0, 1]]
    """
    finite = np.isfinite(positions).all(axis=-1)
    held = finite & np.asarray(positions.any(axis=-1))
    at_origin = finite.copy()
    at_origin[..., [joint for joint in range(positions.shape[2]) if joint != layout.centre]] = False
    return ~held & ~at_origin & held.any(axis=-1)[..., None]
