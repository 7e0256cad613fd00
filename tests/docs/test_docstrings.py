"""Every public name is documented: one sentence, its arguments, and for settings the meaning of each."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import i2md

ROOT = Path(__file__).parents[2]


def parts(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A public name and, if it is a class of ours, its public methods."""
    thing = getattr(i2md, name)
    yield name, thing
    if inspect.isclass(thing):
        for method, value in vars(thing).items():
            if inspect.isfunction(value) and not method.startswith("_"):
                yield f"{name}.{method}", value


PUBLIC = dict(part for name in i2md.__all__ for part in parts(name) if callable(part[1]))


def documented_arguments(doc: str) -> set[str]:
    """The names under `Args:` or `Attributes:` of a Google-style docstring."""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", inspect.cleandoc(doc), re.MULTILINE)
    if not section:
        return set()
    names = re.findall(r"^\*{0,2}(\w[\w, *]*?)(?: \([^)]*\))?:", textwrap.dedent(section[1]), re.MULTILINE)
    return {name.strip(" *") for group in names for name in group.split(",")}


def attributes_with_docstrings(settings: type) -> set[str]:
    """The fields of a dataclass that have a string below them, those of its bases included."""
    found: set[str] = set()
    for cls in settings.__mro__:
        if not dataclasses.is_dataclass(cls):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found.add(field.target.id)  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring(name: str) -> None:
    doc = vars(PUBLIC[name]).get("__doc__") if inspect.isclass(PUBLIC[name]) else PUBLIC[name].__doc__
    assert doc
    assert doc.strip().splitlines()[0].rstrip().endswith((".", ":", "?")), "the first line is no sentence"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_documents_its_arguments(name: str) -> None:
    thing = PUBLIC[name]
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    wanted = {name for name in inspect.signature(thing).parameters if name not in ("self", "cls", "args", "kwargs")}
    doc = thing.__doc__ or ""
    if inspect.isclass(thing):
        doc += "\n" + ((thing.__init__.__doc__ or "") if not dataclasses.is_dataclass(thing) else "")
        if dataclasses.is_dataclass(thing):
            wanted -= attributes_with_docstrings(thing)
    assert wanted <= documented_arguments(doc), f"without documentation: {sorted(wanted - documented_arguments(doc))}"


def public_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every public function of every module, with the name of its module."""
    for path in sorted((ROOT / "i2md").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            overload = any(ast.unparse(decorator) == "overload" for decorator in getattr(node, "decorator_list", ()))
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not overload:
                yield module, node


def imported_elsewhere() -> set[tuple[str, str]]:
    """Modules and names that another package of i2md imports."""
    found = set()
    for path in (ROOT / "i2md").rglob("*.py"):
        package = path.relative_to(ROOT / "i2md").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("i2md.") and module.split(".")[1] != package:
                found |= {(module, alias.name) for alias in getattr(node, "names", ())}
    return found


def test_every_public_function_has_a_docstring() -> None:
    assert not [f"{module}.{node.name}" for module, node in public_functions() if not ast.get_docstring(node)]


def test_functions_that_another_package_imports_document_their_arguments() -> None:
    used, lacking = imported_elsewhere(), []
    for module, node in public_functions():
        arguments = {arg.arg for arg in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]}
        if (module, node.name) not in used:
            continue
        if arguments - documented_arguments(ast.get_docstring(node) or ""):
            lacking.append(f"{module}.{node.name}")
    assert not lacking
