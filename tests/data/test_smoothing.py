"""Smoothing filters: their definitions written out slowly, properties of low-pass filters, and gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.smoothing import OneEuro, SavitzkyGolay, one_euro, parse_smoothing, savitzky_golay
from i2md.errors import InputError


def slow_one_euro(values: list[float], times: list[float], min_cutoff: float, beta: float) -> list[float]:
    """Algorithms 1 and 2 of Casiez et al., value by value."""

    def alpha(rate: float, cutoff: float) -> float:
        tau = 1.0 / (2.0 * math.pi * cutoff)
        te = 1.0 / rate
        return 1.0 / (1.0 + tau / te)

    filtered, derivative = [values[0]], 0.0
    for before, now, value in zip(times, times[1:], values[1:], strict=False):
        rate = 1.0 / (now - before)
        speed = (value - filtered[-1]) * rate
        a = alpha(rate, 1.0)
        derivative = a * speed + (1.0 - a) * derivative
        a = alpha(rate, min_cutoff + beta * abs(derivative))
        filtered.append(a * value + (1.0 - a) * filtered[-1])
    return filtered


def signals(seed: int, frames: int = 40) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(2, frames, 3, 2)), axis=1)


def of_one(values: np.ndarray, fps: float, min_cutoff: float, beta: float) -> np.ndarray:
    return one_euro(values.reshape(1, -1, 1, 1), fps, min_cutoff, beta).ravel()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(5, 240), st.floats(0.05, 20), st.floats(0, 5), st.floats(0, 0.7))
def test_one_euro_is_the_published_algorithm_at_the_times_of_the_values(
    seed: int, fps: float, min_cutoff: float, beta: float, lost: float
) -> None:
    positions = signals(seed)
    positions[np.random.default_rng(seed).random(positions.shape[:3]) < lost] = np.nan
    found = one_euro(positions, fps, min_cutoff, beta)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(positions))
    for person, joint, channel in np.ndindex(2, 3, 2):
        at = np.flatnonzero(np.isfinite(positions[person, :, joint, channel]))
        if len(at):
            values = positions[person, at, joint, channel].tolist()
            wanted = slow_one_euro(values, (at / fps).tolist(), min_cutoff, beta)
            np.testing.assert_allclose(found[person, at, joint, channel], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("filtered", [OneEuro(), OneEuro(0.5, 0.0), SavitzkyGolay(0.3)])
def test_what_does_not_move_stays_and_what_is_filtered_moves_along(filtered: OneEuro | SavitzkyGolay) -> None:
    body = np.random.default_rng(0).normal(size=(1, 1, 5, 3))
    still = body.repeat(30, axis=1)
    np.testing.assert_allclose(filtered.apply(still, 30.0), still, atol=1e-12)
    moving = signals(1)
    moved, found = filtered.apply(moving + 7.0, 30.0), filtered.apply(moving, 30.0)
    np.testing.assert_allclose(moved, found + 7.0, atol=1e-9)
    # The same motion in another unit is filtered the same.
    np.testing.assert_allclose(filtered.apply(1000 * moving, 30.0), 1000 * found, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 39))
def test_one_euro_is_causal_and_stays_between_the_values(seed: int, cut: int) -> None:
    positions = signals(seed)
    whole, beginning = one_euro(positions, 30.0, 1.0, 0.5), one_euro(positions[:, :cut], 30.0, 1.0, 0.5)
    np.testing.assert_array_equal(whole[:, :cut], beginning)
    assert (whole <= np.maximum.accumulate(positions, axis=1) + 1e-12).all()
    assert (whole >= np.minimum.accumulate(positions, axis=1) - 1e-12).all()


@pytest.mark.parametrize("fps", [30.0, 120.0])
@pytest.mark.parametrize("cutoff", [0.5, 2.0])
def test_without_beta_the_cut_off_halves_the_power(fps: float, cutoff: float) -> None:
    """A sine of the cut-off frequency comes through with 1/sqrt(2) of its amplitude, one of a tenth nearly whole.

    The discrete filter follows the analogue one as long as the cut-off is well below the frame rate.
    """
    times = np.arange(int(40 / cutoff * fps)) / fps
    for frequency, wanted in ((cutoff, 1 / math.sqrt(2)), (cutoff / 10, 1 / math.hypot(1, 0.1))):
        found = of_one(np.sin(2 * math.pi * frequency * times), fps, cutoff, 0.0)
        amplitude = np.abs(found[len(found) // 2 :]).max()
        assert amplitude == pytest.approx(wanted, rel=0.25 * cutoff / fps * 2 * math.pi + 0.02)


def test_speed_raises_the_cut_off() -> None:
    ramp = np.concatenate([np.zeros(30), np.arange(1.0, 31.0)])
    lags = [float(np.abs(of_one(ramp, 30.0, 1.0, beta) - ramp)[-1]) for beta in (0.0, 0.1, 1.0)]
    assert lags[0] > 3 * lags[1] > 3 * lags[2]


def test_savitzky_golay_fits_parabolas_and_leaves_gaps() -> None:
    x = np.random.default_rng(0).normal(size=(1, 30, 1, 1))
    x[0, 20] = np.nan
    found = savitzky_golay(x, 7).ravel()
    for at in range(3, 17):
        fit = np.polyfit(np.arange(-3, 4), x[0, at - 3 : at + 4, 0, 0], 2)
        assert found[at] == pytest.approx(np.polyval(fit, 0))
    assert np.isnan(found[20]) and np.isfinite(found[:20]).all()
    parabola = (np.arange(30.0) ** 2).reshape(1, 30, 1, 1)
    np.testing.assert_allclose(savitzky_golay(parabola, 9), parabola, atol=1e-9)


def test_filters_are_named() -> None:
    assert parse_smoothing("0.3") == SavitzkyGolay(0.3) == parse_smoothing(0.3)
    assert parse_smoothing("one-euro") == OneEuro() and parse_smoothing("one-euro:2:0") == OneEuro(2.0, 0.0)
    for each in (SavitzkyGolay(0.25), OneEuro(0.7, 3.0)):
        assert parse_smoothing(each.option) == each
    for text in ("one-euro:0", "one-euro:1:-1", "one-euro:1:2:3", "one-euro:a", "kalman", "0", "11", "nan", "0.3:1"):
        with pytest.raises(InputError, match=r"--smooth one-euro"):
            parse_smoothing(text)
