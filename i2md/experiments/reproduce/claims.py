"""What a table is to show: comparisons of cells, paired by seed, and one word on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from i2md.errors import InputError
from i2md.experiments.statistics import PairedTests, corrected_tests, paired_tests

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
_LEVEL = 0.05


class Cell(NamedTuple):
    """A place in a table."""

    method: str
    protocol: str
    stream: str


# A cell, or one less another.
Side = tuple[Cell, ...]
# Accuracies in percent by seed.
Cells = Mapping[Cell, Mapping[int, float]]


@dataclass(frozen=True)
class Comparison:
    """A claim in one instance: the left side is above the right one."""

    text: str
    left: Side
    right: Side

    @classmethod
    def parse(cls, text: str) -> Comparison:
        """A comparison as it is written.

        >>> Comparison.parse("cmd, knn, joint > moco, knn, joint").right
        (Cell(method='moco', protocol='knn', stream='joint'),)
        """
        sides = [
            tuple(Cell(*cell) for part in side.split(" - ") if len(cell := [w.strip() for w in part.split(",")]) == 3)
            for side in text.split(" > ")
        ]
        if len(sides) != 2 or sum(map(len, sides)) != text.count(" - ") + 2 or max(map(len, sides)) > 2:
            raise InputError(f"claim {text!r}: write METHOD, PROTOCOL, STREAM > METHOD, PROTOCOL, STREAM")
        return cls(text, *sides)


@dataclass(frozen=True)
class Claim:
    """What is said, and where it is to be seen."""

    says: str
    comparisons: tuple[Comparison, ...]


def judge_claims(claims: tuple[Claim, ...], cells: Cells) -> list[dict[str, Any]]:
    """Each comparison whose cells are there, as JSON data: differences by seed in points, tests, and the word.

    The tests are corrected for the number of comparisons that a claim is judged by.
    """
    judged = []
    for claim in claims:
        compared, differences = [], []
        for comparison in claim.comparisons:
            left, right = _by_seed(comparison.left, cells), _by_seed(comparison.right, cells)
            seeds = sorted(left.keys() & right.keys())
            if seeds:
                compared.append({"claim": claim.says, "compares": comparison.text, "seeds": seeds})
                differences.append([left[seed] - right[seed] for seed in seeds])
        judged += [{**told, **word} for told, word in zip(compared, judge(differences), strict=True)]
    return judged


def judge(compared: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Of differences of each comparison: mean, tests, and whether they support what says that they are above zero.

    >>> [told["verdict"] for told in judge([[1.0, 1.2, 0.9], [-1.0, -1.2, -0.9], [1.0, -1.2, 0.9]])]
    ['supported', 'contradicted', 'undecided']
    """
    judged = []
    tests = corrected_tests([paired_tests(differences) for differences in compared])
    for differences, evidence in zip(compared, tests, strict=True):
        mean = fmean(differences)
        decided = evidence.corrected is not None and evidence.corrected < _LEVEL
        verdict = (SUPPORTED if mean > 0 else CONTRADICTED) if decided else UNDECIDED
        judged.append({"differences": list(differences), "mean": mean, **evidence._asdict(), "verdict": verdict})
    return judged


def claim_line(judged: Mapping[str, Any]) -> str:
    """A judged comparison in one line."""
    listed = ", ".join(f"{value:+.1f}" for value in judged["differences"])
    told = PairedTests(*(judged[name] for name in PairedTests._fields)).describe(judged["mean"])
    return f"{judged['verdict']}: {judged['compares']}: {listed} ({told})"


def _by_seed(side: Side, cells: Cells) -> dict[int, float]:
    first, *less = (cells.get(cell, {}) for cell in side)
    if not less:
        return dict(first)
    return {seed: first[seed] - less[0][seed] for seed in first.keys() & less[0].keys()}
