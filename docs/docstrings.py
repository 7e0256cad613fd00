"""Examples at the end of docstrings, for the API reference."""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^Examples?:$", re.MULTILINE)


class Examples(griffe.Extension):
    """Put `>>>` lines that stand alone at the end of a docstring under the heading `Examples:`."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for each object that is read from the source."""
        if obj.docstring:
            obj.docstring.value = with_heading(obj.docstring.value)


def with_heading(text: str) -> str:
    """A docstring whose lines from the first `>>>` on are a section."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(">>> ")), None)
    if start is None or SECTION.search(text):
        return text
    return "\n".join([*lines[:start], "Examples:", *(f"    {line}".rstrip() for line in lines[start:])])
