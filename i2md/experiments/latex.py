r"""Tables as LaTeX for a paper, for \usepackage{booktabs}."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ESCAPES = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "†": r"$^\dagger$", ">": "$>$", "<": "$<$"},
}


def latex_text(text: str) -> str:
    r"""Return a text escaped, so that LaTeX prints it as it is.

    >>> latex_text("P&C, 5 % of a_b")
    'P\\&C, 5 \\% of a\\_b'
    >>> latex_text("semi-supervised: -2.5")
    'semi-supervised: $-$2.5'
    """
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", "".join(_ESCAPES.get(sign, sign) for sign in text))


def latex_table(
    columns: str, heading: Sequence[str], sections: Iterable[tuple[str, Iterable[Sequence[str]]]]
) -> list[str]:
    r"""Return the lines of a table.

    >>> print("\n".join(latex_table("lr", ["method", "joint"], [("", [["cmd", "80.1 ± 0.4"]])])))
    \begin{tabular}{lr}
    \toprule
    method & joint \\
    \midrule
    cmd & 80.1 $\pm$ 0.4 \\
    \bottomrule
    \end{tabular}

    Args:
        columns: Alignment of each column: l, r or c.
        heading: Cells of the first row.
        sections: Title and rows of each section; a title that is not empty gets a row of its own.
    """
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(heading)]
    for title, rows in sections:
        lines.append(r"\midrule")
        if title:
            lines.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{latex_text(title)}}}}} \\")
        lines += [_row(cells) for cells in rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def latex_comments(lines: Iterable[str]) -> list[str]:
    """Return lines of text as comments."""
    return ["% " + re.sub(r"\s+", " ", line) for line in lines]


def _row(cells: Sequence[str]) -> str:
    # A dash alone stands for a missing figure; within a text it is a hyphen.
    return " & ".join("--" if cell == "-" else latex_text(cell) for cell in cells) + r" \\"
