"""Files outside docs/ that are part of the site, so that no text stands twice."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "measurements.md",
    "i2md/pretraining/shipped/kinect-base/README.md": "kinect-base.md",
    "LICENSE": "LICENSE.txt",
    "CITATION.cff": "CITATION.cff",
}
LINK = re.compile(r"(\]\()([^)#:\s]+)([^):\s]*\))")


def point_at_pages(text: str, source: str, page: str) -> str:
    """Rewrite the links of a file of the repository to the pages of the site.

    Args:
        text: Markdown, whose relative links start from `source`.
        source: The file that holds it, relative to the root of the repository.
        page: Its page, relative to docs/.

    Returns:
        The same text with links that start from `page`; links to files that are no pages stay.
    """

    def page_link(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        target = PAGES.get(path, path.removeprefix("docs/"))
        if path not in PAGES and not path.startswith("docs/"):
            return match[0]
        return match[1] + posixpath.relpath(target, posixpath.dirname(page) or ".") + match[3]

    return LINK.sub(page_link, text)


def on_files(files: Files, config: Any) -> Files:
    """Add the files of `PAGES` to those in docs/."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = point_at_pages(text, source, page) if page.endswith(".md") else text
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links of pages in docs/ to files outside it (`../CHANGELOG.md`) at their pages."""
    uri = page.file.src_uri
    return markdown if uri in PAGES.values() else point_at_pages(markdown, f"docs/{uri}", uri)
