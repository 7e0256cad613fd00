"""The pages of a reproduced table: Markdown and LaTeX."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from valid_latex import require_valid_latex

from i2md.experiments.latex import latex_text
from i2md.experiments.reproduce.claims import Block, Cell, Claim, Hypothesis, evaluate_claims
from i2md.experiments.reproduce.pages import latex_page, markdown_page

CMD, MOCO = Cell("cmd", Block("knn"), "joint"), Cell("moco", Block("knn"), "joint")
CLAIM = (Claim("It helps", (Hypothesis.parse("cmd, knn, joint > moco, knn, joint"),)),)


def _data() -> dict[str, Any]:
    accuracy = {"joint": {"mean": 80.04, "std": 1.26, "by_seed": {}}, "ensemble": {"mean": 90.0, "std": None}}
    figure = {"name": "P&C_1", "streams": "joint", "accuracy": "70.6", "source": "a 5% table", "recalled": True}
    other = {"name": "Big", "streams": "joint+2", "accuracy": "87.8", "source": "note", "recalled": False}
    absent = {"name": "I2MD", "streams": None, "accuracy": None, "source": "not available", "recalled": False}
    block = {"split": "x_sub", "protocol": "knn", "title": "10 % of #1"}
    rows = [{"method": "cmd", "name": "cmd", "seeds": 3, "accuracy": accuracy}]
    (evaluated,) = evaluate_claims(CLAIM, {CMD: {0: 80.0, 1: 81.0}, MOCO: {0: 79.0, 1: 78.0}})
    return {
        "title": "T & {co}",
        "notes": ["departs: 100%\nof it"],
        "streams": ["joint", "motion", "bone", "ensemble"],
        "blocks": [{**block, "rows": rows, "published": [figure, other, absent]}],
        "claims": [{"split": "x_sub", **evaluated}],
        "failed": {"moco,seed=1": {"reason": "not finite", "exit_code": 2}},
    }


def test_markdown_has_every_accuracy_in_the_column_of_its_streams() -> None:
    page = markdown_page(_data())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert cells == [
        ["method", "joint", "motion", "bone", "3-stream", "other input", "seeds / source"],
        ["cmd", "80.0 ± 1.3", "-", "-", "90.0", "-", "3 seeds"],
        ["P&C_1 (published)", "70.6†", "-", "-", "-", "-", "a 5% table"],
        ["Big (published; joint+2)", "-", "-", "-", "-", "87.8", "note"],
        ["I2MD (published)", "-", "-", "-", "-", "-", "not available"],
    ]
    assert "† recalled: quoted from memory, not checked against the paper." in page
    tests = "mean +2.0, 95 % CI -10.7 to +14.7, t-test p = 0.3, corrected 0.3"
    assert f"- undecided: cmd, knn, joint > moco, knn, joint: +1.0, +3.0 ({tests})" in page
    assert "- moco,seed=1: not finite" in page


def test_latex_is_escaped_and_balanced() -> None:
    page = latex_page(_data())
    require_valid_latex(page)
    assert r"P\&C\_1 (published) & 70.6$^\dagger$ & -- & -- & -- & -- & a 5\% table \\" in page
    assert r"I2MD (published) & -- & -- & -- & -- & -- & not available \\" in page
    assert r"cmd & 80.0 $\pm$ 1.3 & -- & -- & 90.0 & -- & 3 seeds \\" in page
    assert r"\emph{10 \% of \#1 (x\_sub)}" in page


@given(st.text(alphabet=r"ab \{}$&#%_^~±†<>", max_size=20))
def test_any_text_is_escaped(text: str) -> None:
    require_valid_latex(latex_text(text))
