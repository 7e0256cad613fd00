"""The publisher's format of NTU RGB+D: sample names in the published ranges, and the text of a `.skeleton` file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from i2md.data.readers.ntu_rgbd_splits import NAME, missing_names
from i2md.synthetic.text_files import number_text

_GOLDEN_SECTION = 0.6180339887
# Kinect v2, focal length and centre in pixels of the depth image (512 x 424) and of the colour image (1920 x 1080).
_DEPTH = (366.0, 256.0, 212.0)
_COLOUR = (1060.0, 960.0, 540.0)
# Depth in metres below which pixels are computed as at this depth; the sensor tracks nobody so near.
_NEAREST = 0.5
_TRACKED, _INFERRED = 2, 1


class NameRange(NamedTuple):
    """Names SsssCcccPpppRrrrAaaa with numbers in these ranges, first and last included."""

    setup: tuple[int, int]
    camera: tuple[int, int]
    subject: tuple[int, int]
    trial: tuple[int, int]
    action: tuple[int, int]

    def size(self) -> int:
        """Number of names."""
        return math.prod(last - first + 1 for first, last in self)

    def name(self, index: int) -> str:
        """The name with this index."""
        numbers = []
        for first, last in self:
            index, number = divmod(index, last - first + 1)
            numbers.append(first + number)
        return "S{:03d}C{:03d}P{:03d}R{:03d}A{:03d}".format(*numbers)

    def holds(self, name: str) -> bool:
        """Whether a name is in these ranges."""
        numbers = map(int, NAME.fullmatch(name).groups())  # type: ignore[union-attr]
        return all(first <= number <= last for number, (first, last) in zip(numbers, self, strict=True))


# NTU RGB+D 120 is NTU RGB+D 60 and a second part.
_NTU_60 = NameRange((1, 17), (1, 3), (1, 40), (1, 2), (1, 60))
_ADDED_120 = NameRange((18, 32), (1, 3), (1, 106), (1, 2), (61, 120))
EDITIONS = {"ntu60": (_NTU_60,), "ntu120": (_NTU_60, _ADDED_120)}


def available_names(edition: str, seed: int) -> Iterator[str]:
    """Yield sample names that are not on the publisher's list of incomplete samples.

    Args:
        edition: ntu60 or ntu120.
        seed: Seed of the order.

    Yields:
        Distinct names; those of the two parts of ntu120 alternate.
    """
    parts = [_shuffled(part, seed) for part in EDITIONS[edition]]
    for names in zip(*parts, strict=False):
        yield from (name for name in names if name not in missing_names())


def most_names(edition: str) -> int:
    """Count the names that `available_names` yields at least.

    Args:
        edition: ntu60 or ntu120.

    Returns:
        The number of names.
    """
    parts = EDITIONS[edition]
    return len(parts) * (min(part.size() for part in parts) - len(missing_names()))


def listed_names(edition: str, seed: int) -> Iterator[str]:
    """Yield the names on the publisher's list of incomplete samples, shuffled.

    Args:
        edition: ntu60 or ntu120.
        seed: Seed of the order.

    Yields:
        302 names of ntu60, or 535 of ntu120.
    """
    listed = sorted(name for name in missing_names() if any(part.holds(name) for part in EDITIONS[edition]))
    yield from (listed[at] for at in np.random.default_rng((seed, len(listed))).permutation(len(listed)))


def _shuffled(part: NameRange, seed: int) -> Iterator[str]:
    """Every name once, in steps of about the golden section of their number, from a random start."""
    size = part.size()
    step = round(size * _GOLDEN_SECTION)
    while math.gcd(step, size) > 1:
        step += 1
    start = int(np.random.default_rng((seed, size)).integers(size))
    return (part.name((start + at * step) % size) for at in range(size))


@dataclass(frozen=True)
class TrackedBodies:
    """The bodies that a sensor tracks in a clip."""

    positions: Float[np.ndarray, "bodies frames 25 3"]
    """Metres, camera space."""
    inferred: Bool[np.ndarray, "bodies frames 25"]
    """Joints that the tracker infers."""
    present: Bool[np.ndarray, "bodies frames"]
    """Frames in which each body is tracked."""
    ids: Int64[np.ndarray, " bodies"]
    """Tracking ids."""
    order: Int64[np.ndarray, "frames bodies"]
    """Order of the bodies within each frame."""


def skeleton_text(clip: TrackedBodies, rng: np.random.Generator) -> bytes:
    """Write a clip as the text of a `.skeleton` file.

    Args:
        clip: The bodies.
        rng: Draws the fields that the reader ignores: orientations, and how bodies lean.

    Returns:
        The text; lines end in LF.
    """
    frames = clip.present.shape[1]
    here = np.take_along_axis(clip.present.T, clip.order, axis=1)
    frame, position = np.nonzero(here)
    body = clip.order[frame, position]
    joints = _joint_lines(clip.positions[body, frame], clip.inferred[body, frame], rng)
    leans = rng.uniform(-0.3, 0.3, (len(frame), 2)).tolist()
    parts: list[bytes] = [b"%d\n" % frames]
    first = 0
    for count in here.sum(axis=1).tolist():
        parts.append(b"%d\n" % count)
        for row in range(first, first + count):
            parts.append(b"%d 0 1 1 1 1 0 %.7g %.7g 2\n25\n" % (clip.ids[body[row]], *leans[row]))
            parts.append(joints[row])
        first += count
    return b"".join(parts).translate(None, b"\0")


def _joint_lines(
    positions: Float[np.ndarray, "rows 25 3"], inferred: Bool[np.ndarray, "rows 25"], rng: np.random.Generator
) -> list[bytes]:
    """The 25 lines of each body in each frame, with zero bytes to be removed."""
    if not len(positions):
        return []
    orientation = rng.normal(size=(*inferred.shape, 4))
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
