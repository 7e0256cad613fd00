"""What the site does to the texts it shows; the rest of `make docs` is mkdocs --strict."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load(name: str) -> ModuleType:
    """A module of docs/, which is no package."""
    specification = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("README.md", "index.md", "docs/install.md", "install.md"),
        ("README.md", "index.md", "benchmarks/RESULTS.md", "measurements.md"),
        ("README.md", "index.md", "docs/images/report.png", "images/report.png"),
        ("benchmarks/RESULTS.md", "measurements.md", "../docs/pretrain.md#on-a-gpu", "pretrain.md#on-a-gpu"),
        ("docs/datasets/ntu-rgbd.md", "datasets/ntu-rgbd.md", "../../benchmarks/RESULTS.md", "../measurements.md"),
        ("docs/datasets/ntu-rgbd.md", "datasets/ntu-rgbd.md", "../prepare.md#denoised", "../prepare.md#denoised"),
        ("README.md", "index.md", "https://arxiv.org/abs/2310.15568", "https://arxiv.org/abs/2310.15568"),
        ("README.md", "index.md", "#results", "#results"),
    ],
)
def test_links_of_the_repository_point_at_pages_of_the_site(source: str, page: str, link: str, expected: str) -> None:
    pytest.importorskip("mkdocs")
    assert load("hooks").point_at_pages(f"see [this]({link}), too", source, page) == f"see [this]({expected}), too"


def test_examples_of_docstrings_get_a_heading() -> None:
    pytest.importorskip("griffe")
    with_heading = load("docstrings").with_heading
    assert with_heading("Add.\n\n>>> 1 + 1\n2") == "Add.\n\nExamples:\n    >>> 1 + 1\n    2"
    assert with_heading("Add.\n\nExample:\n    >>> 1 + 1\n    2") == "Add.\n\nExample:\n    >>> 1 + 1\n    2"
    assert with_heading("Add.") == "Add."
