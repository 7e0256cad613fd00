"""The recipe for conda-forge and the scripts for Slurm follow pyproject.toml and the documentation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Packages of conda-forge with other names, and what pip's extra `signatures` of jsonargparse stands for there.
_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "docstring-parser": "docstring_parser"}
_ADDED = {"python", "typeshed-client"}


def _versions(lines: list[str]) -> dict[str, str]:
    found = (re.match(r"([A-Za-z0-9_-]+)(?:\[.*\])?\s*(>=[\d.]+)?", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_the_recipe_of_conda_has_the_dependencies_of_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^dependencies = \[(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
    wanted = {_NAMES.get(name, name): version for name, version in _versions(re.findall(r'"(.+?)"', block)).items()}
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    run = recipe.split("  run:\n")[1].split("\n\n")[0]
    there = _versions([line.strip().removeprefix("- ") for line in run.splitlines()])
    assert {name: version for name, version in there.items() if name not in _ADDED} == wanted
    (version,) = re.findall(r'^version = "(.+)"', text, flags=re.MULTILINE) or re.findall(
        r'__version__ = "(.+)"', (ROOT / "i2md" / "__init__.py").read_text(encoding="utf-8")
    )
    assert f'version: "{version}"' in recipe


def test_the_script_of_slurm_is_that_of_the_documentation() -> None:
    page = (ROOT / "docs" / "many-gpus.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", page, flags=re.DOTALL)
    own = (ROOT / "examples" / "slurm" / "pretrain.sh").read_text(encoding="utf-8").splitlines()
    assert [line for line in own if not line.startswith("# ")] == script.rstrip("\n").splitlines()
