"""Whether the third number of each joint may be a confidence that was taken for z.

Exporters of 2-D keypoints write x, y and a confidence one after another, and files without names of columns, or arrays,
do not say so. Where x and y are fractions of an image, all three lie within 0 and 1; a depth in metres or in pixels
hardly ever does, and MediaPipe's is negative for half of the joints.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
from jaxtyping import Float

from i2md.data.recording import Divisible, Recording, Source

# Joints outside of the image are a few.
_IN_IMAGE = 0.95
_TRIED = 10


def confidence_warnings(source: Source) -> tuple[str, ...]:
    """Warn where the first recording's third coordinate looks like a confidence.

    Args:
        source: Recordings as they are in their files. Those of a known unit, or of MediaPipe, are what they say.

    Returns:
        One sentence, or none.
    """
    if source.layout.channels != 3 or source.units != "unknown":
        return ()
    read = source.read.part(0, _TRIED) if isinstance(source.read, Divisible) else source.read
    first = next((each for each in islice(read(), _TRIED) if isinstance(each, Recording)), None)
    if first is None or not looks_like_confidence(first.positions):
        return ()
    return (
        f"third coordinate: x, y and z of {first.name} all lie within 0 and 1, as fractions of an image and a"
        " confidence do; if z is one, say so: of a table by --columns, with confidence= in place of z= (x,y,confidence"
        " where columns have no names); of arrays give x and y alone",
    )


def looks_like_confidence(positions: Float[np.ndarray, "persons frames joints 3"]) -> bool:
    """Whether x and y are fractions of an image, and the third coordinate may be a confidence.

    Args:
        positions: Positions as recorded, zeros or NaN where there are none.

    Returns:
        True if so.

    Example:
        >>> looks_like_confidence(np.full((1, 2, 3, 3), 0.5)), looks_like_confidence(np.full((1, 2, 3, 3), 1.5))
        (True, False)
    """
    seen = positions[positions[..., :2].any(axis=-1) & np.isfinite(positions).all(axis=-1)]
    if not len(seen) or not ((seen[:, 2] >= 0) & (seen[:, 2] <= 1)).all():
        return False
    return float(((seen[:, :2] >= 0) & (seen[:, :2] <= 1)).mean()) >= _IN_IMAGE
