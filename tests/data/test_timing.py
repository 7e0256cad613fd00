"""Resampling by time and smoothing of recordings: against NumPy's interpolation, recorded, with missing joints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2md.data.prepare import prepare
from i2md.data.readers import open_source
from i2md.data.recording import Recording, Unreadable
from i2md.data.timing import Timing, resampled, retime
from i2md.errors import InputError


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(5, 120), st.floats(5, 120))
def test_resampling_is_interpolation_in_time(seed: int, frames: int, before: float, after: float) -> None:
    x = np.random.default_rng(seed).normal(size=(1, frames, 2, 3))
    times, at = np.arange(frames) / before, np.arange(int((frames - 1) / before * after) + 1) / after
    found = resampled(x, times, at)
    for joint, channel in np.ndindex(2, 3):
        np.testing.assert_allclose(
            found[0, :, joint, channel], np.interp(at, times, x[0, :, joint, channel]), atol=1e-9
        )


def test_a_new_frame_beside_a_missing_one_is_missing() -> None:
    x = np.array([0.0, 1.0, np.nan, 3.0, 4.0]).reshape(1, 5, 1, 1)
    found = resampled(x, np.arange(5.0), np.arange(0, 4.5, 0.5)).ravel()
    np.testing.assert_array_equal(found, [0, 0.5, 1, np.nan, np.nan, np.nan, 3, 3.5, 4])


@pytest.mark.parametrize("smooth", [0.3, "one-euro:2:50"])
def test_prepare_resamples_smooths_and_records_it(tmp_path: Path, smooth: float | str) -> None:
    made = {"actions": 2, "subjects": 2, "repeats": 1}
    whole = prepare("synthetic", "x", tmp_path / "whole", preset="none", **made)
    half = prepare("synthetic", "x", tmp_path / "half", preset="none", timing=Timing(15.0, smooth), max_gap=5, **made)
    assert half.dataset.report["options"] == {**made, "resample": 15.0, "smooth": smooth, "max_gap": 5}
    assert half.columns["fps"].tolist() == [15.0] * 4
    for before, after in zip(whole, half, strict=True):
        assert after.shape[1] == (before.shape[1] - 1) // 2 + 1
        assert np.abs(after - before[:, ::2]).max() < 0.2


def test_short_gaps_are_filled_and_counted_before_smoothing() -> None:
    source = open_source("synthetic", Path("x"), actions=2, subjects=1, repeats=1)
    first = next(iter(source.read()))
    assert isinstance(first, Recording)
    holed = first.positions.copy()
    holed[0, 5:8, 7] = np.nan
    (found,) = retime(replace(source, read=lambda: iter([replace(first, positions=holed)])), Timing(smooth=0.3)).read()
    assert isinstance(found, Recording) and found.counts["joints_interpolated"] == 3
    assert np.isfinite(found.positions).all() and np.abs(found.positions - first.positions).max() < 0.2


def test_a_recording_without_a_frame_rate_is_named() -> None:
    source = open_source("synthetic", Path("x"), actions=2, subjects=1, repeats=1)
    without = [Recording("a", next(iter(source.read())).positions, source="a.csv")]
    (found,) = retime(replace(source, read=lambda: iter(without)), Timing(10.0)).read()
    assert isinstance(found, Unreadable) and "--fps" in found.reason


@pytest.mark.parametrize("timing", [{"resample": 0.0}, {"resample": float("nan")}, {"smooth": -1.0}, {"smooth": 11.0}])
def test_times_out_of_range_are_input_errors(timing: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give"):
        Timing(**timing)
