"""Paired differences from a baseline by seed, and statistical tests of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from i2md.evaluation.comparison import ComparedResult
from i2md.evaluation.results import ENSEMBLE, Result
from i2md.evaluation.table import data_title, ensemble_title, protocol_title
from i2md.experiments.grid import Combination, format_value

# With fewer than six pairs the two-sided signed-rank test cannot come below 0.05.
_MIN_WILCOXON_PAIRS = 6
_CONFIDENCE = 0.95


class PairedTests(NamedTuple):
    """Two-sided tests of the hypothesis that paired differences have mean zero.

    Attributes:
        interval: 95 % confidence interval of the mean (Student's t); None where there is no t-test.
        t_test: p-value of the paired t-test; None for fewer than two differences and where all are equal.
        wilcoxon: p-value of Wilcoxon's signed-rank test; None for fewer than six differences that are not zero.
        corrected: p-value of the t-test corrected for the number of comparisons; None where there is no t-test.
    """

    interval: tuple[float, float] | None
    t_test: float | None
    wilcoxon: float | None
    corrected: float | None = None

    def describe(self, mean: float) -> str:
        """Return the mean and the tests as one line of text.

        >>> paired_tests([1.0, 2.0, 3.0]).describe(2.0)
        'mean +2.0, 95 % CI -0.5 to +4.5, t-test p = 0.074'
        """
        words = [f"mean {mean:+.1f}"]
        words += [f"95 % CI {self.interval[0]:+.1f} to {self.interval[1]:+.1f}"] if self.interval else []
        words += [f"t-test p = {self.t_test:.2g}"] if self.t_test is not None else []
        words += [f"corrected {self.corrected:.2g}"] if self.corrected is not None else []
        words += [f"Wilcoxon p = {self.wilcoxon:.2g}"] if self.wilcoxon is not None else []
        return ", ".join(words)

    def cells(self, mean: float) -> list[str]:
        """Return the mean and the tests as cells of a table, a dash for what is missing.

        >>> PairedTests(None, None, None).cells(2.0)
        ['+2.0', '-', '-', '-', '-']
        """
        interval = f"{self.interval[0]:+.1f} to {self.interval[1]:+.1f}" if self.interval else "-"
        p_values = (self.t_test, self.corrected, self.wilcoxon)
        return [f"{mean:+.1f}", interval, *("-" if p is None else f"{p:.2g}" for p in p_values)]


# Heading of `PairedTests.cells`.
TEST_COLUMNS = ("mean", "95 % CI", "t-test p", "corrected", "Wilcoxon p")


def paired_tests(differences: Sequence[float]) -> PairedTests:
    """Test differences against zero: the paired t-test with its confidence interval, and Wilcoxon's signed-rank test.

    >>> [round(value, 2) for value in paired_tests([1.0, 2.0, 3.0]).interval]
    [-0.48, 4.48]

    Args:
        differences: One difference per pair.
    """
    from scipy import stats

    interval = t_test = wilcoxon = None
    if len(differences) > 1 and max(differences) - min(differences) > 1e-9:
        student = stats.ttest_1samp(differences, 0.0)
        low, high = student.confidence_interval(_CONFIDENCE)
        interval, t_test = (float(low), float(high)), float(student.pvalue)
    nonzero = [value for value in differences if abs(value) > 1e-9]
    if len(nonzero) >= _MIN_WILCOXON_PAIRS:
        wilcoxon = float(stats.wilcoxon(nonzero).pvalue)
    return PairedTests(interval, t_test, wilcoxon)


def corrected_tests(tests: Sequence[PairedTests]) -> list[PairedTests]:
    """Fill in `corrected` of several tests: p-values that control the false discovery rate.

    Of the tests whose corrected p-value is below 0.05, one in twenty is expected to be chance.

    >>> [round(test.corrected, 3) for test in corrected_tests([PairedTests(None, p, None) for p in (0.01, 0.5, 0.04)])]
    [0.03, 0.5, 0.06]

    Source:
        Benjamini and Hochberg, Controlling the false discovery rate, 1995.
    """
    from scipy import stats

    known = [test.t_test for test in tests if test.t_test is not None]
    rates = iter(stats.false_discovery_control(known) if known else [])
    return [test if test.t_test is None else test._replace(corrected=float(next(rates))) for test in tests]


@dataclass(frozen=True)
class PairedDifference:
    """Accuracies of one configuration minus those of its baseline, in points, at the seeds that both have.

    Attributes:
        of: Label of the configuration.
        baseline: Label of its baseline.
        title: Data set, split and protocol, to show.
        dataset: Data set evaluated on.
        split: Its split.
        protocol: Protocol of the evaluation.
        variant: What tells results of the protocol apart, by field of `i2md.evaluation.results.Variant`.
        stream: A stream, or "ensemble" for all of a run's streams.
        seeds: Seeds, ascending.
        differences: A difference per seed.
        mean: Their mean.
        interval: As in `PairedTests`.
        t_test: As in `PairedTests`.
        wilcoxon: As in `PairedTests`.
        corrected: As in `PairedTests`, for all comparisons of the same data, protocol and stream.
    """

    of: str
    baseline: str
    title: str
    dataset: str
    split: str
    protocol: str
    variant: Mapping[str, Any]
    stream: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    t_test: float | None
    wilcoxon: float | None
    corrected: float | None

    @property
    def tests(self) -> PairedTests:
        """The tests of the differences."""
        return PairedTests(self.interval, self.t_test, self.wilcoxon, self.corrected)

    def __str__(self) -> str:
        tests = self.tests.describe(self.mean)
        return f"{self.of} - {self.baseline}, {self.title}: {format_differences(self.differences)} ({tests})"


def format_differences(differences: Sequence[float]) -> str:
    """Return differences as text.

    >>> format_differences([1.25, -0.5])
    '+1.2, -0.5'
    """
    return ", ".join(f"{value:+.1f}" for value in differences)


def paired_differences(
    results: Sequence[ComparedResult],
    runs: Mapping[Path, tuple[Combination, int]],
    baseline: Callable[[Combination], Combination],
) -> list[PairedDifference]:
    """Compare each combination with its baseline, which is another combination, in every stream.

    Args:
        results: Results of pretrained encoders, averaged over draws of the labels.
        runs: Combination and seed of each run by its folder.
        baseline: The baseline of a combination; a combination that is its own baseline is not compared.
    """
    accuracies: dict[tuple, dict[tuple, dict[int, float]]] = {}
    examples: dict[tuple, Result] = {}
    labels: dict[tuple, str] = {}
    by_key: dict[tuple, Combination] = {}
    whole = overall_stream([each.result for each in results])
    for each in results:
        combination, seed = runs[each.run]
        key, result = _key(combination), each.result
        labels[key], by_key[key] = each.label, combination
        for stream, scores in {**result.scores, whole: result.overall}.items():
            where = (data_title(result), protocol_title(result), stream)
            examples.setdefault(where, result)
            accuracies.setdefault(where, {}).setdefault(key, {})[seed] = 100 * scores.accuracy
    pairs = []
    for where, by_combination in accuracies.items():
        compared = []
        for key, own in by_combination.items():
            base = _key(baseline(by_key[key]))
            if base != key and base in by_combination:
                seeds = tuple(sorted(own.keys() & by_combination[base].keys()))
                values = tuple(own[seed] - by_combination[base][seed] for seed in seeds)
                if values:
                    compared.append((labels[key], labels[base], seeds, values))
        tests = corrected_tests([paired_tests(values) for *_, values in compared])
        data, protocol, stream = where
        example = examples[where]
        fields = (f"{data}, {protocol}", example.dataset, example.split, example.protocol, asdict(example.variant))
        for (of, against, seeds, values), test in zip(compared, tests, strict=True):
            pairs.append(PairedDifference(of, against, *fields, stream, seeds, values, fmean(values), *test))
    return pairs


def overall_stream(results: Sequence[Result]) -> str:
    """Return the stream that stands for a run as a whole: the ensemble, or the one stream that all results have."""
    streams = {tuple(result.streams) for result in results}
    only = streams.pop() if len(streams) == 1 else ()
    return only[0] if len(only) == 1 else ENSEMBLE


def overall_title(results: Sequence[Result]) -> str:
    """Return the title of `overall_stream`: "joint", "3-stream", or "all streams" where runs have different ones."""
    streams = {tuple(result.streams) for result in results}
    if len(streams) > 1 or not streams:
        return "all streams"
    only = streams.pop()
    return only[0] if len(only) == 1 else ensemble_title(only)


def _key(combination: Combination) -> tuple:
    return tuple((name, format_value(value)) for name, value in combination.items())
