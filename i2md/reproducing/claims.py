"""What a table is to show: comparisons of cells, paired by seed, and one word on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from i2md.errors import InputError
from i2md.sweeping.paired import Evidence, paired_tests

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
    """Each comparison whose cells are there, as JSON data: differences by seed in points, tests, and the word."""
    judged = []
    for claim in claims:
        for comparison in claim.comparisons:
            left, right = _by_seed(comparison.left, cells), _by_seed(comparison.right, cells)
            seeds = sorted(left.keys() & right.keys())
            if seeds:
                differences = [left[seed] - right[seed] for seed in seeds]
                judged.append({"claim": claim.says, "compares": comparison.text, "seeds": seeds, **judge(differences)})
    return judged


def judge(differences: list[float]) -> dict[str, Any]:
    """Mean, tests, and whether the differences support what says that they are above zero.

    >>> judge([1.0, 1.2, 0.9])["verdict"], judge([-1.0, -1.2, -0.9])["verdict"], judge([1.0, -1.2, 0.9])["verdict"]
    ('supported', 'contradicted', 'undecided')
    """
    mean = fmean(differences)
    tests = paired_tests(differences)
    decided = tests.t_test is not None and tests.t_test < _LEVEL
    verdict = (SUPPORTED if mean > 0 else CONTRADICTED) if decided else UNDECIDED
    return {"differences": differences, "mean": mean, **tests._asdict(), "verdict": verdict}


def claim_line(judged: Mapping[str, Any]) -> str:
    """A judged comparison in one line."""
    listed = ", ".join(f"{value:+.1f}" for value in judged["differences"])
    told = Evidence(judged["interval"], judged["t_test"], judged["wilcoxon"]).told(judged["mean"])
    return f"{judged['verdict']}: {judged['compares']}: {listed} ({told})"


def _by_seed(side: Side, cells: Cells) -> dict[int, float]:
    first, *less = (cells.get(cell, {}) for cell in side)
    if not less:
        return dict(first)
    return {seed: first[seed] - less[0][seed] for seed in first.keys() & less[0].keys()}
