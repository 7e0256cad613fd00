"""A page that opens from the disk alone, made of a template and what is to be seen in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2md.runtime.io import written_whole


def write_page(path: Path, template: str, **sections: Any) -> Path:
    """Write the page whole or not at all: a failed write leaves an earlier one as it was."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("i2md.evaluation.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(template).render(**sections)
    with written_whole(path) as partial:
        # File names that are not valid text come as surrogates, which UTF-8 cannot hold.
        partial.write_bytes(page.encode("utf-8", errors="replace"))
    return path
