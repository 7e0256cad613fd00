"""Filters that smooth the positions of joints over time; both are off unless asked for.

- Savitzky-Golay (Analytical Chemistry, 1964), by SciPy: a parabola is fitted to a window around each frame. It uses
  frames before and after, so it does not lag. For recordings.
- 1€ (Casiez, Roussel and Vogel, CHI 2012): a first-order low-pass filter whose cut-off rises with speed, so that a
  joint at rest does not tremble and a fast one does not lag much. It uses the frames before alone. For what a live
  system sees.

A joint without a value (NaN) stays without one. A Savitzky-Golay filter sees each run of frames with values by itself;
the 1€ filter goes on after a gap with the time that has passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from i2md.errors import InputError

# Degree of the polynomials that the Savitzky-Golay filter fits.
_DEGREE = 2
_MAX_WINDOW = 10.0
_ONE_EURO = "one-euro"
# Cut-off of the low-pass filter of the speed, in Hz, as published.
_SPEED_CUTOFF = 1.0

Positions = Float[np.ndarray, "persons frames joints channels"]


@dataclass(frozen=True)
class SavitzkyGolay:
    """A Savitzky-Golay filter of degree 2."""

    window: float
    """Length of the window in seconds."""

    @property
    def option(self) -> float:
        """As `parse_smoothing` takes it."""
        return self.window

    def apply(self, positions: Positions, fps: float) -> Positions:
        """Filter positions, NaN where there is none, of so many frames per second."""
        return savitzky_golay(positions, 2 * int(self.window * fps / 2) + 1)


@dataclass(frozen=True)
class OneEuro:
    """A 1€ filter."""

    min_cutoff: float = 1.0
    """Cut-off frequency at rest, in Hz."""
    beta: float = 30.0
    """By how many Hz the cut-off rises for each body size per second of speed."""

    @property
    def option(self) -> str:
        """As `parse_smoothing` takes it."""
        return f"{_ONE_EURO}:{self.min_cutoff:g}:{self.beta:g}"

    def apply(self, positions: Positions, fps: float) -> Positions:
        """Filter positions, NaN where there is none, of so many frames per second."""
        return one_euro(positions, fps, self.min_cutoff, self.beta / body_size(positions))


def parse_smoothing(text: float | str) -> SavitzkyGolay | OneEuro:
    """The filter that an option names.

    Args:
        text: Seconds of a Savitzky-Golay window; or one-euro, one-euro:MIN_CUTOFF or one-euro:MIN_CUTOFF:BETA.

    Returns:
        The filter.

    Raises:
        InputError: It is none of these, or out of range.

    Example:
        >>> parse_smoothing(0.3), parse_smoothing("one-euro:2")
        (SavitzkyGolay(window=0.3), OneEuro(min_cutoff=2.0, beta=30.0))
    """
    name, *values = str(text).split(":")
    try:
        numbers = [float(value) for value in ([name] if name != _ONE_EURO else values)]
    except ValueError:
        numbers = []
    if name != _ONE_EURO and len(numbers) == 1 and not values and 0 < numbers[0] <= _MAX_WINDOW:
        return SavitzkyGolay(numbers[0])
    if name == _ONE_EURO and len(values) == len(numbers) <= 2:
        found = OneEuro(*numbers)
        if 0 < found.min_cutoff <= 1000 and 0 <= found.beta <= 1e6:
            return found
    raise InputError(
        f"smooth {str(text)[:40]}: give seconds up to {_MAX_WINDOW:g}, for example --smooth 0.3, or one-euro, for "
        "example --smooth one-euro:1:30 with the lowest cut-off in Hz and by how much it rises with speed"
    )


def savitzky_golay(positions: Positions, window: int) -> Positions:
    """Apply a Savitzky-Golay filter of degree 2 to each coordinate.

    Args:
        positions: Positions, NaN where there is none.
        window: Frames of the window, an odd number; below 5 nothing changes.

    Returns:
        The filtered positions; runs of frames that are shorter than the window stay as they are.

    Example:
        >>> line = np.arange(8.0).reshape(1, 8, 1, 1)
        >>> bool(np.allclose(savitzky_golay(line, 5), line))
        True
    """
    from scipy.signal import savgol_filter

    if window <= _DEGREE + 2:
        return positions
    filtered = positions.copy()
    for person, joint in np.ndindex(positions.shape[0], positions.shape[2]):
        known = np.isfinite(positions[person, :, joint]).all(axis=-1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start >= window:
                run = positions[person, start:end, joint]
                filtered[person, start:end, joint] = savgol_filter(run, window, _DEGREE, axis=0)
    return filtered


def one_euro(positions: Positions, fps: float, min_cutoff: float, beta: float) -> Positions:
    """Apply the 1€ filter to each coordinate of each joint (algorithm 1 of the paper).

    Args:
        positions: Positions, NaN where there is none.
        fps: Frames per second.
        min_cutoff: Cut-off frequency at rest, in Hz.
        beta: By how many Hz the cut-off rises with each unit of length per second.

    Returns:
        The filtered positions; the first frame with a value keeps it.

    Example:
        >>> step = np.array([0.0, 1.0, 1.0, 1.0]).reshape(1, 4, 1, 1)
        >>> one_euro(step, 30.0, 1.0, 0.0).ravel().round(2).tolist()
        [0.0, 0.17, 0.32, 0.43]
    """
    filtered = positions.copy()
    shape = (positions.shape[0], *positions.shape[2:])
    smooth, speed, last = np.zeros(shape), np.zeros(shape), np.full((*shape[:2], 1), -1)
    for frame in range(positions.shape[1]):
        at = positions[:, frame]
        known = np.isfinite(at).all(axis=-1, keepdims=True)
        begun = last >= 0
        elapsed = np.where(begun, frame - last, 1) / fps
        moved = np.where(known & begun, (at - smooth) / elapsed, 0.0)
        new_speed = speed + _gain(elapsed, _SPEED_CUTOFF) * (moved - speed)
        gain = np.where(begun, _gain(elapsed, min_cutoff + beta * np.abs(new_speed)), 1.0)
        smooth = np.where(known, smooth + gain * (np.where(known, at, 0.0) - smooth), smooth)
        speed = np.where(known, new_speed, speed)
        last = np.where(known, frame, last)
        filtered[:, frame] = np.where(known, smooth, at)
    return filtered


def _gain(elapsed: np.ndarray, cutoff: np.ndarray | float) -> np.ndarray:
    """The share of a new value in an exponential filter of this cut-off in Hz after so many seconds."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * elapsed))


def body_size(positions: Positions) -> float:
    """Measure bodies, so that speeds compare between metres, pixels and fractions of an image.

    Args:
        positions: Positions, NaN where there is none.

    Returns:
        The largest side of the box around a body, the median over frames and persons; 1 if nobody is seen.

    Example:
        >>> body_size(np.array([[0.0, 0.0], [1.0, 2.0]]).reshape(1, 1, 2, 2))
        2.0
    """
    missing = np.isnan(positions).any(axis=-1, keepdims=True)
    low = np.where(missing, np.inf, positions).min(axis=2)
    high = np.where(missing, -np.inf, positions).max(axis=2)
    sides = (high - low).max(axis=-1)
    seen = sides[np.isfinite(sides) & (sides > 0)]
    return float(np.median(seen)) if len(seen) else 1.0
