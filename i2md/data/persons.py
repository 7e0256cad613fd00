"""Bodies detected frame by frame, in any order, put in order: the persons of a recording.

Where the source gives identities they are kept. Otherwise bodies of successive frames are assigned to each other so
that the sum of distances to where each track is expected, at constant velocity, is least (Hungarian algorithm,
scipy.optimize.linear_sum_assignment). A track survives a gap of MAX_LOST frames. A track that begins after another
ended is the same person, so a recording has as few persons as there are bodies at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.optimize import linear_sum_assignment

# Frames for which a person who is not detected is remembered, a second at 30 frames a second.
MAX_LOST = 30
# In body sizes: how far a body may be from where it is expected, for each frame since it was seen, and in any case.
_REACH = 0.5
_MAX_REACH = 1.5
# A body's velocity is a reason to expect it elsewhere only for so many frames.
_EXTRAPOLATED = 2
# In body sizes; costs more than any distance within reach, so that the assignment has as many pairs as possible.
_OUT_OF_REACH = 1e3


class Bodies(NamedTuple):
    """The bodies detected in a recording."""

    frames: Int64[np.ndarray, " bodies"]
    """Frame of each, from 0; bodies of one frame in the order of the source."""
    positions: Float64[np.ndarray, "bodies joints channels"]
    """NaN where a joint was not found."""
    confidence: Float64[np.ndarray, "bodies joints"] | None = None
    """How sure the detector is of each joint, usually from 0 to 1."""
    ids: Int64[np.ndarray, " bodies"] | None = None
    """Identity of each, equal for the same person, where the source knows it; negative where it does not."""


class Persons(NamedTuple):
    """The persons of a recording, and counts of what was changed or left out on the way."""

    positions: Float64[np.ndarray, "persons frames joints channels"]
    """NaN where a joint was not found; all zeros in frames without the person."""
    counts: Mapping[str, int]


def arrange(bodies: Bodies, frames: int, persons: int, by_id: bool = False) -> Persons:
    """Put the bodies of a recording in order.

    Args:
        bodies: The bodies, at least one joint of each found, sorted by frame.
        frames: Number of frames of the recording.
        persons: How many persons are kept at most: those seen longest, weighted by confidence, most first.
        by_id: Whether those kept come in the order of their identities instead, where the source gives them.

    Returns:
        At least one person. The counts are `person_switches`, how often a person is at another place of the source's
        list than in the person's frame before, and `bodies_left_out`, those of persons beyond `persons`, each counted
        once in every frame.

    Example:
        >>> at = np.array([0.0, 9.0, 9.1, 0.1]).reshape(4, 1, 1).repeat(2, axis=2)
        >>> found = arrange(Bodies(np.array([0, 0, 1, 1]), at), frames=2, persons=2)
        >>> found.positions[..., 0, 0].tolist(), found.counts["person_switches"]
        ([[0.0, 0.1], [9.0, 9.1]], 2)
    """
    tracks = _tracks_by_id(bodies) if _has_ids(bodies) else _tracks_by_place(bodies)
    kept, rest = _persons(tracks, bodies, persons)
    if by_id and bodies.ids is not None and _has_ids(bodies):
        ids = bodies.ids
        kept.sort(key=lambda rows: int(ids[rows[0]]))
    positions = np.zeros((max(len(kept), 1), frames, *bodies.positions.shape[1:]))
    place = _place_in_frame(bodies.frames)
    switches = 0
    for person, rows in enumerate(kept):
        positions[person, bodies.frames[rows]] = bodies.positions[rows]
        switches += int(np.count_nonzero(np.diff(place[rows])))
    counts = {} if _has_ids(bodies) else {"person_switches": switches}
    return Persons(positions, counts | {"bodies_left_out": sum(map(len, rest))})


def _has_ids(bodies: Bodies) -> bool:
    return bodies.ids is not None and bool((bodies.ids >= 0).all())


def _place_in_frame(frames: Int64[np.ndarray, " bodies"]) -> Int64[np.ndarray, " bodies"]:
    """How many bodies of the same frame are listed before each."""
    return np.arange(len(frames)) - np.searchsorted(frames, frames)


def _tracks_by_id(bodies: Bodies) -> list[Int64[np.ndarray, " rows"]]:
    """The rows of each identity; of two with the same identity in a frame the first."""
    assert bodies.ids is not None
    order = np.lexsort((np.arange(len(bodies.ids)), bodies.frames, bodies.ids))
    ids, frames = bodies.ids[order], bodies.frames[order]
    new = np.concatenate([[True], ids[1:] != ids[:-1]])
    repeated = ~new & np.concatenate([[False], frames[1:] == frames[:-1]])
    tracks = np.split(order[~repeated], np.flatnonzero(new[~repeated])[1:])
    return [*tracks, *np.split(order[repeated], int(repeated.sum()))] if repeated.any() else tracks


@dataclass
class _Track:
    """A body followed from frame to frame."""

    rows: list[int]
    frame: int
    at: Float[np.ndarray, "joints channels"]
    """The last known position of each joint."""
    velocity: Float[np.ndarray, "joints channels"] = field(init=False)

    def __post_init__(self) -> None:
        self.velocity = np.zeros_like(self.at)

    def expected(self, frame: int) -> Float[np.ndarray, "joints channels"]:
        return self.at + self.velocity * min(frame - self.frame, _EXTRAPOLATED)

    def extend(self, row: int, frame: int, found: Float[np.ndarray, "joints channels"]) -> None:
        moved = (found - self.at) / (frame - self.frame)
        unknown = np.isnan(moved)
        self.velocity = np.where(unknown, 0.0, moved)
        self.at = np.where(np.isnan(found), self.at, found) if unknown.any() else found
        self.rows.append(row)
        self.frame = frame


def _tracks_by_place(bodies: Bodies) -> list[Int64[np.ndarray, " rows"]]:
    starts = np.concatenate([[0], np.flatnonzero(np.diff(bodies.frames)) + 1, [len(bodies.frames)]])
    if len(starts) == len(bodies.frames) + 1:
        # One body a frame is one person, however far it leaps.
        return [np.arange(len(bodies.frames))]
    size = _body_size(bodies.positions)
    tracks: list[_Track] = []
    lost: list[_Track] = []
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        frame, rows = int(bodies.frames[start]), range(start, end)
        lost += [track for track in tracks if frame - track.frame > MAX_LOST]
        tracks = [track for track in tracks if frame - track.frame <= MAX_LOST]
        taken = dict(_assigned(tracks, frame, bodies.positions[start:end], size))
        for row in rows:
            found = bodies.positions[row]
            if row - start in taken:
                taken[row - start].extend(row, frame, found)
            else:
                tracks.append(_Track([row], frame, found))
    return [np.array(track.rows) for track in (*lost, *tracks)]


def _body_size(positions: Float[np.ndarray, "bodies joints channels"]) -> float:
    """The median, over bodies, of the diagonal of the box around the joints that were found."""
    low = np.where(np.isnan(positions), np.inf, positions).min(axis=1)
    high = np.where(np.isnan(positions), -np.inf, positions).max(axis=1)
    return max(float(np.median(np.linalg.norm(high - low, axis=-1))), 1e-9)


def _assigned(
    tracks: list[_Track], frame: int, found: Float[np.ndarray, "bodies joints channels"], size: float
) -> Iterator[tuple[int, _Track]]:
    """Bodies, by their place in the frame, with the track that each continues."""
    if not tracks:
        return
    expected = np.stack([track.expected(frame) for track in tracks])
    distances = np.linalg.norm(expected[:, None] - found[None], axis=-1) / size
    shared = np.isfinite(distances)
    mean = np.where(shared, distances, 0.0).sum(axis=-1) / np.maximum(shared.sum(axis=-1), 1)
    reach = np.minimum(_REACH * np.array([frame - track.frame for track in tracks]), _MAX_REACH)
    near = shared.any(axis=-1) & (mean <= reach[:, None])
    for track, body in zip(*linear_sum_assignment(np.where(near, mean, _OUT_OF_REACH)), strict=True):
        if near[track, body]:
            yield int(body), tracks[track]


def _persons(
    tracks: list[Int64[np.ndarray, " rows"]], bodies: Bodies, persons: int
) -> tuple[list[Int64[np.ndarray, " rows"]], list[Int64[np.ndarray, " rows"]]]:
    """The rows of each person kept, most seen first, and those of the others."""
    found = ~np.isnan(bodies.positions).any(axis=-1)
    weight = (found if bodies.confidence is None else np.nan_to_num(bodies.confidence) * found).mean(axis=1)
    weights = [float(weight[rows].sum()) for rows in tracks]
    kept: list[list[Int64[np.ndarray, " rows"]]] = []
    rest = []
    for index in sorted(range(len(tracks)), key=lambda index: (-weights[index], int(tracks[index][0]))):
        rows = tracks[index]
        # Identities that the source gives are not merged.
        free = [] if _has_ids(bodies) else [each for each in kept if _disjoint(each, rows, bodies.frames)]
        if free:
            min(free, key=lambda each: _leap(each, rows, bodies)).append(rows)
        elif len(kept) < persons:
            kept.append([rows])
        else:
            rest.append(rows)
    return [np.sort(np.concatenate(each)) for each in kept], rest


def _disjoint(
    one: list[Int64[np.ndarray, " rows"]], rows: Int64[np.ndarray, " rows"], frames: Int64[np.ndarray, " bodies"]
) -> bool:
    first, last = frames[rows[0]], frames[rows[-1]]
    return all(frames[each[0]] > last or frames[each[-1]] < first for each in one)


def _leap(one: list[Int64[np.ndarray, " rows"]], rows: Int64[np.ndarray, " rows"], bodies: Bodies) -> float:
    """How far a track begins from where the person was last, or ends from where the person is next."""
    rows_of = np.sort(np.concatenate(one))
    at = int(np.searchsorted(rows_of, rows[0]))
    ends = [(rows_of[at - 1], rows[0])] if at else []
    ends += [(rows[-1], rows_of[at])] if at < len(rows_of) else []
    centres = [(_centre(bodies.positions[a]), _centre(bodies.positions[b])) for a, b in ends]
    return min(float(np.linalg.norm(a - b)) for a, b in centres)


def _centre(body: Float[np.ndarray, "joints channels"]) -> Float[np.ndarray, " channels"]:
    return np.nanmean(body, axis=0)


def without_low_confidence(bodies: Bodies, threshold: float) -> tuple[Bodies, Counter[str]]:
    """Take joints of low confidence for missing, and leave out bodies of which no joint is left.

    Args:
        bodies: The bodies.
        threshold: A joint whose confidence is this or less is missing.

    Returns:
        The bodies, and how many joints with a position were taken for missing.

    Example:
        >>> one = Bodies(np.array([0]), np.ones((1, 2, 2)), np.array([[0.9, 0.2]]))
        >>> left, counts = without_low_confidence(one, 0.5)
        >>> left.positions[0, :, 0].tolist(), dict(counts)
        ([1.0, nan], {'joints_of_low_confidence': 1})
    """
    positions = np.where(np.isnan(bodies.positions).any(axis=-1, keepdims=True), np.nan, bodies.positions)
    counts: Counter[str] = Counter()
    if bodies.confidence is not None:
        # A joint without a confidence is one that the detector is not sure of.
        low = ~(bodies.confidence > threshold)
        counts["joints_of_low_confidence"] = int((low & ~np.isnan(positions[..., 0])).sum())
        positions = np.where(low[..., None], np.nan, positions)
    found = ~np.isnan(positions).all(axis=(1, 2))
    chosen = (None if values is None else values[found] for values in (bodies.confidence, bodies.ids))
    return Bodies(bodies.frames[found], positions[found], *chosen), counts
