"""A clip as the text of an NTU RGB+D `.skeleton` file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from i2md.synthetic.number_text import number_text

# Kinect v2: degrees of view become pixels of the depth image (512 x 424) and of the colour image (1920 x 1080).
_DEPTH = (366.0, 256.0, 212.0)
_COLOUR = (1060.0, 960.0, 540.0)
# Nearer than this the sensor sees nobody, and pixels would have no end.
_NEAREST = 0.5
_TRACKED, _INFERRED = 2, 1


@dataclass(frozen=True)
class Tracked:
    """What the sensor tells of a clip: bodies with their tracking ids, and when each of them is there.

    `order` is the order of the bodies within each frame.
    """

    positions: Float[np.ndarray, "bodies frames 25 3"]
    inferred: Bool[np.ndarray, "bodies frames 25"]
    present: Bool[np.ndarray, "bodies frames"]
    ids: Int64[np.ndarray, " bodies"]
    order: Int64[np.ndarray, "frames bodies"]


def skeleton_text(clip: Tracked, chance: np.random.Generator) -> bytes:
    """The file's text, lines ending in LF. `chance` draws what nobody reads: orientations and how bodies lean."""
    frames = clip.present.shape[1]
    here = np.take_along_axis(clip.present.T, clip.order, axis=1)
    at, place = np.nonzero(here)
    body = clip.order[at, place]
    joints = _joint_lines(clip.positions[body, at], clip.inferred[body, at], chance)
    leans = chance.uniform(-0.3, 0.3, (len(at), 2)).tolist()
    parts: list[bytes] = [b"%d\n" % frames]
    following = 0
    for count in here.sum(axis=1).tolist():
        parts.append(b"%d\n" % count)
        for row in range(following, following + count):
            parts.append(b"%d 0 1 1 1 1 0 %.7g %.7g 2\n25\n" % (clip.ids[body[row]], *leans[row]))
            parts.append(joints[row])
        following += count
    return b"".join(parts).translate(None, b"\0")


def _joint_lines(
    positions: Float[np.ndarray, "rows 25 3"], inferred: Bool[np.ndarray, "rows 25"], chance: np.random.Generator
) -> list[bytes]:
    """Of each body in each frame its 25 lines, zero bytes among them."""
    if not len(positions):
        return []
    orientation = chance.normal(size=(*inferred.shape, 4))
    orientation /= np.linalg.norm(orientation, axis=-1, keepdims=True)
    state = np.where(inferred, _INFERRED, _TRACKED)[..., None]
    fields = [positions, _pixels(positions, *_DEPTH), _pixels(positions, *_COLOUR), orientation, state]
    text = number_text(np.concatenate(fields, axis=-1).reshape(-1, 12))
    return [rows.tobytes() for rows in text.reshape(len(positions), -1)]


def _pixels(
    positions: Float[np.ndarray, "rows 25 3"], scale: float, across: float, down: float
) -> Float[np.ndarray, "rows 25 2"]:
    ahead = np.maximum(positions[..., 2], _NEAREST)
    return np.stack([across + scale * positions[..., 0] / ahead, down - scale * positions[..., 1] / ahead], axis=-1)
