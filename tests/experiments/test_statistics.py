"""Paired tests against their definitions: all signs enumerated, and Student's distribution integrated."""

from __future__ import annotations

import itertools
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from i2md.evaluation.comparison import ComparedResult
from i2md.evaluation.results import Result, Scores
from i2md.experiments.statistics import (
    PairedTests,
    corrected_tests,
    overall_stream,
    overall_title,
    paired_differences,
    paired_tests,
)


def _wilcoxon_by_enumeration(differences: list[float]) -> float:
    """Wilcoxon's two-sided p-value: the fraction of all choices of signs whose sum is as far from the mean."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    middle = ranks.sum() / 2
    sums = [
        sum(r for r, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product([0, 1], repeat=len(ranks))
    ]
    seen = sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    return float(np.mean([abs(value - middle) >= abs(seen - middle) for value in sums]))


@pytest.mark.parametrize("differences", [[1.0, -0.5, 2.0, 3.5, 0.25, 4.0], [-1.0, -2.5, -3.0, -0.5, 0.75, -4.0, 5.0]])
def test_both_tests_agree_with_their_definitions(differences: list[float]) -> None:
    interval, t_test, wilcoxon, _ = paired_tests(differences)
    n = len(differences)
    error = stdev(differences) / sqrt(n)
    t = fmean(differences) / error
    half = special.stdtrit(n - 1, 0.975) * error
    assert interval == pytest.approx((fmean(differences) - half, fmean(differences) + half))
    assert t_test == pytest.approx(special.betainc((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t**2)))
    assert wilcoxon == pytest.approx(_wilcoxon_by_enumeration(differences))


@pytest.mark.parametrize(
    ("differences", "has_t_test"), [([1.0], False), ([2.0, 2.0, 2.0], False), ([0.0] * 7, False), ([1.0, 2.0], True)]
)
def test_too_few_or_equal_differences_have_no_p_value(differences: list[float], has_t_test: bool) -> None:
    tests = paired_tests(differences)
    assert (tests.t_test is not None) == (tests.interval is not None) == has_t_test
    assert tests.wilcoxon is None
    assert (corrected_tests([tests])[0].corrected is not None) == has_t_test


@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_corrected_p_value_is_the_lowest_rate_at_which_a_comparison_is_found(values: list[float | None]) -> None:
    known = sorted(value for value in values if value is not None)
    for test in corrected_tests([PairedTests(None, value, None) for value in values]):
        if test.t_test is None:
            assert test.corrected is None
        else:
            rates = [len(known) * known[at] / (at + 1) for at in range(len(known)) if known[at] >= test.t_test]
            assert test.corrected == pytest.approx(min(1.0, *rates, 1.0))


def _compared(label: str, run: Path, seed: int, **accuracies: float) -> ComparedResult:
    scores = {stream: Scores(value) for stream, value in accuracies.items()}
    ensemble = scores.pop("ensemble", None)
    return ComparedResult(label, run, Result("knn", "i2md", "d", "s", seed, scores, ensemble))


def test_baseline_has_the_same_other_settings_and_the_same_seed() -> None:
    runs = {
        Path(f"{method}-{queue}-{seed}"): ({"method": method, "objectives.queue_size": queue}, seed)
        for method in ("moco", "cmd")
        for queue in (8, 16)
        for seed in (0, 1)
    }
    results = [
        _compared(
            f"{combination['method']}, queue_size={combination['objectives.queue_size']}",
            run,
            seed,
            joint=(combination["objectives.queue_size"] + seed * (combination["method"] == "cmd")) / 100,
        )
        for run, (combination, seed) in runs.items()
        if run != Path("cmd-16-1")
    ]
    pairs = paired_differences(results, runs, lambda combination: {**combination, "method": "moco"})
    assert [(p.of, p.baseline, p.seeds) for p in pairs] == [
        ("cmd, queue_size=8", "moco, queue_size=8", (0, 1)),
        ("cmd, queue_size=16", "moco, queue_size=16", (0,)),
    ]
    assert pairs[0].differences == pytest.approx((0.0, 1.0))


def test_runs_of_different_streams_are_compared_by_all_their_streams() -> None:
    results = [
        _compared("baseline", Path("base"), 0, joint=0.5, bone=0.5, ensemble=0.75),
        _compared("streams=bone", Path("alone"), 0, bone=0.625),
    ]
    runs = {Path("base"): ({}, 0), Path("alone"): ({"streams": ["bone"]}, 0)}
    pairs = paired_differences(results, runs, lambda combination: {})
    assert [(p.of, p.baseline, p.stream, p.mean) for p in pairs] == [
        ("streams=bone", "baseline", "bone", 12.5),
        ("streams=bone", "baseline", "ensemble", -12.5),
    ]
    assert overall_title([each.result for each in results]) == "all streams"
    assert overall_title([results[0].result]) == "2-stream"
    assert overall_title([results[1].result]) == overall_stream([results[1].result]) == "bone"
