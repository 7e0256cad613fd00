"""Write a page: a single HTML file with its style, its scripts and its data in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from i2md.runtime.io import atomic_write


def write_page(path: Path, package: str, template: str, **sections: Any) -> Path:
    """Render a template to a file.

    Args:
        path: The file. It is written as a whole or not at all.
        package: Package whose folder `templates` holds the template; those of `i2md.pages` can be included, too.
        template: Name of the template.
        **sections: Its variables. Every variable of the template must be given.

    Returns:
        The path.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("i2md.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template(template).render(**sections)
    with atomic_write(path) as partial:
        # File names that are not valid text come as surrogates, which UTF-8 cannot hold.
        partial.write_bytes(page.encode("utf-8", errors="replace"))
    return path
