"""Claims about a table: hypotheses that one cell is above another, tested by differences paired by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from i2md.errors import InputError
from i2md.evaluation.results import Variant
from i2md.experiments.statistics import PairedTests, corrected_tests, format_differences, paired_tests

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
_SIGNIFICANCE = 0.05


class Block(NamedTuple):
    """A block of a table: the results of one protocol.

    Attributes:
        protocol: Name of the protocol.
        label_fraction: Fraction of the training labels, for the semi-supervised protocol.
        k: Number of neighbours of the kNN evaluation, where it is not 1.
    """

    protocol: str
    label_fraction: float | None = None
    k: int | None = None

    @classmethod
    def of_variant(cls, protocol: str, variant: Variant) -> Block:
        """Return the block of a protocol's results of this variant."""
        return cls(protocol, variant.label_fraction, None if variant.k == 1 else variant.k)


class Cell(NamedTuple):
    """A cell of a table: the accuracy of a method in a block.

    Attributes:
        method: Name of the method in the table.
        block: Protocol, and label fraction where it has one.
        stream: A stream, or "ensemble" for all of a run's streams.
        best_epoch: Whether the accuracy is that of the best test epoch, not of the last epoch.
    """

    method: str
    block: Block
    stream: str
    best_epoch: bool = False

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Parse METHOD, PROTOCOL, STREAM; a label fraction follows its protocol.

        >>> Cell.parse("i2md, semi 0.05, ensemble").block
        Block(protocol='semi', label_fraction=0.05, k=None)

        Raises:
            InputError: The text is not of this form.
        """
        try:
            method, protocol, stream = (word.strip() for word in text.split(","))
            name, *fraction = protocol.split()
            label_fraction = float(*fraction) if fraction else None
        except (ValueError, TypeError):
            raise InputError(f"cell {text.strip()!r}: write METHOD, PROTOCOL [LABEL_FRACTION], STREAM") from None
        return cls(method, Block(name, label_fraction), stream)


# Accuracies in percent by seed.
Cells = Mapping[Cell, Mapping[int, float]]


@dataclass(frozen=True)
class Hypothesis:
    """One side is above the other; a side is a cell, or the difference of two cells.

    Attributes:
        text: The hypothesis as it was written.
        left: The side that is above.
        right: The other side.
    """

    text: str
    left: tuple[Cell, ...]
    right: tuple[Cell, ...]

    @classmethod
    def parse(cls, text: str) -> Hypothesis:
        """Parse CELL > CELL or CELL - CELL > CELL - CELL.

        >>> Hypothesis.parse("cmd, knn, joint > moco, knn, joint").right[0].method
        'moco'

        Raises:
            InputError: The text is not of this form.
        """
        sides = [tuple(Cell.parse(cell) for cell in side.split(" - ")) for side in text.split(" > ")]
        if len(sides) != 2 or max(map(len, sides)) > 2:
            raise InputError(f"hypothesis {text!r}: write CELL > CELL or CELL - CELL > CELL - CELL")
        return cls(text, *sides)


@dataclass(frozen=True)
class Claim:
    """A statement and the hypotheses by which it is tested.

    Attributes:
        statement: One sentence.
        hypotheses: The tests are corrected for their number.
    """

    statement: str
    hypotheses: tuple[Hypothesis, ...]


def evaluate_claims(claims: Sequence[Claim], cells: Cells) -> list[dict[str, Any]]:
    """Test every hypothesis whose cells have results.

    Args:
        claims: The claims.
        cells: Accuracies in percent by seed.

    Returns:
        JSON data for each tested hypothesis: claim, hypothesis, seeds, differences in points by seed, their mean, the
        fields of `PairedTests`, and the verdict.
    """
    evaluated = []
    for claim in claims:
        tested, differences = [], []
        for hypothesis in claim.hypotheses:
            left, right = _by_seed(hypothesis.left, cells), _by_seed(hypothesis.right, cells)
            seeds = sorted(left.keys() & right.keys())
            if seeds:
                tested.append({"claim": claim.statement, "hypothesis": hypothesis.text, "seeds": seeds})
                differences.append([left[seed] - right[seed] for seed in seeds])
        evaluated += [{**which, **outcome} for which, outcome in zip(tested, decide(differences), strict=True)]
    return evaluated


def decide(hypotheses: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Decide hypotheses of one claim: whether their differences have a mean above zero.

    A hypothesis is supported if the mean is above zero and the corrected p-value of the paired t-test below 0.05,
    contradicted if the mean is below zero at such a p-value, and otherwise undecided.

    >>> [each["verdict"] for each in decide([[1.0, 1.2, 0.9], [-1.0, -1.2, -0.9], [1.0, -1.2, 0.9]])]
    ['supported', 'contradicted', 'undecided']

    Args:
        hypotheses: The differences of each hypothesis, one per seed.

    Returns:
        Differences, mean, the fields of `PairedTests` and the verdict of each.
    """
    decided = []
    tests = corrected_tests([paired_tests(differences) for differences in hypotheses])
    for differences, test in zip(hypotheses, tests, strict=True):
        mean = fmean(differences)
        significant = test.corrected is not None and test.corrected < _SIGNIFICANCE
        verdict = (SUPPORTED if mean > 0 else CONTRADICTED) if significant else UNDECIDED
        decided.append({"differences": list(differences), "mean": mean, **test._asdict(), "verdict": verdict})
    return decided


def format_verdict(evaluated: Mapping[str, Any]) -> str:
    """Return one entry of `evaluate_claims` as a line of text."""
    tests = PairedTests(*(evaluated[name] for name in PairedTests._fields)).describe(evaluated["mean"])
    listed = format_differences(evaluated["differences"])
    return f"{evaluated['verdict']}: {evaluated['hypothesis']}: {listed} ({tests})"


def _by_seed(side: tuple[Cell, ...], cells: Cells) -> dict[int, float]:
    first, *subtracted = (cells.get(cell, {}) for cell in side)
    if not subtracted:
        return dict(first)
    return {seed: first[seed] - subtracted[0][seed] for seed in first.keys() & subtracted[0].keys()}
