"""What the pages name exists, and what exists has its place in the pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

import i2md
from i2md.cli.main import COMMANDS
from i2md.data.presets import preset_names
from i2md.data.readers import reader_names
from i2md.evaluation.protocols import PROTOCOLS
from i2md.experiments.reproduce.table import table_names
from i2md.recipes import recipe_names
from i2md.skeletons import layout_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/RESULTS.md", *sorted(DOCS.rglob("*.md"))]
# Written by `i2md reproduce` and `i2md sweep`.
RECORDED = {
    path
    for path in (DOCS / "results").glob("*.md")
    if path.name not in ("ablations.md", "recipe-search.md", "records.md")
}
PAGES = [path for path in WRITTEN if path not in RECORDED]
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "i2md").rglob("*.py"))
ENTRY_POINTS = set(re.findall(r'"(i2md\.\w+)"', SOURCES))


def name_of(page: Path) -> str:
    """A page as pytest shows it."""
    return page.relative_to(ROOT).as_posix()


def code_spans(page: Path) -> list[str]:
    """What stands in backticks on a page."""
    return re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_of_prose_are_at_most_120_characters(page: Path) -> None:
    """Tables, images and headings of links cannot be wrapped; output of programs is as they print it."""
    prose = re.sub(r"^```text\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in prose.splitlines() if len(line) > 120 and not line.startswith(("|", "!["))]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_file_that_is_named_exists(page: Path) -> None:
    named = [span for span in code_spans(page) if re.fullmatch(r"(?:i2md|tests|benchmarks|docs)/[\w./-]*", span)]
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_function_is_in_the_file_that_is_named(page: Path) -> None:
    for name, path in re.findall(r"`(\w+)`\s+in\s+`(i2md/[\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert re.search(rf"^(?:def|class) {name}\b", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_python_name_that_is_named_exists(page: Path) -> None:
    for span in code_spans(page):
        match = re.match(r"i2md((?:\.\w+)+)", span)
        if match and match[0] not in ENTRY_POINTS:
            thing: object = i2md
            path = "i2md"
            for part in match[1][1:].split("."):
                path = f"{path}.{part}"
                thing = getattr(thing, part) if hasattr(thing, part) else import_module(path)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("prepare.md", preset_names()),
        ("pretrain.md", recipe_names()),
        ("evaluate.md", PROTOCOLS),
        ("reproduce.md", table_names()),
        ("layouts.md", layout_names()),
        ("datasets/index.md", reader_names()),
    ],
)
def test_each_choice_is_described(page: str, names: Iterable[str]) -> None:
    described = set(code_spans(DOCS / page))
    assert not {name for name in names if name not in described}


def test_each_command_and_public_name_is_in_the_reference() -> None:
    reference = set(re.findall(r"^::: (\S+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert not {f"i2md.{name}" for name in i2md.__all__} - reference
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [name for name in COMMANDS if f"i2md {name}" not in pages]


def test_each_example_is_shown() -> None:
    examples = {f"docs/examples/{path.name}" for path in (DOCS / "examples").iterdir() if path.is_file()}
    shown = re.findall(r'^--8<-- "(.*)"$', (DOCS / "extend.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert examples == set(shown)


def test_each_message_under_troubleshooting_is_one_of_the_program() -> None:
    """Messages are quoted with `...` for what differs; what is between stands in the source."""
    source = re.sub(r'"\s*\n\s*f?"', "", SOURCES)
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [" ".join(message.split()) for message in re.findall(r"^\*\*`([^`]+)`\*\*", text, re.MULTILINE)]
    assert len(messages) > 12
    pieces = [piece.strip(" '") for message in messages for piece in message.split("...")]
    assert not [piece for piece in pieces if piece not in source]


def test_each_page_that_is_linked_in_the_readme_exists() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link).exists()]
