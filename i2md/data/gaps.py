"""Joints without a value, interpolated in time over short gaps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def with_gaps_filled(
    persons: Float[np.ndarray, "persons frames joints channels"], centre: int, zeros_too: bool, max_gap: int
) -> tuple[Float[np.ndarray, "persons frames joints channels"], int, int]:
    """Interpolate joints without a value over gaps of up to `max_gap` frames; beyond that they are zeros.

    Args:
        persons: Positions; a frame without a joint that has a value is one in which the person is not seen.
        centre: The joint that may lie at the origin.
        zeros_too: Whether zeros are without a value as NaN are.
        max_gap: Frames in which the person is seen.

    Returns:
        The positions, how many joints were interpolated, and how many are missing, each counted in every frame.
    """
    finite = np.isfinite(persons).all(axis=-1)
    held = np.asarray(persons.any(axis=-1))
    held[..., centre] = True
    if finite.all() and held.all():
        return persons, 0, 0
    persons = np.where(finite[..., None], persons, 0.0)
    zeros = finite & ~held & np.any(persons, axis=(2, 3))[..., None]
    known = finite & ~zeros if zeros_too else finite
    filled, missing = 0, 0 if zeros_too else int(zeros.sum())
    for person, frames_known in zip(persons, known, strict=True):
        present = np.flatnonzero(person.any(axis=(1, 2)))
        for joint in np.flatnonzero((~frames_known[present]).any(axis=0)):
            held = present[frames_known[present, joint]]
            lost = present[~frames_known[present, joint]]
            after = np.searchsorted(held, lost)
            bounds = np.concatenate([[present[0] - 1], held, [present[-1] + 1]])
            short = lost[bounds[after + 1] - bounds[after] - 1 <= max_gap] if len(held) else lost[:0]
            if len(short):
                person[short, joint] = interpolated(short, held, person[held, joint])
            filled += len(short)
            missing += len(lost) - len(short)
    return persons, filled, missing


def interpolated(
    at: np.ndarray, frames: np.ndarray, values: Float[np.ndarray, "frames ..."]
) -> Float[np.ndarray, "at ..."]:
    """Interpolate linearly between frames.

    Args:
        at: Frames wanted.
        frames: Frames with values.
        values: The values at those.

    Returns:
        The values at `at`; beyond the first and the last frame those of that frame.
    """
    flat = values.reshape(len(frames), -1)
    return np.stack([np.interp(at, frames, column) for column in flat.T], axis=-1).reshape(-1, *values.shape[1:])
