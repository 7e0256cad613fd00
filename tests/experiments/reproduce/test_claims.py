"""What is said of claims, on figures made up so that the answer is known; and what stands on the pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from i2md.errors import InputError
from i2md.experiments.reproduce.claims import Cell, Claim, Comparison, judge, judge_claims
from i2md.experiments.reproduce.pages import latex_page, latex_text, markdown_page

CMD, MOCO = Cell("cmd", "knn", "joint"), Cell("moco", "knn", "joint")
CLAIM = (Claim("It helps", (Comparison.parse("cmd, knn, joint > moco, knn, joint"),)),)


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
def test_the_word_is_that_of_direction_and_paired_test(cmd: list[float], moco: list[float], word: str) -> None:
    (judged,) = judge_claims(CLAIM, {CMD: dict(enumerate(cmd)), MOCO: dict(enumerate(moco))})
    assert judged["verdict"] == word
    assert judged["differences"] == [a - b for a, b in zip(cmd, moco, strict=True)]
    if len(set(judged["differences"])) > 1:
        assert judged["t_test"] == pytest.approx(stats.ttest_rel(cmd, moco).pvalue)


@settings(deadline=None)  # SciPy is imported when the first test is judged.
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=9))
def test_turned_round_a_claim_gets_the_opposite_word(differences: list[float]) -> None:
    opposite = {"supported": "contradicted", "contradicted": "supported", "undecided": "undecided"}
    (turned,) = judge([[-value for value in differences]])
    (told,) = judge([differences])
    assert turned["verdict"] == opposite[told["verdict"]]


def test_what_one_comparison_decides_is_undecided_among_many() -> None:
    gain, noise = [1.0, 1.2, 0.6], [1.0, -1.2, 0.3]
    assert judge([gain])[0]["verdict"] == "supported"
    assert judge([gain, *[noise] * 5])[0]["verdict"] == "undecided"
    assert judge([*[gain] * 5, noise])[0]["verdict"] == "supported"


def test_only_seeds_that_both_sides_have_are_paired() -> None:
    (judged,) = judge_claims(CLAIM, {CMD: {0: 80.0, 2: 81.0, 3: 10.0}, MOCO: {0: 79.0, 1: 10.0, 2: 78.0}})
    assert (judged["seeds"], judged["differences"]) == ([0, 2], [1.0, 3.0])
    assert judge_claims(CLAIM, {CMD: {0: 80.0}}) == []


def test_tests_are_corrected_within_a_claim_alone() -> None:
    figures = {
        method: dict(enumerate(values)) for method, values in {"a": [1.0, 1.2, 0.6], "b": [1.0, -1.2, 0.3]}.items()
    }
    cells = {Cell(method, "knn", "joint"): values for method, values in figures.items()}
    cells[Cell("nought", "knn", "joint")] = dict.fromkeys(range(3), 0.0)
    gain, noise = (Comparison.parse(f"{method}, knn, joint > nought, knn, joint") for method in "ab")
    apart = judge_claims((Claim("one", (gain,)), Claim("other", (noise,) * 5)), cells)
    assert [told["verdict"] for told in apart] == ["supported", *["undecided"] * 5]
    together = judge_claims((Claim("both", (gain, *(noise,) * 5)),), cells)
    assert {told["verdict"] for told in together} == {"undecided"}


def test_a_gain_may_be_compared_with_a_gain() -> None:
    gains = Comparison.parse("a, semi-0.1, joint - b, semi-0.1, joint > a, finetune, joint - b, finetune, joint")
    figures = {("a", "semi-0.1"): 60.0, ("b", "semi-0.1"): 40.0, ("a", "finetune"): 90.0, ("b", "finetune"): 85.0}
    cells = {Cell(method, protocol, "joint"): {0: value} for (method, protocol), value in figures.items()}
    (judged,) = judge_claims((Claim("It gains most", (gains,)),), cells)
    assert judged["mean"] == 15.0


@pytest.mark.parametrize(
    "text", ["cmd, knn, joint", "cmd, knn > moco, knn", "a, b, c - d > e, f, g", "a,b,c > d,e,f > g,h,i"]
)
def test_a_claim_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write METHOD, PROTOCOL, STREAM"):
        Comparison.parse(text)


def _data() -> dict[str, Any]:
    accuracy = {"joint": {"mean": 80.04, "spread": 1.26, "by_seed": {}}, "3-stream": {"mean": 90.0, "spread": None}}
    figure = {"name": "P&C_1", "streams": "joint", "accuracy": "70.6", "source": "a 5% table", "recalled": True}
    other = {"name": "Big", "streams": "joint+2", "accuracy": "87.8", "source": "note", "recalled": False}
    absent = {"name": "I2MD", "streams": None, "accuracy": None, "source": "not at hand", "recalled": False}
    block = {"split": "x_sub", "protocol": "knn", "title": "10 % of #1"}
    rows = [{"method": "cmd", "name": "cmd", "seeds": 3, "accuracy": accuracy}]
    (judged,) = judge_claims(CLAIM, {CMD: {0: 80.0, 1: 81.0}, MOCO: {0: 79.0, 1: 78.0}})
    return {
        "title": "T & {co}",
        "notes": ["departs: 100%\nof it"],
        "streams": ["joint", "3-stream"],
        "blocks": [{**block, "rows": rows, "published": [figure, other, absent]}],
        "claims": [{"split": "x_sub", **judged}],
        "failed": {"moco,seed=1": {"reason": "not finite", "exit_code": 2}},
    }


def test_markdown_has_every_figure_in_the_column_of_its_streams() -> None:
    page = markdown_page(_data())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert cells == [
        ["method", "joint", "3-stream", "other input", "seeds / source"],
        ["cmd", "80.0 ± 1.3", "90.0", "-", "3 seeds"],
        ["P&C_1 (published)", "70.6†", "-", "-", "a 5% table"],
        ["Big (published; joint+2)", "-", "-", "87.8", "note"],
        ["I2MD (published)", "-", "-", "-", "not at hand"],
    ]
    assert "† recalled: not checked against the paper." in page
    tests = "mean +2.0, 95 % CI -10.7 to +14.7, t-test p = 0.3, corrected 0.3"
    assert f"- undecided: cmd, knn, joint > moco, knn, joint: +1.0, +3.0 ({tests})" in page
    assert "- moco,seed=1: not finite" in page


def test_latex_is_escaped_and_balanced() -> None:
    page = latex_page(_data())
    require_sound_latex(page)
    assert r"P\&C\_1 (published) & 70.6$^\dagger$ & -- & -- & a 5\% table \\" in page
    assert r"I2MD (published) & -- & -- & -- & not at hand \\" in page
    assert r"cmd & 80.0 $\pm$ 1.3 & 90.0 & -- & 3 seeds \\" in page
    assert r"\emph{10 \% of \#1 (x\_sub)}" in page


def require_sound_latex(page: str) -> None:
    """Refuse a page whose environments, braces, columns or special signs are not as LaTeX needs them."""
    assert page.isascii()
    lines = [line for line in page.splitlines() if not line.startswith("%")]
    depth, columns = [], 0
    for line in lines:
        begun = re.fullmatch(r"\\begin\{(\w+)\}\{([lrc]+)\}", line)
        if begun:
            depth.append(begun[1])
            columns = len(begun[2])
        elif ended := re.fullmatch(r"\\end\{(\w+)\}", line):
            assert depth.pop() == ended[1]
        else:
            bare = re.sub(r"\\[&%$#_{}\\]", "", line)
            assert bare.count("{") == bare.count("}")
            assert bare.count("$") % 2 == 0
            assert not re.search(r"[%#_~]", bare)
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", bare))
            if line.endswith(r"\\"):
                assert bare.count("&") + 1 + spans == columns, line
    assert not depth


@given(st.text(alphabet=r"ab \{}$&#%_^~±†<>", max_size=20))
def test_any_text_is_escaped(text: str) -> None:
    require_sound_latex(latex_text(text))
