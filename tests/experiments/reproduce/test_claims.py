"""Verdicts on claims, on accuracies for which the answer is known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from i2md.errors import InputError
from i2md.experiments.reproduce.claims import Block, Cell, Claim, Hypothesis, decide, evaluate_claims

CMD, MOCO = Cell("cmd", Block("knn"), "joint"), Cell("moco", Block("knn"), "joint")
CLAIM = (Claim("It helps", (Hypothesis.parse("cmd, knn, joint > moco, knn, joint"),)),)


@pytest.mark.parametrize(
    ("cmd", "moco", "word"),
    [
        ([80.0, 81.0, 82.5], [75.0, 76.1, 77.0], "supported"),
        ([75.0, 76.1, 77.0], [80.0, 81.0, 82.5], "contradicted"),
        ([80.0, 70.0, 82.5], [75.0, 76.1, 77.0], "undecided"),
        ([80.0, 81.0, 82.0], [80.0, 81.0, 82.0], "undecided"),
        ([80.0], [75.0], "undecided"),
    ],
)
def test_verdict_depends_on_direction_and_paired_test(cmd: list[float], moco: list[float], word: str) -> None:
    (evaluated,) = evaluate_claims(CLAIM, {CMD: dict(enumerate(cmd)), MOCO: dict(enumerate(moco))})
    assert evaluated["verdict"] == word
    assert evaluated["differences"] == [a - b for a, b in zip(cmd, moco, strict=True)]
    if len(set(evaluated["differences"])) > 1:
        assert evaluated["t_test"] == pytest.approx(stats.ttest_rel(cmd, moco).pvalue)


@settings(deadline=None)  # SciPy is imported when the first test is judged.
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9))
def test_opposite_differences_have_the_opposite_verdict(differences: list[float]) -> None:
    opposite = {"supported": "contradicted", "contradicted": "supported", "undecided": "undecided"}
    (negated,) = decide([[-value for value in differences]])
    (verdict,) = decide([differences])
    assert negated["verdict"] == opposite[verdict["verdict"]]


def test_verdict_is_corrected_for_the_number_of_hypotheses() -> None:
    gain, noise = [1.0, 1.2, 0.6], [1.0, -1.2, 0.3]
    assert decide([gain])[0]["verdict"] == "supported"
    assert decide([gain, *[noise] * 5])[0]["verdict"] == "undecided"
    assert decide([*[gain] * 5, noise])[0]["verdict"] == "supported"


def test_only_seeds_of_both_sides_are_paired() -> None:
    (evaluated,) = evaluate_claims(CLAIM, {CMD: {0: 80.0, 2: 81.0, 3: 10.0}, MOCO: {0: 79.0, 1: 10.0, 2: 78.0}})
    assert (evaluated["seeds"], evaluated["differences"]) == ([0, 2], [1.0, 3.0])
    assert evaluate_claims(CLAIM, {CMD: {0: 80.0}}) == []


def test_tests_are_corrected_within_one_claim() -> None:
    figures = {
        method: dict(enumerate(values)) for method, values in {"a": [1.0, 1.2, 0.6], "b": [1.0, -1.2, 0.3]}.items()
    }
    cells = {Cell(method, Block("knn"), "joint"): values for method, values in figures.items()}
    cells[Cell("zero", Block("knn"), "joint")] = dict.fromkeys(range(3), 0.0)
    gain, noise = (Hypothesis.parse(f"{method}, knn, joint > zero, knn, joint") for method in "ab")
    apart = evaluate_claims((Claim("one", (gain,)), Claim("other", (noise,) * 5)), cells)
    assert [each["verdict"] for each in apart] == ["supported", *["undecided"] * 5]
    together = evaluate_claims((Claim("both", (gain, *(noise,) * 5)),), cells)
    assert {each["verdict"] for each in together} == {"undecided"}


def test_a_difference_is_compared_with_a_difference() -> None:
    gains = Hypothesis.parse("a, semi 0.1, joint - b, semi 0.1, joint > a, finetune, joint - b, finetune, joint")
    semi, tuned = Block("semi", 0.1), Block("finetune")
    figures = {("a", semi): 60.0, ("b", semi): 40.0, ("a", tuned): 90.0, ("b", tuned): 85.0}
    cells = {Cell(method, block, "joint"): {0: value} for (method, block), value in figures.items()}
    (evaluated,) = evaluate_claims((Claim("It gains most", (gains,)),), cells)
    assert evaluated["mean"] == 15.0


@pytest.mark.parametrize(
    "text",
    [
        "cmd, knn, joint",
        "cmd, knn > moco, knn",
        "a, b, c - d > e, f, g",
        "a,b,c > d,e,f > g,h,i",
        "a, semi x, c > d, e, f",
    ],
)
def test_invalid_hypotheses_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"write (METHOD, PROTOCOL|CELL > CELL)"):
        Hypothesis.parse(text)
