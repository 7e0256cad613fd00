"""What LaTeX needs of a page: balanced environments and braces, the right number of columns, escaped characters."""

from __future__ import annotations

import re


def require_valid_latex(page: str) -> None:
    """Fail if the environments, braces, columns or special characters of a page are invalid in LaTeX."""
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
