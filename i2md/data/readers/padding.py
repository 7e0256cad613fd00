"""Zero padding: what arrays of equal size hold where a clip has ended or nobody stands."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Num

from i2md.data.readers.reading import require_sound, to_positions, without_absent_people
from i2md.skeletons import Layout


def unpadded(
    values: Num[np.ndarray, "persons frames joints channels"], layout: Layout, length: int | None = None
) -> Float32[np.ndarray, "present length joints channels"]:
    """A copy without the frames after the clip's last and without the people who are never there.

    `length` is the clip's number of frames; where it is not told the clip ends after its last frame that is not
    all zeros. Raises BadFile where the positions are not sound.
    """
    positions = to_positions(values[:, : frames_used(values) if length is None else length])
    require_sound(positions, layout)
    return without_absent_people(positions)


def frames_used(values: Num[np.ndarray, "persons frames joints channels"]) -> int:
    """Frames up to the last that is not all zeros; all of them where every frame is zero.

    >>> frames_used(np.array([1, 0, 1, 0]).reshape(1, 4, 1, 1))
    3
    """
    # A damaged file may hold NaNs of the signalling kind; whoever checks the coordinates tells of them.
    with np.errstate(invalid="ignore"):
        used = np.flatnonzero(values.any(axis=(0, 2, 3)))
    return int(used[-1]) + 1 if len(used) else values.shape[1]
