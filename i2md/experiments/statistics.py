"""Differences from a baseline, seed by seed, and what tests say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from i2md.experiments.grid import Combination, value_word

# Below six pairs no outcome of the two-sided signed-rank test comes under 0.05.
_FEWEST_FOR_WILCOXON = 6
_CONFIDENCE = 0.95


class Evidence(NamedTuple):
    """What differences say of their mean, two-sided."""

    interval: tuple[float, float] | None
    """Where the true mean lies with 95 % confidence, by Student's t; None where there is no t-test."""
    t_test: float | None
    """p of the paired t-test; None below two differences, and where all are one."""
    wilcoxon: float | None
    """p of Wilcoxon's signed-rank test; None below six differences that are not zero."""
    corrected: float | None = None
    """p of the t-test, corrected for the number of comparisons; None where there is no t-test."""

    def told(self, mean: float) -> str:
        """Mean and tests in words.

        >>> paired_tests([1.0, 2.0, 3.0]).told(2.0)
        'mean +2.0, 95 % within -0.5 and +4.5, t-test p = 0.074'
        """
        words = [f"mean {mean:+.1f}"]
        words += [f"95 % within {self.interval[0]:+.1f} and {self.interval[1]:+.1f}"] if self.interval else []
        words += [f"t-test p = {self.t_test:.2g}"] if self.t_test is not None else []
        words += [f"corrected {self.corrected:.2g}"] if self.corrected is not None else []
        words += [f"Wilcoxon p = {self.wilcoxon:.2g}"] if self.wilcoxon is not None else []
        return ", ".join(words)


@dataclass(frozen=True)
class Paired:
    """Accuracies of one combination less those of its baseline, in points, at the seeds that both have."""

    of: str
    against: str
    data: str
    protocol: str
    stream: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    t_test: float | None
    wilcoxon: float | None
    corrected: float | None
    """Among the comparisons with the baseline by the same data, protocol and stream."""

    def __str__(self) -> str:
        listed = ", ".join(f"{value:+.1f}" for value in self.differences)
        told = Evidence(self.interval, self.t_test, self.wilcoxon, self.corrected).told(self.mean)
        return f"{self.of} - {self.against}, {self.data}, {self.protocol}: {listed} ({told})"


def paired_differences(
    results: Sequence[Mapping[str, Any]],
    runs: Mapping[str, tuple[Combination, int]],
    baseline: Callable[[Combination], Combination],
) -> list[Paired]:
    """Each combination beside its baseline, which is another combination, in every stream.

    `results` are those of trained encoders, `runs` each run's combination and seed by the entry `run` of a result.
    """
    found: dict[tuple, dict[tuple, dict[int, float]]] = {}
    called: dict[tuple, str] = {}
    order: dict[tuple, Combination] = {}
    whole = together(results)
    for result in results:
        combination, seed = runs[result["run"]]
        key = _key(combination)
        called[key], order[key] = result["settings"], combination
        for stream, accuracy in {**result["accuracy"], whole: list(result["accuracy"].values())[-1]}.items():
            where = (f"{result['dataset']} {result['split']}", result["protocol"], stream)
            found.setdefault(where, {}).setdefault(key, {})[seed] = 100 * accuracy
    pairs = []
    for where, figures in found.items():
        compared = []
        for key, own in figures.items():
            base = _key(baseline(order[key]))
            if base != key and base in figures:
                seeds = tuple(sorted(own.keys() & figures[base].keys()))
                values = tuple(own[seed] - figures[base][seed] for seed in seeds)
                if values:
                    compared.append((called[key], called[base], *where, seeds, values, fmean(values)))
        tests = corrected_tests([paired_tests(values) for *_, values, _ in compared])
        pairs += [Paired(*told, *evidence) for told, evidence in zip(compared, tests, strict=True)]
    return pairs


def together(results: Sequence[Mapping[str, Any]]) -> str:
    """What the accuracy of a result's streams together is called, which of a single stream is its own.

    >>> together([{"accuracy": {"joint": 0.5}}]), together([{"accuracy": {"joint": 0.5}}, {"accuracy": {"bone": 0.5}}])
    ('joint', 'all streams')
    """
    names = {list(result["accuracy"])[-1] for result in results}
    return names.pop() if len(names) == 1 else "all streams"


def paired_tests(differences: Sequence[float]) -> Evidence:
    """The paired t-test with its interval, and Wilcoxon's signed-rank test, of differences about zero.

    >>> [round(value, 2) for value in paired_tests([1.0, 2.0, 3.0]).interval]
    [-0.48, 4.48]
    """
    from scipy import stats

    interval = t_test = wilcoxon = None
    if len(differences) > 1 and max(differences) - min(differences) > 1e-9:
        student = stats.ttest_1samp(differences, 0.0)
        low, high = student.confidence_interval(_CONFIDENCE)
        interval, t_test = (float(low), float(high)), float(student.pvalue)
    moved = [value for value in differences if abs(value) > 1e-9]
    if len(moved) >= _FEWEST_FOR_WILCOXON:
        wilcoxon = float(stats.wilcoxon(moved).pvalue)
    return Evidence(interval, t_test, wilcoxon)


def corrected_tests(tests: Sequence[Evidence]) -> list[Evidence]:
    """Tests made side by side, with p of each t-test as the false discovery rate asks (Benjamini and Hochberg, 1995).

    Of those whose corrected p is below 0.05, one in twenty is expected to be chance.

    >>> [round(test.corrected, 3) for test in corrected_tests([Evidence(None, p, None) for p in (0.01, 0.5, 0.04)])]
    [0.03, 0.5, 0.06]
    """
    from scipy import stats

    known = [test.t_test for test in tests if test.t_test is not None]
    rates = iter(stats.false_discovery_control(known) if known else [])
    return [test if test.t_test is None else test._replace(corrected=float(next(rates))) for test in tests]


def _key(combination: Combination) -> tuple:
    return tuple((name, value_word(value)) for name, value in combination.items())
